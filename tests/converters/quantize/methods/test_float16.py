from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration, float16
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_groups, find_regions
from edgekit.converters.quantize.methods.records import Range, TowerDecision
from edgekit.errors import ConversionError, InputError
from small_towers import convnet, cosines, gemm_tower, ids, pixels, run, transformer


def _decision(model, kinds=("attention", "mlp", "convolution", "head", "other")):
    return TowerDecision({group.name: "float16" for group in find_groups(model) if group.kind in kinds})


def _ranges(model, path, batch, decision):
    store.save(onnx.ModelProto.FromString(model.SerializeToString()), path)
    return calibration.measure(path, [batch], calibration.needed_tensors(model, decision), "minmax")


def _types(model):
    """Type of each node's first result, after inference."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    return {node.name: kinds.get(node.output[0]) for node in model.graph.node}


@pytest.mark.parametrize(
    ("make", "inputs"), [(transformer, ids), (convnet, pixels), (gemm_tower, pixels)], ids=["text", "conv", "gemm"]
)
def test_products_are_float16_and_norms_are_not(make, inputs, tmp_path):
    model = make()
    expected = run(model, inputs())
    decision = _decision(model)
    result = quantize_model(model, decision, _ranges(model, tmp_path / "m.onnx", inputs(seed=9), decision))
    kinds = _types(result)
    products = [n.name for n in result.graph.node if n.op_type in ("MatMul", "Gemm", "Conv")]
    assert {kinds[name] for name in products} == {TensorProto.FLOAT16}
    islands = [n.name for n in result.graph.node if n.op_type in ("LayerNormalization", "Softmax", "ReduceL2", "Div")]
    assert {kinds[name] for name in islands if "scaled" not in name} == {TensorProto.FLOAT}
    assert {tensor.data_type for tensor in result.graph.initializer if len(tensor.dims) > 1} <= {
        TensorProto.FLOAT16,
        TensorProto.FLOAT if make is transformer else TensorProto.FLOAT16,  # the table
    }
    assert cosines(run(result, inputs()), expected).min() > 0.9999


def test_what_lies_between_two_products_is_float16_too(tmp_path):
    model = transformer()
    decision = TowerDecision({"block00.mlp": "float16"})
    result = quantize_model(model, decision, _ranges(model, tmp_path / "m.onnx", ids(), decision))
    casts = Counter(node.op_type for node in result.graph.node)["Cast"]
    assert casts == 3  # into it, its residual stream, and back
    assert _types(result)["layer0.mlp.gelu"] == TensorProto.FLOAT16


def test_a_tensor_beyond_the_limit_stays_float32(tmp_path):
    model = transformer()
    decision = TowerDecision({"block00.mlp": "float16"})
    ranges = dict(_ranges(model, tmp_path / "m.onnx", ids(), decision))
    ranges["layer0.mlp.gelu.out"] = Range(-1, 1, largest=float16.LIMIT * 1.01)
    result = quantize_model(model, decision, ranges)
    kinds = _types(result)
    assert kinds["layer0.mlp.gelu"] == TensorProto.FLOAT
    assert kinds["layer0.mlp.down"] == TensorProto.FLOAT16


def test_the_limit_holds_before_outliers_are_cut(tmp_path):
    model = transformer()
    decision = TowerDecision({"block00.mlp": "float16"})
    needed = calibration.needed_tensors(model, decision)
    below = dict.fromkeys(needed, Range(-1, 1, largest=float16.LIMIT))
    above = dict.fromkeys(needed, Range(-1, 1, largest=float16.LIMIT * 2))
    assert _types(quantize_model(transformer(), decision, below))["layer0.mlp.up"] == TensorProto.FLOAT16
    with pytest.raises(ConversionError, match="'float16' fits none of its nodes"):
        quantize_model(transformer(), decision, above)


def test_a_scalar_that_float16_loses_keeps_its_node_float32(tmp_path):
    model = transformer()
    for tensor in model.graph.initializer:
        if tensor.name == "layer0.mlp.half":
            tensor.CopyFrom(numpy_helper.from_array(np.array(1e-7, np.float32), tensor.name))
    decision = TowerDecision({"block00.mlp": "float16"})
    result = quantize_model(model, decision, _ranges(model, tmp_path / "m.onnx", ids(), decision))
    assert _types(result)["layer0.mlp.gelu"] == TensorProto.FLOAT


def test_weights_beyond_the_range_keep_their_node_float32(tmp_path):
    model = gemm_tower()
    for tensor in model.graph.initializer:
        if tensor.name == "second.weight":
            value = numpy_helper.to_array(tensor).copy()
            value[0, 0] = 7e4
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    needed = calibration.needed_tensors(model, _decision(model))
    result = quantize_model(model, _decision(model, ("other", "head")), dict.fromkeys(needed, Range(-1, 1)))
    assert _types(result)["second"] == TensorProto.FLOAT


def test_shapes_stay_integers(tmp_path):
    model = transformer()
    decision = _decision(model)
    result = quantize_model(model, decision, _ranges(model, tmp_path / "m.onnx", ids(), decision))
    stored = {tensor.name: tensor.data_type for tensor in result.graph.initializer}
    reshapes = [node for node in result.graph.node if node.op_type == "Reshape"]
    assert reshapes
    assert {stored[node.input[1]] for node in reshapes} == {TensorProto.INT64}


def test_needed_tensors_are_what_the_group_computes():
    model = transformer()
    region = next(region for region in find_regions(model) if region.group.name == "block01.mlp")
    names = float16.tensors(Editor(model), region)
    assert "layer1.mlp.up.out" in names
    assert "layer1.mlp.residual.out" in names
    assert not any("norm" in name or name.startswith("layer0") for name in names)


def test_a_missing_range_is_an_error():
    with pytest.raises(InputError, match=r"the range of 'project.out' is missing"):
        quantize_model(transformer(), TowerDecision({"head": "float16"}), {})
