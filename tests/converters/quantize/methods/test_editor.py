from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods.editor import Editor, attribute, check_constants, node_keys
from edgekit.errors import ConversionError, InputError
from small_towers import convnet, cosines, ids, pixels, run, transformer


def test_a_graph_without_changes_stays_as_it_is():
    model = transformer()
    before = model.SerializeToString(deterministic=True)
    assert Editor(model).close().SerializeToString(deterministic=True) == before


def test_a_node_put_in_between_is_sorted_into_its_place():
    model = transformer()
    expected = run(model, ids())
    editor = Editor(model)
    node = editor.node("layer0.mlp.up")
    two = editor.constant("two", np.array(2, np.float32))
    half = editor.constant("half", np.array(0.5, np.float32))
    doubled = editor.add("Mul", [node.input[0], two], editor.free("doubled"))
    node.input[0] = editor.add("Mul", [doubled, half], editor.free("halved"))
    onnx.checker.check_model(editor.close())
    np.testing.assert_array_equal(run(model, ids()), expected)


def test_a_removed_node_is_replaced_by_one_that_writes_its_output():
    model = convnet()
    editor = Editor(model)
    node = editor.node("stem.relu")
    editor.remove("stem.relu")
    zero = editor.constant("nought", np.array(0, np.float32))
    editor.add("Max", [node.input[0], zero], node.output[0])
    expected = run(convnet(), pixels())
    np.testing.assert_array_equal(run(editor.close(), pixels()), expected)


def test_unused_constants_and_dead_nodes_go():
    model = transformer()
    editor = Editor(model)
    editor.constant("unused", np.zeros(3, np.float32))
    editor.add("Neg", [editor.node("tokens").output[0]], "nobody reads this")
    names = {tensor.name for tensor in transformer().graph.initializer}
    editor.close()
    assert {tensor.name for tensor in model.graph.initializer} == names
    assert all("nobody" not in node.output[0] for node in model.graph.node)


def test_names_that_are_taken_get_a_number():
    editor = Editor(transformer())
    assert editor.free("table") == "table.2"
    assert editor.free("table") == "table.3"
    assert editor.constant("fresh", np.zeros(1, np.float32)) == "fresh"
    assert editor.constant("fresh", np.zeros(1, np.float32)) == "fresh.2"


def test_a_scalar_stays_a_scalar():
    editor = Editor(transformer())
    name = editor.constant("scalar", np.array(1.5, np.float32))
    assert editor.value(name).shape == ()


def test_a_transposed_array_is_stored_as_seen():
    editor = Editor(transformer())
    value = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(editor.value(editor.constant("turned", value)), value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    model = transformer()
    value = numpy_helper.to_array(model.graph.initializer[0]).copy()
    value[0, 0] = bad
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(value, "table"))
    with pytest.raises(ConversionError, match="'table' hold infinity or NaN"):
        Editor(model).value("table")
    with pytest.raises(ConversionError, match="constant 'table' holds"):
        check_constants(model)


def test_a_node_that_is_not_there_is_named():
    with pytest.raises(InputError, match="'nowhere' is not in the graph"):
        Editor(transformer()).node("nowhere")


def test_a_cycle_is_refused():
    editor = Editor(transformer())
    node = editor.node("layer0.mlp.up")
    node.input[0] = editor.add("Neg", [editor.node("layer0.mlp.down.add").output[0]], "back")
    with pytest.raises(ConversionError, match="read its own result"):
        editor.close()


def test_a_domain_is_declared_once():
    model = convnet()
    editor = Editor(model)
    for name in ("stem.relu", "head"):
        source = editor.node(name).input[0]
        editor.node(name).input[0] = editor.add("Identity", [source], editor.free("same"), domain="com.microsoft")
    editor.close()
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17), ("com.microsoft", 1)]


def test_what_a_body_reads_from_outside_is_kept():
    inner = helper.make_graph(
        [helper.make_node("Identity", ["outer"], ["result"])],
        "body",
        [],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["outer"], name="outer"),
        helper.make_node("If", ["yes"], ["embedding"], name="choice", then_branch=inner, else_branch=inner),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "embedding")]
    yes = numpy_helper.from_array(np.array(True), "yes")
    model = helper.make_model(
        helper.make_graph(nodes, "branches", values[:1], values[1:], [yes]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    Editor(model).close()
    assert [node.name for node in model.graph.node] == ["outer", "choice"]


def test_keys_are_names_where_they_are_unique():
    model = convnet()
    model.graph.node[0].name = model.graph.node[1].name = "twice"
    keys = node_keys(model)
    assert keys[:2] == [model.graph.node[0].output[0], model.graph.node[1].output[0]]
    assert keys[2] == model.graph.node[2].name
    assert len(set(keys)) == len(keys)


def test_attributes_have_defaults():
    node = helper.make_node("Gemm", ["a", "b"], ["c"], alpha=0.5, transB=1)
    assert (attribute(node, "alpha", 1), attribute(node, "transB", 0), attribute(node, "beta", 1)) == (0.5, 1, 1)


@pytest.mark.parametrize(("tensor", "rank"), [("flat.out", 2), ("pool.out", 4), ("pixels", 4), ("nothing", None)])
def test_ranks(tensor, rank):
    assert Editor(convnet()).rank(tensor) == rank


def test_readers_producers_and_outputs():
    editor = Editor(transformer())
    assert [node.name for node in editor.readers("layer0.attention.norm.out")] == [
        f"layer0.attention.{part}" for part in "qkv"
    ]
    producer = editor.producer("tokens.out")
    assert producer is not None
    assert producer.name == "tokens"
    assert editor.producer("token_ids") is None
    assert editor.is_output("embedding")
    assert not editor.is_output("tokens.out")
    assert editor.is_constant("table")
    assert editor.key_of(producer) == "tokens"
    with pytest.raises(InputError, match="not one of the graph's own"):
        editor.key_of(helper.make_node("Neg", ["a"], ["b"], name="stranger"))


def test_order_is_that_of_execution():
    editor = Editor(transformer())
    assert editor.order(["project", "tokens", "layer1.mlp.up"]) == ["tokens", "layer1.mlp.up", "project"]


def test_cosines_of_the_helper_tell_towers_apart():
    rows = run(transformer(), ids())
    assert cosines(rows, rows).min() > 0.9999
    assert cosines(run(transformer(seed=5), ids()), rows).max() < 0.9
