"""Typed float16 graphs, and how they are computed with every result rounded."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets import half, rounding
from edgekit.errors import ConversionError


def graph(nodes, constants, shape=(1, 4), kind=TensorProto.FLOAT):
    """A graph from ``x`` to ``y``."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chain():
    """x * 300 * 300 / 300 / 300: past float16's range and back."""
    names = ["x", "a", "b", "c", "y"]
    factors = {"up": np.array(300, np.float32), "down": np.array(1 / 300, np.float32)}
    nodes = [
        helper.make_node("Mul", [names[i], "up" if i < 2 else "down"], [names[i + 1]], f"mul{i}") for i in range(4)
    ]
    return graph(nodes, factors)


ONES = np.ones((2, 4), np.float32)


def test_float16_overflows_where_onnxruntimes_processor_does_not() -> None:
    """The reason for `rounding`: should the first assertion fail one day, the file itself may be the reference."""
    typed = half.typed(chain(), ())
    session = onnxruntime.InferenceSession(typed.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.isfinite(session.run(None, {"x": ONES[:1]})[0]).all()
    assert np.isinf(rounding.run(rounding.rounded(typed), ONES)).all()


def test_a_kept_node_is_computed_in_float32() -> None:
    typed = half.typed(chain(), {"b", "c"})
    found = rounding.run(rounding.rounded(typed), ONES)
    np.testing.assert_allclose(found, 1, atol=2e-3)
    types = half.types_of(typed)
    assert types["a"] == TensorProto.FLOAT16
    assert types["b"] == types["c"] == TensorProto.FLOAT
    assert (types["x"], types["y"]) == (TensorProto.FLOAT, TensorProto.FLOAT)
    onnx.checker.check_model(typed, full_check=True)


def test_everything_kept_is_the_float_graph() -> None:
    model = chain()
    typed = half.typed(model, half.eligible(model))
    assert [node.op_type for node in typed.graph.node] == ["Mul"] * 4
    np.testing.assert_array_equal(rounding.run(typed, ONES), rounding.run(model, ONES))


def test_the_graph_given_is_left_as_it_was() -> None:
    model = chain()
    before = model.SerializeToString(deterministic=True)
    rounding.rounded(half.typed(model, ()))
    assert model.SerializeToString(deterministic=True) == before


def test_rounding_is_numpys() -> None:
    random = np.random.default_rng(1)
    weight, x = (random.normal(size=size).astype(np.float32) for size in ((4, 3), (5, 4)))
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"], "m")], {"w": weight})
    found = rounding.run(rounding.rounded(half.typed(model, ())), x)
    exact = x.astype(np.float16).astype(np.float32) @ weight.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found, exact.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("value", [1e6, 1e-7])
def test_a_constant_that_float16_cannot_hold_keeps_its_node(value: float) -> None:
    model = graph([helper.make_node("Mul", ["x", "k"], ["y"], "m")], {"k": np.array(value, np.float32)})
    assert half.eligible(model) == ()


def test_a_tensor_of_which_some_are_small_may_be_half() -> None:
    model = graph([helper.make_node("Mul", ["x", "k"], ["y"], "m")], {"k": np.array([1, 1e-9, 0, 2], np.float32)})
    assert half.eligible(model) == ("y",)


def test_integers_stay_exact() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], "wide", to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["wide"], ["place"], "place", axis=1),
        helper.make_node("Cast", ["place"], ["y"], "out", to=TensorProto.FLOAT),
    ]
    model = graph(nodes, {}, kind=TensorProto.INT32)
    assert half.eligible(model) == ()
    pixels = graph([helper.make_node("Cast", ["x"], ["y"], "c", to=TensorProto.FLOAT)], {}, kind=TensorProto.UINT8)
    assert half.eligible(pixels) == ("y",)
    typed = half.typed(pixels, ())
    assert [one.i for node in typed.graph.node for one in node.attribute] == [TensorProto.FLOAT16, TensorProto.FLOAT]


def test_inputs_that_are_float32_by_definition_stay_so() -> None:
    """Scales of a Resize are float32 in any precision."""
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], "r", mode="nearest")]
    model = graph(nodes, {"scales": np.array([1, 2], np.float32)})
    typed = half.typed(model, ())
    assert half.types_of(typed)["scales"] == TensorProto.FLOAT
    assert rounding.run(rounding.rounded(typed), ONES).shape == (2, 8)


def test_one_cast_serves_all_who_read() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "a"),
        helper.make_node("Sqrt", ["a"], ["b"], "b"),
        helper.make_node("Abs", ["a"], ["c"], "c"),
        helper.make_node("Add", ["b", "c"], ["y"], "y"),
    ]
    typed = half.typed(graph(nodes, {}), {"a"})
    assert len([node for node in typed.graph.node if list(node.input) == ["a"] and node.op_type == "Cast"]) == 1


def test_what_cannot_be_run_is_an_error() -> None:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"], "m")], {"w": np.ones((3, 3), np.float32)})
    with pytest.raises(ConversionError, match="cannot be run here"):
        rounding.run(model, ONES)
