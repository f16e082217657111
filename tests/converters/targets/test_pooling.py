"""The embedding at the end of a text without ArgMax: the same rows, whatever follows the end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
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
