"""A choice between two constants becomes arithmetic that means the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets.choices import spell_choices_out

MASK = -30.0


def _model(yes, no, *, stored=True):
    """A tower's mask: ids that are not 0 are seen, the others masked; ids as numbers are added."""
    nodes = [
        helper.make_node("Equal", ["ids", "pad"], ["padded"]),
        helper.make_node("Not", ["padded"], ["seen"]),
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Where", ["seen", "yes" if stored else "numbers", "no"], ["mask"], "mask"),
        helper.make_node("Add", ["numbers", "mask"], ["y"], "sum"),
    ]
    values = {"pad": np.int64(0), "yes": np.asarray(yes, np.float32), "no": np.asarray(no, np.float32)}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(
        nodes,
        "mask",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.array([[7, 2, 0, 0]], np.int64)})[0]


@pytest.mark.parametrize(("yes", "no"), [(0, MASK), ([[1, 2, 3, 4]], MASK), (MASK, [[0, 0, 0, 5]])])
def test_a_choice_of_constants_is_spelled_out(yes, no) -> None:
    model = _model(yes, no)
    wanted = _run(model)
    assert spell_choices_out(model) == 1
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Equal", "Not", "Cast", "Cast", "Mul", "Add", "Add"]
    # What was chosen between is no longer stored.
    assert {tensor.name for tensor in model.graph.initializer} == {"pad", "mask.factor", "mask.term"}
    np.testing.assert_array_equal(_run(model), wanted)
    assert spell_choices_out(model) == 0


def test_a_computed_choice_is_left() -> None:
    model = _model(0, MASK, stored=False)
    wanted = _run(model)
    assert spell_choices_out(model) == 0
    assert "Where" in [node.op_type for node in model.graph.node]
    np.testing.assert_array_equal(_run(model), wanted)


def test_infinity_is_left_because_zero_times_it_is_no_number() -> None:
    assert spell_choices_out(_model(0, -np.inf)) == 0


def test_every_node_has_a_name_of_its_own() -> None:
    model = _model(0, MASK)
    spell_choices_out(model)
    names = [node.name for node in model.graph.node if node.name]
    assert names == ["mask/number", "mask/scaled", "mask/chosen", "sum"]


def test_values_too_far_apart_for_their_difference_are_left() -> None:
    """Both are finite, their difference is not: zero times it would be no number."""
    model = _model(2e38, -2e38)
    wanted = _run(model)
    assert np.isfinite(wanted).all()
    assert spell_choices_out(model) == 0
    np.testing.assert_array_equal(_run(model), wanted)


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.one_of(st.integers(-4000, 4000), st.lists(st.integers(-4000, 4000), min_size=1, max_size=1)),
    st.integers(-4000, 4000),
)
@settings(deadline=None, max_examples=25)
def test_any_choice_of_numbers_is_exact(condition, yes, no) -> None:
    """Differences of integers this small are exact, so that not one bit may change; a shape may be broadcast."""
    shape = [1, len(condition)]
    infos = [
        helper.make_tensor_value_info("seen", TensorProto.BOOL, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
    ]
    constants = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in (("yes", yes), ("no", no))]
    node = helper.make_node("Where", ["seen", "yes", "no"], ["y"])
    graph = helper.make_graph([node], "g", infos[:1], infos[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert spell_choices_out(model) == 1
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"seen": np.array([condition])})[0]
    np.testing.assert_array_equal(found, np.where([condition], np.asarray(yes, np.float32), np.float32(no)))
