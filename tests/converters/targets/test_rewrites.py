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


def _tower(nodes, constants=(), *, width=6):
    """A projection of ``x`` (1, 4) to ``rows`` (1, width), and nodes that make ``embedding`` of it."""
    weights = np.random.default_rng(2).normal(size=(4, width)).astype(np.float32)
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (("w", weights), *constants)]
    product = helper.make_node("MatMul", ["x", "w"], ["rows"], "head")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    taken = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, width])
    graph = helper.make_graph([product, *nodes], "tower", [given], [taken], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


AXIS, TWO = ("axis", np.array([-1])), ("two", np.float32(2))
EPSILON, SIZE = ("epsilon", np.float32(1e-12)), ("size", np.array([1, 6]))
node = helper.make_node
# As torch.nn.functional.normalize is exported, as JAX and Keras write it, and as people write it by hand.
LENGTHS = {
    "normalize": (
        [
            node("ReduceL2", ["rows"], ["l"], axes=[-1], keepdims=1),
            node("Clip", ["l", "epsilon", ""], ["c"]),
            node("Expand", ["c", "size"], ["e"]),
            node("Div", ["rows", "e"], ["embedding"]),
        ],
        [EPSILON, SIZE],
    ),
    "a power": (
        [
            node("Pow", ["rows", "two"], ["p"]),
            node("ReduceSum", ["p", "axis"], ["s"]),
            node("Sqrt", ["s"], ["l"]),
            node("Max", ["l", "epsilon"], ["m"]),
            node("Div", ["rows", "m"], ["embedding"]),
        ],
        [AXIS, TWO, EPSILON],
    ),
    "a reciprocal": (
        [
            node("Mul", ["rows", "rows"], ["p"]),
            node("ReduceSum", ["p", "axis"], ["s"]),
            node("Sqrt", ["s"], ["l"]),
            node("Reciprocal", ["l"], ["r"]),
            node("Mul", ["r", "rows"], ["embedding"]),
        ],
        [AXIS],
    ),
}


@pytest.mark.parametrize("form", LENGTHS)
def test_a_length_is_found_however_it_is_written(form, rows) -> None:
    model = _tower(*LENGTHS[form])
    inputs = np.random.default_rng(5).normal(size=(8, 4)).astype(np.float32)
    wanted = rows(model, inputs)
    rewrites.move_length_out(model)
    onnx.checker.check_model(model, full_check=True)
    assert _names(model) == ["MatMul"]
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]
    np.testing.assert_allclose(unit_rows(rows(model, inputs)), wanted, atol=1e-6)


def test_a_factor_a_channel_before_the_length_stays(rows) -> None:
    """A last layer's scale is a Mul as well, and changes where a row points."""
    nodes, constants = LENGTHS["normalize"]
    scaled = [node("Mul", ["plain", "gain"], ["rows"], "gain"), *nodes]
    model = _tower(scaled, [*constants, ("gain", np.array([1, -2, 3, 0.5, 1, 8], np.float32))])
    model.graph.node[0].output[0] = "plain"
    inputs = np.random.default_rng(5).normal(size=(8, 4)).astype(np.float32)
    wanted = rows(model, inputs)
    rewrites.move_length_out(model)
    assert _names(model) == ["MatMul", "Mul"]
    np.testing.assert_allclose(unit_rows(rows(model, inputs)), wanted, atol=1e-6)


@pytest.mark.parametrize("op", ["Abs", "Sqrt"])
def test_an_activation_that_could_be_of_the_length_is_told(op) -> None:
    nodes, constants = LENGTHS["normalize"]
    model = _tower([node(op, ["plain"], ["rows"], "last"), *nodes], constants)
    model.graph.node[0].output[0] = "plain"
    told = rf"nodes after 'plain' \({op}, ReduceL2, Clip, Expand, Div\) do more than bring rows to length one"
    with pytest.raises(UnsupportedModelError, match=told):
        rewrites.move_length_out(model)


@pytest.mark.parametrize(
    ("nodes", "made_of"),
    [
        ([node("Add", ["rows", "rows"], ["embedding"])], "rows"),
        ([node("Relu", ["rows"], ["a"]), node("Div", ["rows", "a"], ["embedding"])], "a, rows"),
        ([node("Div", ["x", "x"], ["embedding"])], "x"),
    ],
)
def test_what_the_end_is_made_of_is_named(nodes, made_of) -> None:
    model = _tower(nodes, width=4)
    before = model.SerializeToString()
    with pytest.raises(UnsupportedModelError, match=rf"made of one tensor, but in what is made of {made_of}; convert"):
        rewrites.move_length_out(model)
    assert model.SerializeToString() == before


def test_the_outputs_name_is_taken_from_whatever_bears_it(rows) -> None:
    """A tower may call its own weights, or a layer's result, ``projection``."""
    nodes, constants = LENGTHS["normalize"]
    named = [node("Relu", ["first"], [PROJECTION]), node("Add", [PROJECTION, "first"], ["rows"]), *nodes]
    model = _tower(named, constants)
    model.graph.node[0].output[0] = "first"
    weights = _tower(*LENGTHS["normalize"])
    weights.graph.initializer[0].name = weights.graph.node[0].input[1] = PROJECTION
    inputs = np.random.default_rng(5).normal(size=(8, 4)).astype(np.float32)
    for one in (model, weights):
        wanted = rows(one, inputs)
        rewrites.move_length_out(one)
        onnx.checker.check_model(one, full_check=True)
        assert one.graph.output[0].name == PROJECTION
        np.testing.assert_allclose(unit_rows(rows(one, inputs)), wanted, atol=1e-6)


@pytest.mark.parametrize("lowest", [-np.inf, float(np.finfo(np.float32).min), -1e4, -1e3])
def test_however_low_a_mask_reaches(lowest) -> None:
    values = np.triu(np.full((3, 3), lowest, np.float32), 1)
    model = _tower([node("Add", ["rows", "mask"], ["embedding"])], [("mask", values)], width=3)
    assert rewrites.bound_masks(model) == 1
    found = numpy_helper.to_array(model.graph.initializer[1])
    np.testing.assert_array_equal(found, np.triu(np.full((3, 3), -30, np.float32), 1))
    assert np.exp(found.min()) < 1e-12


def test_a_constant_that_something_else_reads_too_is_no_mask() -> None:
    mask = np.array([0, -1e4, 0, 0, 0, 0], np.float32)
    nodes = [node("Add", ["rows", "m"], ["a"]), node("MatMul", ["m", "square"], ["b"])]
    model = _tower(nodes, [("m", mask), ("square", np.eye(6, dtype=np.float32))])
    assert rewrites.bound_masks(model) == 0
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[1]), mask)


@pytest.mark.parametrize(
    ("after", "stays"),
    [
        # Read twice, followed by nothing, by something else, by a row of a matrix, by a bias of one value, by one of
        # differing values.
        ([node("Relu", ["rows"], ["a"]), node("Add", ["a", "rows"], ["embedding"])], False),
        ([], False),
        ([node("Relu", ["rows"], ["embedding"])], False),
        ([node("Add", ["rows", "matrix"], ["embedding"])], False),
        ([node("Add", ["same", "rows"], ["embedding"])], False),
        ([node("Add", ["rows", "differ"], ["embedding"])], True),
    ],
)
def test_a_bias_is_given_where_there_is_none_that_differs(after, stays, rows) -> None:
    constants = [("same", np.full(6, 0.25, np.float32)), ("differ", np.linspace(-1, 1, 6, dtype=np.float32))]
    constants.append(("matrix", np.linspace(-2, 2, 6, dtype=np.float32)[None]))
    model = _tower(after, constants)
    if not after:
        model.graph.node[0].output[0] = "embedding"
    inputs = np.random.default_rng(5).normal(size=(8, 4)).astype(np.float32)
    wanted = rows(model, inputs)
    assert rewrites.give_biases(model) == (0 if stays else 1)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(rows(model, inputs), wanted, atol=1e-6)
    (product,) = [one for one in model.graph.node if one.op_type == "MatMul"]
    (reader,) = [one for one in model.graph.node if product.output[0] in one.input]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    (bias,) = [stored[name] for name in reader.input if name in stored]
    assert reader.op_type == "Add"
    assert np.ptp(bias) > 0
    # Nothing that float16 resolves beside numbers of this size.
    assert stays or np.abs(bias - np.round(bias * 4) / 4).max() <= 1e-7
