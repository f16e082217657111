"""What is computed of ids means the same in float32, operator by operator, and what has no such form is named."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets import whole_numbers
from edgekit.errors import UnsupportedModelError

node = helper.make_node
SHAPE = (2, 5)
IDS = np.array([[7, 2, 9, 0, 0], [3, 9, 9, 1, 0]], np.int32)
WHOLE = {TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
CONSTANTS = {
    "three": np.int64(3),
    "zero": np.int64(0),
    "row": np.arange(5, dtype=np.int64),
    "some": np.array([4, 0, 2], np.int64),
    "last": np.array([-1], np.int64),
    "axis": np.array([1], np.int64),
    "flat": np.array([10], np.int64),
    "from": np.array([1], np.int64),
    "to": np.array([4], np.int64),
    "columns": np.array([[1, 9], [2, 0]], np.int64),
    "wide": np.array([2, 5], np.int64),
    "cube": np.zeros((2, 2, 2), np.float32),
    "yes": np.array([True, False, True, True, False]),
    "float_row": np.linspace(-1, 1, 5, dtype=np.float32),
    "masked": np.float32(-1e4),
    "clear": np.float32(0),
    "table": np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32),
}


def model(nodes: list[onnx.NodeProto], made: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A static graph of ``ids`` int32 (2, 5), with every shape told; it begins with the cast that exporters write."""
    cast = node("Cast", ["ids"], ["i"], "cast", to=TensorProto.INT64)
    given = helper.make_tensor_value_info("ids", TensorProto.INT32, SHAPE)
    taken = helper.make_tensor_value_info("y", made, None)
    read = {name for one in nodes for name in one.input}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items() if name in read]
    graph = helper.make_graph([cast, *nodes], "g", [given], [taken], stored)
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(plain, data_prop=True)


def floats(name: str) -> onnx.NodeProto:
    return node("Cast", [name], ["y"], "to float", to=TensorProto.FLOAT)


def run(graph: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": ids})[0]


def rewritten(graph: onnx.ModelProto) -> onnx.ModelProto:
    found = onnx.ModelProto.FromString(graph.SerializeToString())
    whole_numbers.rewrite(found, "ids")
    found.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    del found.graph.value_info[:]
    return found


BOTH = [node("Equal", ["i", "zero"], ["b"]), node("Greater", ["i", "three"], ["c"])]
CASES = {
    "equal to a constant": [node("Equal", ["i", "zero"], ["b"]), floats("b")],
    "greater": [node("Greater", ["i", "three"], ["b"]), floats("b")],
    "less": [node("Less", ["i", "three"], ["b"]), floats("b")],
    "not less": [node("GreaterOrEqual", ["i", "three"], ["b"]), floats("b")],
    "not greater": [node("LessOrEqual", ["i", "three"], ["b"]), floats("b")],
    "equal to another": [node("Sub", ["i", "three"], ["j"]), node("Equal", ["i", "j"], ["b"]), floats("b")],
    "not": [node("Equal", ["i", "zero"], ["b"]), node("Not", ["b"], ["d"]), floats("d")],
    "and": [*BOTH, node("And", ["b", "c"], ["d"]), floats("d")],
    "and with a constant": [*BOTH, node("And", ["yes", "c"], ["d"]), floats("d")],
    "or": [*BOTH, node("Or", ["b", "c"], ["d"]), floats("d")],
    "where of two constants": [*BOTH, node("Where", ["c", "clear", "masked"], ["y"])],
    "where of whole numbers": [*BOTH, node("Where", ["c", "i", "three"], ["j"]), floats("j")],
    "where of floats": [*BOTH, node("Cast", ["i"], ["f"], to=1), node("Where", ["b", "f", "float_row"], ["y"])],
    "sum": [node("ReduceSum", ["i", "axis"], ["s"]), floats("s")],
    "largest": [node("ReduceMax", ["i"], ["s"], axes=[1]), floats("s")],
    "the first of the largest": [node("ArgMax", ["i"], ["p"], axis=1, keepdims=0), floats("p")],
    "its axis kept": [node("ArgMax", ["i"], ["p"], axis=-1, keepdims=1), floats("p")],
    "the first that equals": [
        node("Equal", ["i", "three"], ["b"]),
        node("Cast", ["b"], ["k"], to=TensorProto.INT32),
        node("ArgMax", ["k"], ["p"], axis=-1, keepdims=0),
        floats("p"),
    ],
    "rows chosen by what was computed": [
        node("ArgMax", ["i"], ["p"], axis=-1, keepdims=0),
        node("Gather", ["table", "p"], ["y"], axis=0),
    ],
    "values chosen by constants": [
        node("Reshape", ["i", "flat"], ["r"]),
        node("Gather", ["r", "some"], ["g"], axis=0),
        floats("g"),
    ],
    "all values in their order": [
        node("ReduceMax", ["i"], ["s"], axes=[0], keepdims=0),
        node("Gather", ["s", "row"], ["g"], axis=0),
        floats("g"),
    ],
    "other shapes": [
        node("Unsqueeze", ["i", "axis"], ["u"]),
        node("Flatten", ["u"], ["v"], axis=2),
        node("Reshape", ["v", "flat"], ["w"]),
        node("Reshape", ["w", "flat"], ["x"]),
        floats("x"),
    ],
    "turned": [node("Transpose", ["i"], ["t"], perm=[1, 0]), floats("t")],
    "a number as a truth": [node("Cast", ["i"], ["b"], to=TensorProto.BOOL), floats("b")],
    "smallest": [node("ReduceMin", ["i"], ["s"], axes=[1]), floats("s")],
    "bounded": [node("Clip", ["i", "zero", "three"], ["c"]), floats("c")],
    "bounded from above": [node("Clip", ["i", "", "three"], ["c"]), floats("c")],
    "the larger and the smaller": [
        node("Max", ["i", "three"], ["l"]),
        node("Min", ["l", "row"], ["m"]),
        floats("m"),
    ],
    "how far apart": [
        node("Sub", ["three", "i"], ["d"]),
        node("Neg", ["d"], ["n"]),
        node("Abs", ["n"], ["a"]),
        floats("a"),
    ],
    "a part": [node("Slice", ["i", "from", "to", "axis"], ["p"]), floats("p")],
    "spread out": [
        node("ReduceMax", ["i"], ["s"], axes=[1], keepdims=1),
        node("Expand", ["s", "wide"], ["e"]),
        node("Equal", ["e", "i"], ["b"]),
        floats("b"),
    ],
    "a truth as a number": [
        node("Less", ["i", "three"], ["b"]),
        node("Cast", ["b"], ["k"], to=TensorProto.INT64),
        node("Mul", ["k", "i"], ["m"]),
        floats("m"),
    ],
    "without an axis of one": [
        node("ReduceMax", ["i"], ["s"], axes=[1], keepdims=1),
        node("Squeeze", ["s", "axis"], ["q"]),
        node("Identity", ["q"], ["o"]),
        floats("o"),
    ],
    "joined": [node("Concat", ["i", "columns"], ["j"], axis=1), node("ReduceMax", ["j"], ["s"], axes=[0]), floats("s")],
    "arithmetic": [node("Add", ["i", "three"], ["a"]), node("Mul", ["a", "i"], ["m"]), floats("m")],
}


@pytest.mark.parametrize("name", CASES)
def test_it_means_the_same(name) -> None:
    plain = model(CASES[name])
    found = rewritten(plain)
    onnx.checker.check_model(found)
    np.testing.assert_allclose(run(found, IDS.astype(np.float32)), run(plain, IDS), atol=1e-3)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_any_ids_mean_the_same(data) -> None:
    """Ties, ids that all are the same, and ids beyond what float16 tells apart: float32 counts to 2 ** 24."""
    name = data.draw(st.sampled_from(sorted(CASES)))
    # Ids that choose rows of a table stay inside it; the ArgMax before it sees to that.
    ids = data.draw(
        st.lists(
            st.lists(st.sampled_from([0, 1, 2, 3, 4, 49_407, 250_001]), min_size=5, max_size=5), min_size=2, max_size=2
        )
    )
    values = np.array(ids, np.int32)
    plain = model(CASES[name])
    wanted = run(plain, values)
    np.testing.assert_allclose(run(rewritten(plain), values.astype(np.float32)), wanted, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_no_whole_number_is_computed_any_more(name) -> None:
    found = onnx.shape_inference.infer_shapes(rewritten(model(CASES[name])))
    kinds = {value.type.tensor_type.elem_type for value in (*found.graph.value_info, *found.graph.output)}
    assert kinds == {TensorProto.FLOAT}
    assert not {"Cast", "Equal", "Not", "And", "Or", "Where", "ArgMax", "Gather"} & {
        one.op_type for one in found.graph.node
    }


def test_chains_of_shapes_become_one() -> None:
    plain = model(CASES["other shapes"])
    found = rewritten(plain)
    shaping = [one for one in found.graph.node if one.op_type == "Reshape"]
    assert len(shaping) >= 3
    # Each starts at what the ids were before they got other shapes.
    assert len({one.input[0] for one in shaping}) == 1


def test_nodes_that_no_id_reaches_stay() -> None:
    apart = [node("Greater", ["three", "zero"], ["b"], "apart"), node("Cast", ["b"], ["y"], to=1)]
    assert "apart" in {one.name for one in rewritten(model(apart)).graph.node}


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([node("CumSum", ["i", "three"], ["s"], "count"), floats("s")], r"'count' \(CumSum\) computes whole numbers"),
        (
            [node("ArgMax", ["i"], ["p"], "most", axis=0), floats("p")],
            r"'most' \(ArgMax\) is not the first of the last",
        ),
        (
            [node("ArgMax", ["i"], ["p"], "most", axis=1, select_last_index=1), floats("p")],
            r"'most' \(ArgMax\) is not the first",
        ),
        (
            [node("Gather", ["i", "some"], ["g"], "pick", axis=1), floats("g")],
            r"'pick' \(Gather\) chooses along axis 1",
        ),
        # Whole numbers are divided without a rest, which float32 is not.
        ([node("Div", ["i", "three"], ["d"], "halve"), floats("d")], r"'halve' \(Div\) computes whole numbers"),
        ([node("Mod", ["i", "three"], ["d"], "rest"), floats("d")], r"'rest' \(Mod\) computes whole numbers"),
        (
            [node("ArgMax", ["i"], ["p"], axis=-1, keepdims=0), node("Gather", ["cube", "p"], ["y"], "deep", axis=0)],
            r"'deep' \(Gather\) chooses along axis 0 of \(2, 2, 2\)",
        ),
    ],
)
def test_what_has_no_form_is_named_with_another_engine(nodes, told) -> None:
    with pytest.raises(UnsupportedModelError, match=told + r".*compile the bundle for mnn or openvino"):
        rewritten(model(nodes))
