from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from edgekit.converters.quantize.methods import linear
from edgekit.converters.quantize.methods.editor import Editor
from small_towers import convnet, gemm_tower, ids, pixels, run, transformer


def _stored(model, name):
    return next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == name)


def test_a_matmul_is_read_as_it_stands():
    model = transformer()
    found = linear.read(Editor(model), "layer0.mlp.up")
    assert found is not None
    assert (found.source, found.name, found.bias) == ("layer0.mlp.norm.out", "layer0.mlp.up.weight", "")
    assert found.output == "layer0.mlp.up.out"
    np.testing.assert_array_equal(found.weight, _stored(model, "layer0.mlp.up.weight"))


def test_a_gemm_is_read_with_its_weights_turned_and_its_bias():
    model = gemm_tower()
    found = linear.read(Editor(model), "second")
    assert found is not None
    assert found.bias == "second.bias"
    np.testing.assert_array_equal(found.weight, _stored(model, "second.weight").T)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 1.0), (1.0, 3.0), (-2.0, 0.25)])
def test_written_as_matmul_and_add_it_computes_the_same(alpha, beta):
    model = gemm_tower()
    for node in model.graph.node:
        if node.name == "second":
            node.attribute.extend([helper.make_attribute("alpha", alpha), helper.make_attribute("beta", beta)])
    expected = run(model, pixels())
    editor = Editor(model)
    found = linear.read(editor, "second")
    assert found is not None
    editor.remove("second")
    editor.add("MatMul", [found.source, editor.constant("w", found.weight)], linear.product(editor, found))
    np.testing.assert_allclose(run(editor.close(), pixels()), expected, atol=1e-6)


def test_what_is_no_product_with_a_stored_matrix_is_not_read():
    editor = Editor(convnet())
    assert linear.read(editor, "stem") is None
    editor = Editor(transformer())
    assert linear.read(editor, "layer0.attention.logits") is None
    assert linear.read(editor, "tokens") is None


def test_a_gemm_that_transposes_its_activations_is_not_read():
    model = gemm_tower()
    for node in model.graph.node:
        if node.name == "second":
            node.attribute.append(helper.make_attribute("transA", 1))
    assert linear.read(Editor(model), "second") is None


def test_a_bias_scaled_at_run_time_is_not_read():
    model = gemm_tower()
    for node in model.graph.node:
        if node.name == "second":
            node.attribute.append(helper.make_attribute("beta", 0.5))
            node.input[2] = "first.relu.out"
    assert linear.read(Editor(model), "second") is None


def test_a_stack_of_matrices_is_not_read():
    model = transformer()
    for tensor in model.graph.initializer:
        if tensor.name == "layer0.mlp.up.weight":
            value = numpy_helper.to_array(tensor)[None]
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    assert linear.read(Editor(model), "layer0.mlp.up") is None


def test_a_bias_is_merged_only_where_there_are_two_axes():
    editor = Editor(transformer())
    found = linear.read(editor, "layer0.mlp.up")
    assert found is not None
    assert linear.merged_bias(editor, found) == (found, "")


@pytest.mark.parametrize("width", [24, 1])
def test_only_a_bias_of_one_number_a_column_is_merged(width):
    model = transformer()
    bias = numpy_helper.from_array(np.ones(width, np.float32), "extra")
    model.graph.initializer.append(bias)
    position = next(i for i, node in enumerate(model.graph.node) if node.name == "project")
    for node in model.graph.node[position + 1 :]:
        for i, name in enumerate(node.input):
            if name == "project.out":
                node.input[i] = "shifted"
    model.graph.node.insert(position + 1, helper.make_node("Add", ["extra", "project.out"], ["shifted"], name="shift"))
    expected = run(model, ids())
    editor = Editor(model)
    found = linear.read(editor, "project")
    assert found is not None
    merged, key = linear.merged_bias(editor, found)
    if width == 1:
        assert (merged, key) == (found, "")
        return
    assert (merged.bias, merged.output, key) == ("extra", "shifted", "shift")
    editor.remove("project")
    editor.remove("shift")
    editor.add("Gemm", [merged.source, merged.name, merged.bias], merged.output)
    np.testing.assert_allclose(run(editor.close(), ids()), expected, atol=1e-6)
