"""Rewrites leave what a tower means, and take away what a compiler breaks on."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.adapting import PROJECTION, unit_rows
from edgekit.converters.targets import rewrites, static
from edgekit.errors import UnsupportedModelError


def _names(model) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_the_length_is_left_to_the_sdk(masters, folded, rows) -> None:
    path, _, inputs = masters["text"]
    model = folded("text")
    rewrites.move_length_out(model)
    onnx.checker.check_model(model)
    assert model.graph.output[0].name == PROJECTION
    assert not {"ReduceL2", "ReduceMax", "Abs"} & set(_names(model))
    found = rows(model, inputs)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(unit_rows(found), rows(path, inputs), atol=1e-5)


def test_a_tower_without_a_length_is_refused(folded) -> None:
    model = folded("text")
    rewrites.move_length_out(model)
    with pytest.raises(UnsupportedModelError, match="does not end in rows of length one"):
        rewrites.move_length_out(model)


def test_masks_are_bounded_and_nothing_else_changes(masters, folded, rows) -> None:
    path, _, inputs = masters["text"]
    model = folded("text")
    before = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    assert rewrites.bound_masks(model) == 1
    changed = [t for t in model.graph.initializer if not np.array_equal(numpy_helper.to_array(t), before[t.name])]
    assert len(changed) == 1
    values = numpy_helper.to_array(changed[0])
    assert set(np.unique(values)) == {0, rewrites.MASKED}
    np.testing.assert_allclose(rows(model, inputs), rows(path, inputs), atol=1e-5)
    assert rewrites.bound_masks(model) == 0


@pytest.mark.parametrize(("op", "values"), [("Clip", [-1e9, 0]), ("Add", [-1e4, 3]), ("Add", [0, 0])])
def test_bounds_weights_and_zeros_are_no_masks(op: str, values: list[float]) -> None:
    constant = numpy_helper.from_array(np.array(values if op == "Add" else values[0], np.float32), "c")
    node = helper.make_node(op, ["x", "c"], ["y"])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", infos[:1], infos[1:], [constant]))
    assert rewrites.bound_masks(model) == 0


def test_every_product_gets_a_bias_that_changes_nothing(masters, folded, rows) -> None:
    path, _, inputs = masters["image"]
    model = folded("image")
    static.move_scaling_out(model)
    # The tiny masters' attention has biases of zeros, and their head has none.
    before = _names(model).count("Add")
    assert rewrites.give_biases(model) >= 2
    onnx.checker.check_model(model)
    assert _names(model).count("Add") > before
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in stored]
    readers = {name: node for node in model.graph.node for name in node.input}
    for product in products:
        added = readers[product.output[0]]
        assert added.op_type == "Add"
        (bias,) = [stored[name] for name in added.input if name in stored]
        assert np.ptp(bias) > 0
    import tiny_masters

    mean, std = (255 * np.array(values) for values in (tiny_masters.SPEC.mean, tiny_masters.SPEC.std))
    scaled = ((inputs - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(rows(model, scaled), rows(path, inputs), atol=1e-4)
    assert rewrites.give_biases(model) == 0


@pytest.mark.parametrize("axes_as", ["attribute", "input"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_lengths_are_spelled_out_and_mean_the_same(axes_as, keepdims) -> None:
    opset = 13 if axes_as == "attribute" else 18
    given = {"axes": [1]} if axes_as == "attribute" else {}
    inputs = ["x"] if axes_as == "attribute" else ["x", "axes"]
    graph = helper.make_graph(
        [helper.make_node("ReduceL2", inputs, ["y"], "length", keepdims=keepdims, **given)],
        "lengths",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 1] if keepdims else [4])],
        [] if axes_as == "attribute" else [numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    assert rewrites.spell_lengths_out(model) == 1
    assert _names(model) == ["Mul", "ReduceSum", "Sqrt"]
    onnx.checker.check_model(model)
    rows = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(None, {"x": rows})[0], np.linalg.norm(rows, axis=1, keepdims=bool(keepdims)), rtol=1e-6
    )
    assert rewrites.spell_lengths_out(model) == 0
