from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.compress import int8_weights
from edgekit.converters.quantize import stored_weights
from edgekit.converters.quantize.apply import quantize_model
from edgekit.converters.quantize.editor import Editor
from edgekit.converters.quantize.groups import find_groups
from edgekit.converters.quantize.records import TowerDecision
from small_towers import convnet, gemm_tower, ids, pixels, run, transformer


def _everything(model, method):
    return quantize_model(model, TowerDecision({group.name: method for group in find_groups(model)}), {})


@pytest.mark.parametrize(
    ("make", "inputs"), [(transformer, ids), (convnet, pixels), (gemm_tower, pixels)], ids=["text", "conv", "gemm"]
)
@pytest.mark.parametrize(("method", "kind"), [("int8_weights", np.int8), ("float16_weights", np.float16)])
def test_what_is_computed_is_the_tower_with_the_decoded_weights(make, inputs, method, kind):
    reference = make()
    table = {"table"}
    for tensor in reference.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.ndim > 1:
            if kind is np.float16:
                decoded = value.astype(np.float16).astype(np.float32)
            else:
                decoded = int8_weights.encode(value, tensor.name in table).decoded()
            tensor.CopyFrom(numpy_helper.from_array(decoded, tensor.name))
    found = _everything(make(), method)
    np.testing.assert_allclose(run(found, inputs()), run(reference, inputs()), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "kind"), [("int8_weights", TensorProto.INT8), ("float16_weights", TensorProto.FLOAT16)]
)
def test_every_matrix_is_stored_in_the_type(method, kind):
    found = _everything(transformer(), method)
    big = [t for t in found.graph.initializer if int(np.prod(t.dims)) >= 768]
    assert len(big) == 14
    assert {tensor.data_type for tensor in big} == {kind}


def test_only_rows_that_are_looked_up_are_decoded():
    model = quantize_model(transformer(), TowerDecision({"table": "int8_weights"}), {})
    gathers = [node for node in model.graph.node if node.op_type == "Gather"]
    assert sorted(list(node.input) for node in gathers) == [
        ["table.int8", "token_ids"],
        ["table.int8.scale", "token_ids"],
    ]


def test_weights_that_two_nodes_read_are_stored_once():
    model = transformer()
    for node in model.graph.node:
        if node.name == "layer1.mlp.up":
            node.input[1] = "layer0.mlp.up.weight"
    decision = TowerDecision({"block00.mlp": "int8_weights", "block01.mlp": "int8_weights"})
    expected = run(model, ids())
    found = quantize_model(model, decision, {})
    stored = Counter(tensor.name.split(".int8")[0] for tensor in found.graph.initializer if ".int8" in tensor.name)
    assert stored["layer0.mlp.up.weight"] == 2  # the code and its scales
    assert stored["layer1.mlp.up.weight"] == 0
    assert (run(found, ids()) * expected).sum(axis=1).min() > 0.999


def test_one_table_read_twice_is_stored_once():
    model = transformer()
    again = helper.make_node("Gather", ["table", "token_ids"], ["again"], name="again", axis=0)
    both = helper.make_node("Add", ["tokens.out", "again"], ["both"], name="both")
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == "tokens.out":
                node.input[i] = "both"
    model.graph.node.insert(1, again)
    model.graph.node.insert(2, both)
    expected = run(model, ids())
    found = _everything(model, "int8_weights")
    assert sum(t.name.startswith("table") and t.data_type == TensorProto.INT8 for t in found.graph.initializer) == 1
    assert (run(found, ids()) * expected).sum(axis=1).min() > 0.999


def test_weights_beyond_float16_stay_float32():
    model = gemm_tower()
    for tensor in model.graph.initializer:
        if tensor.name == "second.weight":
            value = numpy_helper.to_array(tensor).copy()
            value[0, 0] = 1e6
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    editor = Editor(model)
    assert not stored_weights.apply_float16(editor, "second", {})
    assert stored_weights.apply_float16(editor, "third", {})
    assert editor.node("second").input[1] == "second.weight"
