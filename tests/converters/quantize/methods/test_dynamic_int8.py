from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods import dynamic_int8
from edgekit.converters.quantize.methods.editor import Editor
from small_towers import convnet, gemm_tower, ids, pixels, run, transformer

_PRODUCTS = ["layer0.mlp.up", "layer0.mlp.down", "layer0.attention.q", "layer0.attention.k", "layer0.attention.v"]


def _rewritten(model, keys, apply=dynamic_int8.apply):
    editor = Editor(model)
    assert all(apply(editor, key, {}) for key in keys)
    return editor.close()


def _kernels(model, batch, tmp_path):
    """Count the operators that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: batch})
    with open(session.end_profiling()) as file:  # noqa: PTH123 - the engine gives a string
        events = json.load(file)
    return Counter(e["args"]["op_name"] for e in events if e.get("cat") == "Node" and e["name"].endswith("kernel_time"))


def test_the_engine_computes_each_product_as_one_node(tmp_path):
    model = _rewritten(transformer(), ["layer0.mlp.up", "layer0.mlp.down", "project"])
    kernels = _kernels(model, ids(), tmp_path)
    assert kernels["DynamicQuantizeMatMul"] == 3
    assert kernels["MatMulInteger"] == 0


def test_products_that_read_one_tensor_share_its_quantization(tmp_path):
    model = _rewritten(transformer(), _PRODUCTS)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["DynamicQuantizeLinear"] == 3
    assert operators["MatMulInteger"] == 5
    kernels = _kernels(model, ids(), tmp_path)
    assert kernels["MatMulIntegerToFloat"] + kernels["DynamicQuantizeMatMul"] == 5


@pytest.mark.parametrize("optimize", [True, False], ids=["fused", "as written"])
def test_a_product_is_that_of_the_rounded_factors(optimize):
    model = gemm_tower()
    batch = pixels()
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    rewritten = _rewritten(model, ["first", "second", "third"])
    x = batch.reshape(len(batch), -1).astype(np.float64) / 128
    for name in ("first", "second", "third"):
        scale = (max(x.max(), 0) - min(x.min(), 0)) / 255
        zero = np.rint(-min(x.min(), 0) / scale)
        held = (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
        steps = np.abs(weights[f"{name}.weight"]).max(axis=1, keepdims=True) / 127
        rounded = np.rint(weights[f"{name}.weight"] / steps) * steps
        x = held @ rounded.T + weights[f"{name}.bias"]
        x = np.maximum(x, 0) if name != "third" else x
    expected = x / np.linalg.norm(x, axis=1, keepdims=True)
    # A value that lies between two steps may fall to either side in float32.
    np.testing.assert_allclose(run(rewritten, batch, optimize=optimize), expected, atol=4e-3)


def test_weights_are_int8_with_a_scale_for_each_column():
    model = _rewritten(transformer(), ["layer0.mlp.up"])
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    weight, scale = stored["layer0.mlp.up.weight.int8"], stored["layer0.mlp.up.weight.scale"]
    assert weight.data_type == TensorProto.INT8
    assert tuple(weight.dims) == (32, 128)
    assert tuple(scale.dims) == (128,)
    assert np.abs(numpy_helper.to_array(weight).astype(int)).max() == 127
    assert "layer0.mlp.up.weight" not in stored


def test_seven_bits_stay_within_63():
    model = _rewritten(transformer(), ["layer0.mlp.up"], dynamic_int8.apply_7bit)
    weight = next(t for t in model.graph.initializer if t.name == "layer0.mlp.up.weight.int8")
    assert np.abs(numpy_helper.to_array(weight).astype(int)).max() == 63


def test_an_embedding_depends_a_little_on_its_batch():
    model = _rewritten(transformer(), _PRODUCTS)
    batch = ids()
    together = run(model, batch)
    alone = np.concatenate([run(model, batch[i : i + 1]) for i in range(len(batch))])
    assert 0 < np.abs(together - alone).max() < 0.05


def test_a_convolution_is_left_alone():
    editor = Editor(convnet())
    assert not dynamic_int8.apply(editor, "stem", {})
    assert editor.node("stem").op_type == "Conv"


@pytest.mark.parametrize("factors", [{"alpha": 0.5}, {"beta": 2.0}, {"alpha": 2.0, "beta": 0.5}], ids=str)
def test_the_factors_of_a_gemm_count(factors):
    model = gemm_tower()
    for node in model.graph.node:
        if node.name == "second":
            node.attribute.extend(helper.make_attribute(name, value) for name, value in factors.items())
    expected = run(model, pixels())
    found = run(_rewritten(model, ["first", "second", "third"]), pixels())
    assert (found * expected).sum(axis=1).min() > 0.999
