from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import simplify, walk


def build(nodes, initializers=(), outputs=("y",)):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers]
    graph = helper.make_graph(nodes, "g", [x], results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array([1, 2, 3], np.float32)})


def constant(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, np.float32)))


def with_body():
    """A model whose If branches read an outer initializer and return an outer identity's value."""
    inner = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [3])
    add = helper.make_graph([helper.make_node("Add", ["x", "b"], ["inner"])], "then", [], [inner])
    sub = helper.make_graph([helper.make_node("Sub", ["x", "b"], ["inner"])], "else", [], [inner])
    branch = helper.make_node("If", ["flag"], ["y"], then_branch=add, else_branch=sub)
    return build([branch], [("flag", np.array(True)), ("a", np.ones(3, np.float32)), ("b", np.ones(3, np.float32))])


def test_constants_become_initializers():
    model = build([constant("c", [1, 1, 1]), helper.make_node("Add", ["x", "c"], ["y"])])
    before = run(model)
    assert simplify.lift_constants(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert [tensor.name for tensor in model.graph.initializer] == ["c"]
    np.testing.assert_array_equal(run(model), before)


def test_constants_without_a_tensor_stay():
    node = helper.make_node("Constant", [], ["c"], value_float=2.0)
    model = build([node, helper.make_node("Mul", ["x", "c"], ["y"])])
    assert simplify.lift_constants(model) == 0
    assert len(model.graph.node) == 2


def test_a_chain_of_identities_goes():
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("Identity", ["i"], ["j"]),
        helper.make_node("Neg", ["j"], ["y"]),
    ]
    model = build(nodes)
    before = run(model)
    assert simplify.drop_identities(model) == 2
    assert list(model.graph.node[0].input) == ["x"]
    np.testing.assert_array_equal(run(model), before)


def test_an_identity_that_writes_the_output_stays():
    model = build([helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Identity", ["n"], ["y"])])
    assert simplify.drop_identities(model) == 0
    np.testing.assert_array_equal(run(model)[0], [-1, -2, -3])


def test_an_identity_read_by_a_body_is_followed():
    model = with_body()
    model.graph.node.insert(0, helper.make_node("Identity", ["a"], ["b2"]))
    for body in list(walk.graphs(model))[1:]:
        body.node[0].input[1] = "b2"
    assert simplify.drop_identities(model) == 1
    assert {body.node[0].input[1] for body in list(walk.graphs(model))[1:]} == {"a"}
    np.testing.assert_array_equal(run(model)[0], [2, 3, 4])


def test_identical_initializers_are_shared():
    nodes = [helper.make_node("Add", ["x", "a"], ["s"]), helper.make_node("Mul", ["s", "b"], ["y"])]
    two = np.full(3, 2, np.float32)
    model = build(nodes, [("a", two), ("b", two)])
    before = run(model)
    assert simplify.share_initializers(model) == 1
    assert [tensor.name for tensor in model.graph.initializer] == ["a"]
    np.testing.assert_array_equal(run(model), before)


def test_sharing_reaches_into_bodies():
    model = with_body()
    before = run(model)
    assert simplify.share_initializers(model) == 1
    np.testing.assert_array_equal(run(model), before)


@pytest.mark.parametrize(
    "other",
    [np.array([[1, 1, 1]], np.float32), np.array([1, 1, 1], np.int32), np.array([1, 1, 2], np.float32)],
    ids=["shape", "type", "value"],
)
def test_different_initializers_are_kept(other):
    model = build([], [("a", np.ones(3, np.float32)), ("b", other)])
    assert simplify.share_initializers(model) == 0
    assert len(model.graph.initializer) == 2


def test_tensors_without_raw_data_are_shared_too():
    model = build([], [])
    for name in "ab":
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0]))
    assert not model.graph.initializer[0].raw_data
    assert simplify.share_initializers(model) == 1


def test_unused_initializers_go():
    model = build(
        [helper.make_node("Add", ["x", "b"], ["y"])], [(n, np.full(3, i, np.float32)) for i, n in enumerate("abc")]
    )
    before = run(model)
    assert simplify.drop_unused(model) == 2
    assert [tensor.name for tensor in model.graph.initializer] == ["b"]
    np.testing.assert_array_equal(run(model), before)


def test_initializers_read_by_a_body_or_returned_are_used():
    model = with_body()
    assert simplify.drop_unused(model) == 1
    assert {tensor.name for tensor in model.graph.initializer} == {"flag", "b"}
    returned = build([], [("y", np.zeros(3, np.float32))])
    assert simplify.drop_unused(returned) == 0


def test_what_nobody_reads_goes_with_what_was_made_for_it():
    nodes = [
        helper.make_node("Add", ["x", "a"], ["kept"]),
        helper.make_node("Mul", ["kept", "b"], ["lost"]),
        helper.make_node("Neg", ["lost"], ["end"]),
        helper.make_node("Neg", ["kept"], ["y"]),
    ]
    model = build(nodes, [("a", np.ones(3, np.float32)), ("b", np.ones(3, np.float32))])
    before = run(model)
    assert simplify.drop_unread(model) == 2
    assert [node.op_type for node in model.graph.node] == ["Add", "Neg"]
    assert [tensor.name for tensor in model.graph.initializer] == ["a"]
    np.testing.assert_array_equal(run(model), before)
    assert simplify.drop_unread(model) == 0


def test_what_a_body_reads_is_read():
    model = with_body()
    model.graph.node.insert(0, helper.make_node("Neg", ["a"], ["turned"]))
    for body in list(walk.graphs(model))[1:]:
        body.node[0].input[1] = "turned"
    before = run(model)
    assert simplify.drop_unread(model) == 0
    np.testing.assert_array_equal(run(model), before)


def test_no_text_of_the_exporting_machine_stays():
    model = build([helper.make_node("Neg", ["x"], ["y"], doc_string="/home/someone/model.py(3)")])
    model.doc_string = model.graph.doc_string = "secret"
    model.metadata_props.add(key="path", value="secret")
    model.graph.node[0].metadata_props.add(key="stack", value="secret")
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [3]))
    simplify.strip_metadata(model)
    data = model.SerializeToString()
    assert b"secret" not in data
    assert b"someone" not in data
    assert not model.graph.value_info
    np.testing.assert_array_equal(run(model)[0], [-1, -2, -3])


def test_the_walk_finds_bodies_constants_and_readers():
    model = with_body()
    assert [graph.name for graph in walk.graphs(model)] == ["g", *sorted(["then", "else"], key=order(model))]
    assert sorted(node.op_type for node in walk.nodes(model)) == ["Add", "If", "Sub"]
    assert [name for name, _ in walk.constants(model)] == ["flag", "a", "b"]
    readers = walk.consumers(model)
    assert sorted(node.op_type for node, position in readers["b"] if position == 1) == ["Add", "Sub"]


def test_a_body_output_is_renamed_but_not_the_models():
    model = with_body()
    walk.rename_inputs(model, {"inner": "other", "y": "nothing", "b": "a"})
    assert model.graph.output[0].name == "y"
    assert {body.output[0].name for body in list(walk.graphs(model))[1:]} == {"other"}
    assert {body.node[0].input[1] for body in list(walk.graphs(model))[1:]} == {"a"}


def order(model):
    names = [attribute.g.name for attribute in model.graph.node[0].attribute]
    return names.index
