from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration, correction, dynamic_int8, linear, stored_weights
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.records import Range
from small_towers import convnet, gemm_tower, ids, pixels, run, transformer


def _outputs(model, tensor, batch):
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([tensor], {session.get_inputs()[0].name: batch})[0]


@pytest.mark.parametrize(
    ("make", "batch", "key", "result", "axes"),
    [
        (convnet, pixels(), "widen", "widen.out", (0, 2, 3)),
        (convnet, pixels(), "block0.point", "block0.point.out", (0, 2, 3)),
        (gemm_tower, pixels(), "second", "second.out", (0,)),
        (transformer, ids(), "layer0.mlp.down", "layer0.mlp.down.add.out", (0, 1)),
    ],
    ids=["pointwise", "after a clip", "gemm", "matmul and add"],
)
def test_the_mean_of_the_outputs_is_kept(make, batch, key, result, axes, tmp_path):
    path = tmp_path / "tower.onnx"
    store.save(make(), path)
    tensors = correction.wanted(Editor(make()), key)
    ranges = calibration.measure(path, [batch], tensors, "minmax")
    expected = _outputs(make(), result, batch).mean(axis=axes)
    off = {}
    for name, given in (("plain", {}), ("corrected", ranges)):
        editor = Editor(make())
        # Coarse weights, so that there is a mean error to take back.
        assert stored_weights._apply(editor, key, "coarse", lambda value, _: _coarse(value), given)
        off[name] = np.abs(_outputs(editor.close(), result, batch).mean(axis=axes) - expected).max()
    assert off["plain"] > 1e-3
    assert off["corrected"] < 0.01 * off["plain"]


def _coarse(value):
    return quantize(value, 0, levels=3)


def test_a_depthwise_convolution_is_corrected_by_its_own_plane():
    model = convnet()
    editor = Editor(model)
    node = editor.node("block0.depth")
    weight = editor.value(node.input[1])
    before = editor.value(node.input[2]).copy()
    means = tuple(float(i) for i in range(16))
    moved = weight + np.float32(0.01)
    correction.convolution(editor, node, moved, {"widen.clip.out": Range(0, 6, means=means)})
    # Each output sums nine weights, each too large by 0.01, of a plane of mean i.
    np.testing.assert_allclose(editor.value(node.input[2]), before - 0.09 * np.arange(16), atol=1e-4)


@pytest.mark.parametrize("means", [(), (1.0, 2.0)], ids=["none", "wrong count"])
def test_without_means_of_its_channels_nothing_happens(means):
    editor = Editor(convnet())
    node = editor.node("block0.depth")
    bias = node.input[2]
    correction.convolution(editor, node, editor.value(node.input[1]) * 2, {"widen.clip.out": Range(0, 6, means=means)})
    assert node.input[2] == bias


def test_a_product_without_bias_stays_without():
    editor = Editor(transformer())
    found = linear.read(editor, "project")
    assert found is not None
    spans = {"pool.out": Range(-1, 1, means=(1.0,) * 32)}
    assert correction.linear(editor, found, found.weight * 2, spans) == found
    assert [node.op_type for node in editor.readers("project.out")] == ["ReduceL2", "Div"]


def test_a_sum_of_two_activations_is_no_bias():
    editor = Editor(transformer())
    node = editor.node("layer0.mlp.residual")
    before = list(node.input)
    down = editor.node("layer0.mlp.down.add")
    bias = down.input[0]
    found = linear.read(editor, "layer0.mlp.down")
    assert found is not None
    spans = {found.source: Range(-1, 1, means=(0.5,) * 128)}
    correction.linear(editor, found, found.weight * 1.1, spans)
    assert list(node.input) == before
    assert down.input[0] == f"{bias}.corrected"


def test_a_bias_that_two_layers_share_is_changed_for_one():
    model = transformer()
    for node in model.graph.node:
        if node.name == "layer1.mlp.down.add":
            node.input[0] = "layer0.mlp.down.bias"
    editor = Editor(model)
    found = linear.read(editor, "layer0.mlp.down")
    assert found is not None
    spans = {found.source: Range(-1, 1, means=(0.5,) * 128)}
    assert dynamic_int8.apply(editor, "layer0.mlp.down", spans)
    editor.close()
    other = next(node for node in model.graph.node if node.name == "layer1.mlp.down.add")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    original = next(t for t in transformer().graph.initializer if t.name == "layer0.mlp.down.bias")
    np.testing.assert_array_equal(stored[other.input[0]], numpy_helper.to_array(original))


def test_wanted_tensors():
    editor = Editor(convnet())
    assert correction.wanted(editor, "block0.depth") == ("widen.clip.out",)
    assert correction.wanted(editor, "head") == ("flat.out",)
    assert correction.wanted(Editor(transformer()), "tokens") == ()
    assert run(convnet(), pixels()).shape == (8, 24)
