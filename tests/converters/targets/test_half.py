"""Typed float16 graphs, and how they are computed with every result rounded."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def halved(values):
    """Through float16 and back, as NumPy rounds."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32).astype(np.float16).astype(np.float32)


UNARY = {"Relu": lambda x: np.maximum(x, 0), "Neg": np.negative, "Abs": np.abs, "Exp": np.exp}
BINARY = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}


@given(
    st.lists(
        st.tuples(st.sampled_from([*UNARY, *BINARY]), st.booleans(), st.floats(-64, 64, width=16)),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.floats(-300, 300, width=16), min_size=4, max_size=4),
)
@settings(deadline=None, max_examples=40)
def test_a_chain_is_computed_as_float16_step_by_step(steps, values) -> None:
    """Any mixture of float16 and kept nodes, overflows included, against NumPy's own float16."""
    nodes, constants, kept = [], {}, set()
    wanted = np.array([values], np.float32)
    halves = False
    for number, (op, stay, factor) in enumerate(steps):
        name = "y" if number == len(steps) - 1 else f"t{number}"
        read = [f"t{number - 1}" if number else "x"]
        if op in BINARY:
            constants[f"c{number}"] = np.float32(factor)
            read.append(f"c{number}")
        nodes.append(helper.make_node(op, read, [name], name))
        # A scalar that float16 would make 0 or a subnormal number keeps its node in float32 anyway.
        tiny = op in BINARY and 0 < abs(factor) < np.finfo(np.float16).tiny
        stay = stay or bool(tiny)
        if stay:
            kept.add(name)
        given_values = wanted if stay else halved(wanted)
        with np.errstate(over="ignore", invalid="ignore"):
            exact = BINARY[op](given_values, np.float32(factor)) if op in BINARY else UNARY[op](given_values)
        # Relu passes on what is rounded already.
        wanted = exact if stay else halved(exact)
        halves |= not stay
    model = graph(nodes, constants)
    typed = half.typed(model, kept)
    onnx.checker.check_model(typed, full_check=True)
    assert any(kind == TensorProto.FLOAT16 for kind in half.types_of(typed).values()) == halves
    found = rounding.run(rounding.rounded(typed), np.array([values], np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)


def test_what_a_body_of_control_flow_reads_stays_float32() -> None:
    """A body is not rewritten, so that the types it was written for must stay."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("z",)]
    bodies = {
        name: helper.make_graph([helper.make_node(op, ["a"], ["z"])], name, [], infos)
        for name, op in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["a"], "read inside"),
        helper.make_node("ReduceMax", ["x"], ["m"], "m", axes=[0, 1], keepdims=0),
        helper.make_node("Greater", ["m", "k"], ["flag"], "flag"),
        helper.make_node("If", ["flag"], ["b"], "if", **bodies),
        helper.make_node("Sqrt", ["b"], ["y"], "after"),
    ]
    model = graph(nodes, {"k": np.array(2, np.float32)})
    assert half.eligible(model) == ("m", "y")
    typed = half.typed(model, ())
    onnx.checker.check_model(typed, full_check=True)
    types = half.types_of(typed)
    assert (types["a"], types["b"], types["m"]) == (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16)
    session = onnxruntime.InferenceSession(typed.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": ONES[:1] * 4})[0], np.sqrt(8) * ONES[:1], rtol=1e-3)


def test_an_output_that_is_read_inside_as_well_is_float32_outside_alone() -> None:
    nodes = [helper.make_node("Sqrt", ["x"], ["y"], "out"), helper.make_node("Exp", ["y"], ["unused"], "inside")]
    typed = half.typed(graph(nodes, {}), ())
    onnx.checker.check_model(typed, full_check=True)
    types = half.types_of(typed)
    assert (types["y"], types["unused"]) == (TensorProto.FLOAT, TensorProto.FLOAT16)
    x = np.array([[2, 3, 5, 7]], np.float32)
    np.testing.assert_array_equal(rounding.run(rounding.rounded(typed), x), halved(np.sqrt(halved(x))))


def test_what_reads_another_domains_operator_stays_float32() -> None:
    nodes = [
        helper.make_node("Gelu", ["x"], ["g"], "foreign", domain="com.microsoft"),
        helper.make_node("Concat", ["g", "none"], ["y"], "join", axis=1),
    ]
    model = graph(nodes, {"none": np.zeros((1, 0), np.float32)})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    # What type `g` has cannot be told: to cast the other input alone would break the graph.
    assert half.eligible(model) == ()
    typed = half.typed(model, ())
    session = onnxruntime.InferenceSession(typed.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": ONES[:1]})[0].shape == (1, 4)


def test_several_outputs_of_a_node_are_each_cast_or_kept() -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["left", "right"], "split", axis=1),
        helper.make_node("Mul", ["left", "right"], ["product"], "product"),
        helper.make_node("Sub", ["product", "left"], ["y"], "out"),
    ]
    typed = half.typed(graph(nodes, {}), {"product"})
    onnx.checker.check_model(typed, full_check=True)
    types = half.types_of(typed)
    assert types["left"] == types["right"] == TensorProto.FLOAT16
    assert types["product"] == TensorProto.FLOAT
    casts = [one.input[0] for one in typed.graph.node if one.op_type == "Cast"]
    # Up once for each side, and down once for the difference, whose right side is half already.
    assert sorted(casts) == ["left", "product", "right", "x", "y.half"]
    x = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    left, right = halved(x[:, :2]), halved(x[:, 2:])
    wanted = halved(halved(left * right) - left)
    np.testing.assert_array_equal(rounding.run(rounding.rounded(typed), x), wanted)
