"""The embedding at the end of a text without ArgMax: the same rows, whatever follows the end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import tiny_masters
from edgekit.converters.targets import pooling
from edgekit.errors import UnsupportedModelError


def operators(model) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


def test_rows_stay_and_argmax_goes(folded, masters, rows) -> None:
    model = folded("text")
    samples = masters["text"][2]
    before = rows(model, samples)
    assert operators(model)["ArgMax"] == 1
    assert pooling.by_table(model) == 1
    onnx.checker.check_model(model)
    assert operators(model)["ArgMax"] == 0
    np.testing.assert_allclose(rows(model, samples), before, atol=1e-5)


def test_the_first_of_several_ends_counts(folded, masters, rows) -> None:
    # Some tokenizers pad with the token that ends a text.
    samples = np.array(masters["text"][2])
    for row in samples:
        row[np.argmax(row) :] = tiny_masters.VOCABULARY - 1
    model = folded("text")
    before = rows(model, samples)
    pooling.by_table(model)
    np.testing.assert_allclose(rows(model, samples), before, atol=1e-5)


def test_the_table_holds_zeros_and_a_one(folded) -> None:
    model = folded("text")
    pooling.by_table(model)
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "pooling.table")
    values = onnx.numpy_helper.to_array(table)
    assert values.shape == (tiny_masters.VOCABULARY, 1)
    assert (values.sum(), values[-1, 0]) == (1, 1)


def test_a_tower_without_argmax_is_left(folded) -> None:
    model = folded("image")
    before = model.SerializeToString()
    assert pooling.by_table(model) == 0
    assert model.SerializeToString() == before


def _text(nodes, end=None):
    """Ids int32 (1, 5) that are looked up in a table, and nodes from them to ``place``, of which a row is taken."""
    random = np.random.default_rng(1)
    constants = {
        "words": random.normal(size=(9, 4)).astype(np.float32),
        "end": np.int64(3 if end is None else end),
        "same": np.array([-1, 5]),
        "flat": np.array([5, 4]),
    }
    whole = [
        helper.make_node("Cast", ["ids"], ["wide"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["wide", "same"], ["i"]),
        helper.make_node("Gather", ["words", "i"], ["rows"]),
        helper.make_node("Tanh", ["rows"], ["bent"]),
        helper.make_node("Reshape", ["bent", "flat"], ["list"]),
        *nodes,
        helper.make_node("Gather", ["list", "place"], ["y"], "take", axis=0),
    ]
    given = helper.make_tensor_value_info("ids", TensorProto.INT32, [1, 5])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    stored = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(whole, "text", [given], [taken], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


# As transformers' CLIP is exported: of checkpoints with the first release's id of the end, and of newer ones.
NARROW = helper.make_node("Cast", ["i"], ["narrow"], to=TensorProto.INT32)
LARGEST = [NARROW, helper.make_node("ArgMax", ["narrow"], ["place"], "last", axis=-1, keepdims=0)]
FIRST = [
    NARROW,
    helper.make_node("Cast", ["narrow"], ["again"], to=TensorProto.INT64),
    helper.make_node("Equal", ["again", "end"], ["is"]),
    helper.make_node("Cast", ["is"], ["number"], to=TensorProto.INT32),
    helper.make_node("ArgMax", ["number"], ["place"], "last", axis=-1, keepdims=0),
]


@given(
    st.sampled_from(["largest", "first", "first, the other way round"]),
    st.lists(st.integers(0, 8), min_size=5, max_size=5),
    st.integers(0, 4),
)
@settings(deadline=None, max_examples=40)
def test_the_same_row_is_taken_of_any_text_that_has_an_end(form, ids, place) -> None:
    ids[place] = 8 if form == "largest" else 3
    nodes = LARGEST if form == "largest" else FIRST
    model = _text(nodes)
    if form.endswith("round"):
        compared = next(node for node in model.graph.node if node.op_type == "Equal")
        compared.input[:] = reversed(compared.input)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"ids": np.array([ids], np.int32)})[0]
    assert pooling.by_table(model) == 1
    onnx.checker.check_model(model, full_check=True)
    # Nothing is left of the search: a compiler would refuse it though nobody reads it.
    assert not {"ArgMax", "Equal"} & set(operators(model))
    # A compiler lost the Relu after a Sub, which a text with several ends needs; after a product's bias it keeps it.
    assert "Sub" not in operators(model)
    assert operators(model)["Cast"] == 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"ids": np.array([ids], np.int32)})[0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "end"),
    [
        # The last of several ends, an id beyond the table, places along another axis, and truth values of ids.
        ([helper.make_node("ArgMax", ["i"], ["place"], "last", axis=-1, keepdims=0, select_last_index=1)], 3),
        (FIRST, 9),
        (FIRST, -1),
        ([helper.make_node("ArgMax", ["i"], ["place"], "last", axis=0, keepdims=0)], 3),
        (
            [
                helper.make_node("Cast", ["i"], ["truth"], to=TensorProto.BOOL),
                helper.make_node("Cast", ["truth"], ["number"], to=TensorProto.INT32),
                helper.make_node("ArgMax", ["number"], ["place"], "last", axis=-1, keepdims=0),
            ],
            3,
        ),
        ([helper.make_node("Neg", ["i"], ["n"]), helper.make_node("ArgMax", ["n"], ["place"], "last", axis=-1)], 3),
    ],
)
def test_another_search_is_named_and_left(nodes, end) -> None:
    model = _text(nodes, end)
    before = model.SerializeToString()
    with pytest.raises(UnsupportedModelError, match=r"'last' \(ArgMax\) does not take the embedding"):
        pooling.by_table(model)
    assert model.SerializeToString() == before


def _graph(nodes, outputs):
    given = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])
    taken = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    return helper.make_model(helper.make_graph(nodes, "g", [given], taken), opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ArgMax", ["ids"], ["out"], "last", axis=-1)],
        [
            helper.make_node("ArgMax", ["ids"], ["place"], "last", axis=-1, keepdims=0),
            helper.make_node("Gather", ["ids", "place"], ["out"], axis=1),
        ],
        [
            helper.make_node("ArgMax", ["ids"], ["place"], "last", axis=-1),
            helper.make_node("ArgMax", ["place"], ["out"], "other", axis=0),
        ],
    ],
)
def test_another_use_is_named(nodes) -> None:
    with pytest.raises(UnsupportedModelError, match=r"'last' \(ArgMax\) does not take the embedding"):
        pooling.by_table(_graph(nodes, [("out", TensorProto.INT64, None)]))
