from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import a16w8, calibration, static_int8
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import Range, TowerDecision
from small_towers import convnet, cosines, gemm_tower, ids, pixels, run, transformer

_INPUTS = {transformer: ids, convnet: pixels, gemm_tower: pixels}


@pytest.fixture
def quantized(tmp_path):
    """Quantize every group of a tower that the method takes; returns the model."""

    def make(tower, method="static_int8", groups=None):
        path = tmp_path / "master.onnx"
        store.save(tower(), path)
        model = store.load(path)
        names = groups or [group.name for group in find_groups(model) if group.kind != "table"]
        decision = TowerDecision(dict.fromkeys(names, method))
        needed = calibration.needed_tensors(model, decision)
        ranges = calibration.measure(path, [_INPUTS[tower](32, seed=9)], needed, "minmax")
        return quantize_model(model, decision, ranges)

    return make


def _kernels(model, batch, tmp_path):
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: batch})
    with open(session.end_profiling()) as file:  # noqa: PTH123 - the engine gives a string
        events = json.load(file)
    return Counter(e["args"]["op_name"] for e in events if e.get("cat") == "Node" and e["name"].endswith("kernel_time"))


def _stored(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_convolutions_run_as_integers_from_end_to_end(quantized, tmp_path):
    kernels = _kernels(quantized(convnet), pixels(), tmp_path)
    assert kernels["QLinearConv"] == 6
    assert kernels["QLinearAdd"] == 2
    assert kernels["QGemm"] == 1
    assert kernels["Conv"] == kernels["Pad"] == kernels["Clip"] == kernels["Gemm"] == 0


def test_products_run_as_integers_and_give_floats(quantized, tmp_path):
    kernels = _kernels(quantized(transformer), ids(), tmp_path)
    assert kernels["MatMulIntegerToFloat"] == 13
    assert kernels["QLinearMatMul"] == 0
    assert kernels["Softmax"] == 2
    assert kernels["LayerNormalization"] + kernels["SkipLayerNormalization"] == 5


def test_products_of_two_axes_keep_their_bias_in_integers(quantized, tmp_path):
    kernels = _kernels(quantized(gemm_tower), pixels(), tmp_path)
    assert kernels["QGemm"] == 3
    assert kernels["DequantizeLinear"] == 0


def test_a_product_of_two_axes_followed_by_an_add_becomes_one_node():
    model = transformer()
    bias = numpy_helper.from_array(np.linspace(-1, 1, 24, dtype=np.float32), "projection.bias")
    model.graph.initializer.append(bias)
    nodes = list(model.graph.node)
    position = next(i for i, node in enumerate(nodes) if node.name == "project")
    model.graph.node.insert(
        position + 1, helper.make_node("Add", ["project.out", bias.name], ["shifted"], name="shift")
    )
    for node in model.graph.node[position + 2 :]:
        for i, name in enumerate(node.input):
            if name == "project.out":
                node.input[i] = "shifted"
    expected = run(model, ids())
    span = Range(-4, 4)
    found = quantize_model(model, TowerDecision({"head": "static_int8"}), {"pool.out": span})
    assert [node.op_type for node in found.graph.node if node.name.startswith("shifted")] == ["Gemm"]
    assert cosines(run(found, ids()), expected).min() > 0.98


@pytest.mark.parametrize(
    ("method", "levels"), [("static_int8", 127), ("static_int8_7bit", 63), ("static_int8_s8s8", 127)]
)
def test_weights_use_their_levels(method, levels, quantized):
    codes = {name: value for name, value in _stored(quantized(convnet, method)).items() if name.endswith("weight.int8")}
    assert len(codes) == 7
    for value in codes.values():
        assert value.dtype == np.int8
        assert np.abs(value.astype(int)).max() == levels


def test_seven_bit_products_cannot_saturate_sixteen_bits(quantized):
    for name, code in _stored(quantized(convnet, "static_int8_7bit")).items():
        if name.endswith("weight.int8"):
            flat = np.abs(code.reshape(len(code), -1).astype(int))
            pairs = flat if flat.shape[1] == 1 else flat[:, :-1] + flat[:, 1:]
            assert (pairs * 255).max() < 2**15


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("static_int8", TensorProto.UINT8),
        ("static_int8_s8s8", TensorProto.INT8),
        ("a16w8", TensorProto.UINT16),
    ],
)
def test_activations_have_the_type_of_the_method(method, kind, quantized):
    model = quantized(convnet, method)
    quantizers = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {tensor.data_type for tensor in model.graph.initializer if tensor.name in quantizers} == {kind}
    domains = {node.domain for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert domains == {"com.microsoft" if method == "a16w8" else ""}


def test_what_two_nodes_read_is_held_once(quantized):
    model = quantized(transformer, groups=["block00.attention"])
    assert Counter(node.op_type for node in model.graph.node)["QuantizeLinear"] == 2  # one for q, k and v, one for out


def test_with_and_without_the_engines_fusions_the_result_is_the_same(quantized):
    for tower, batch in ((convnet, pixels()), (gemm_tower, pixels()), (transformer, ids())):
        model = quantized(tower)
        fused, written = run(model, batch), run(model, batch, optimize=False)
        np.testing.assert_allclose(fused, written, atol=0.02)


def test_an_output_of_the_tower_is_never_held():
    model = gemm_tower()
    for node in model.graph.node:
        if node.name == "unit":
            node.op_type = "Identity"
            del node.input[1:]
    span = {"second.relu.out": Range(0, 4)}
    found = quantize_model(model, TowerDecision({"head": "static_int8"}), span)
    assert next(node for node in found.graph.node if "embedding" in node.output).op_type == "Identity"


def test_a_bias_too_large_for_its_scale_widens_the_scale():
    model = convnet()
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weight = numpy_helper.to_array(tensors["widen.weight"]).copy()
    weight[3] = 1e-12  # next to nothing: its step would be 8e-15, and its bias 1e13 steps
    bias = numpy_helper.to_array(tensors["widen.bias"]).copy()
    bias[3] = 3.0
    tensors["widen.weight"].CopyFrom(numpy_helper.from_array(weight, "widen.weight"))
    tensors["widen.bias"].CopyFrom(numpy_helper.from_array(bias, "widen.bias"))
    expected = run(model, pixels())
    spans = {"stem.relu.out": Range(0, 4), "widen.clip.out": Range(0, 6)}
    result = quantize_model(model, TowerDecision({"block00.convolution": "static_int8"}), spans)
    integers = next(
        value for name, value in _stored(result).items() if name.startswith("widen.bias") and "int32" in name
    )
    assert 0 < integers[3] <= 2**30
    assert cosines(run(result, pixels()), expected).min() > 0.97


@pytest.mark.parametrize("apply", [static_int8.apply_u8s8, static_int8.apply_u8s7, static_int8.apply_s8s8, a16w8.apply])
def test_a_look_up_is_left_alone(apply):
    editor = Editor(transformer())
    assert not apply(editor, "tokens", {})
    assert static_int8.tensors(editor, "tokens") == ()


def test_needed_tensors_of_a_convolution_are_what_is_padded_and_what_the_activation_gives():
    editor = Editor(convnet())
    assert static_int8.tensors(editor, "block0.depth") == ("widen.clip.out", "block0.clip.out")
    assert static_int8.tensors(editor, "block0.point") == ("block0.clip.out", "block0.point.out")
    assert static_int8.tensors(editor, "head") == ("flat.out",)


def test_padding_with_another_value_is_not_skipped():
    model = convnet()
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "filled"))
    pad = next(node for node in model.graph.node if node.name == "block0.pad")
    pad.input[2] = "filled"
    assert static_int8.tensors(Editor(model), "block0.depth")[0] == "block0.pad.out"


def test_one_block_alone_stays_right(quantized):
    expected = run(convnet(), pixels())
    model = quantized(convnet, groups=["block01.convolution"])
    assert cosines(run(model, pixels()), expected).min() > 0.98
    # Its shortcut is float, so its sum is too.
    held = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert not any(node.input[0].startswith("block0.residual") for node in held)


def _saturating_product(codes, weights):
    """u8 x s8 sums as processors without a dot product make them: pairs are added in 16 bits, which saturate."""
    products = codes[:, :, None].astype(np.int64) * weights[None].astype(np.int64)
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1)


@pytest.mark.parametrize(("method", "exact"), [("static_int8", False), ("static_int8_7bit", True)])
def test_what_a_processor_without_dot_product_makes_of_it(method, exact, quantized):
    """The first product's weights, and activations at the end of their range, in an emulation of that processor."""
    stored = _stored(quantized(gemm_tower, method))
    weights = next(value for name, value in stored.items() if name.startswith("first.weight") and name.endswith("int8"))
    assert weights.shape == (768, 32)
    codes = np.random.default_rng(0).integers(200, 256, (16, 768))
    right = codes.astype(np.int64) @ weights.astype(np.int64)
    assert np.array_equal(_saturating_product(codes, weights), right) == exact
