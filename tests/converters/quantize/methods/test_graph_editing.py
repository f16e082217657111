"""The editor on graphs of any shape: order, names, bodies, and what is left when it closes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods.editor import Editor, attribute, check_constants, node_keys, reads
from edgekit.converters.quantize.methods.groups import find_groups, find_regions
from edgekit.errors import ConversionError, InputError
from small_towers import Graph, convnet, gemm_tower, ids, run, transformer

EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True)


def model(nodes, constants=None, outputs=("y",)):
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", *outputs)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def add(name, *inputs):
    return helper.make_node("Add" if len(inputs) == 2 else "Neg", list(inputs), [name], name=name)


def names(made):
    return [node.name for node in made.graph.node]


def body(*nodes, out="r"):
    return helper.make_graph(list(nodes), "body", [], [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)])


@EXAMPLES
@given(data=st.data(), count=st.integers(2, 12))
def test_nodes_added_in_any_order_are_sorted(data, count):
    """A random graph without cycles, its nodes shuffled: each comes after all that it reads."""
    nodes = []
    for i in range(count):
        before = ["x", *(f"n{j}" for j in range(i))]
        nodes.append(add(f"n{i}", *data.draw(st.lists(st.sampled_from(before), min_size=1, max_size=2))))
    last = helper.make_node("Sum", [f"n{i}" for i in range(count)], ["y"], name="last")
    editor = Editor(model([last]))
    editor.extend(data.draw(st.permutations(nodes)))
    made = editor.close()
    assert sorted(names(made)) == sorted([*(f"n{i}" for i in range(count)), "last"])
    seen = {"x"}
    for node in made.graph.node:
        assert set(node.input) <= seen
        seen.update(node.output)


def test_nodes_that_are_in_order_keep_it():
    made = model(
        [add("a", "x"), add("b", "x"), add("c", "x"), helper.make_node("Sum", ["c", "a", "b"], ["y"], name="s")]
    )
    assert names(Editor(made).close()) == ["a", "b", "c", "s"]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_circles_of_any_length_are_refused(length):
    editor = Editor(model([add("y", "x")]))
    editor.node("y").input[0] = "c0"
    editor.extend([add(f"c{i}", f"c{(i + 1) % length}") for i in range(length)])
    with pytest.raises(ConversionError, match=r"node 'c\d' would read its own result"):
        editor.close()


@EXAMPLES
@given(st.lists(st.sampled_from(["x", "y", "w", "new", "new.2"]), min_size=1, max_size=12))
def test_no_two_tensors_get_one_name(asked):
    editor = Editor(model([helper.make_node("Mul", ["x", "w"], ["y"], name="m")], {"w": np.ones(2, np.float32)}))
    found = [editor.free(name) for name in asked]
    assert len({*found, "x", "y", "w"}) == len(found) + 3
    assert all(given_.startswith(name) for given_, name in zip(found, asked, strict=True))


def test_a_tensor_of_a_type_that_numpy_lacks_gets_a_free_name():
    editor = Editor(model([add("y", "x")]))
    made = helper.make_tensor("y", TensorProto.INT4, [2], [1, -3])
    assert editor.store(made) == "y.2"
    assert editor.is_constant("y.2")
    assert not editor.is_constant("y")


def test_what_was_stored_is_read_back_whatever_its_type():
    editor = Editor(model([add("y", "x")]))
    for value in (np.float16([1.5]), np.int64([[2**40]]), np.array(True), np.zeros((0, 3), np.float32)):
        found = editor.value(editor.constant("c", value))
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(found, value)


def test_numbers_of_a_node_are_attributes_of_their_type():
    editor = Editor(model([add("y", "x")]))
    editor.add("LeakyRelu", ["x"], editor.free("out"), numbers={"alpha": 0.25, "axis": 3})
    node = editor.nodes()[-1]
    assert (node.name, attribute(node, "alpha", 1), attribute(node, "axis", 0)) == ("out/LeakyRelu", 0.25, 3)
    assert [entry.type for entry in node.attribute] == [onnx.AttributeProto.FLOAT, onnx.AttributeProto.INT]


def test_a_removed_node_is_gone_at_once_and_its_neighbours_are_not():
    editor = Editor(model([add("a", "x"), add("y", "a")]))
    editor.remove("a")
    assert editor.producer("a") is None
    assert [node.name for node in editor.nodes()] == ["y"]
    assert [node.name for node in editor.readers("a")] == ["y"]


def test_a_node_added_since_has_no_key():
    editor = Editor(model([add("y", "x")]))
    editor.add("Neg", ["x"], "z")
    with pytest.raises(InputError, match="node 'z/Neg' is not one of the graph's own"):
        editor.key_of(editor.nodes()[-1])


def test_what_bodies_read_is_read_at_every_depth():
    inner = helper.make_node("If", ["p"], ["r"], then_branch=body(add("r", "deep")), else_branch=body(add("r", "x")))
    outer = helper.make_node("If", ["q"], ["y"], then_branch=body(inner), else_branch=body(add("r", "a", "b")))
    assert sorted(reads(outer)) == ["a", "b", "deep", "p", "q", "x"]
    assert reads(add("y", "x")) == ["x"]
    assert reads(helper.make_node("Clip", ["x", "", "high"], ["y"])) == ["x", "high"]


def test_a_node_is_kept_for_any_of_its_outputs():
    nodes = [helper.make_node("Split", ["x"], ["a", "b"], name="cut", axis=0), add("y", "b"), add("dead", "a")]
    assert names(Editor(model(nodes)).close()) == ["cut", "y"]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, -np.inf], ids=["nan", "inf"])
def test_stored_numbers_of_every_float_type_are_checked(kind, bad):
    made = model(
        [helper.make_node("Cast", ["w"], ["y"], name="c", to=TensorProto.FLOAT)], {"w": np.array([1, bad], kind)}
    )
    with pytest.raises(ConversionError, match="constant 'w' holds infinity or NaN"):
        check_constants(made)
    check_constants(model([add("y", "x")], {"i": np.array([2**62])}))


def test_numbers_inside_nodes_and_bodies_are_checked_too():
    value = numpy_helper.from_array(np.float32([np.inf]), "hidden")
    inner = helper.make_node("Constant", [], ["r"], name="hidden", value=value)
    made = model([helper.make_node("If", ["x"], ["y"], name="if", then_branch=body(inner), else_branch=body(inner))])
    with pytest.raises(ConversionError, match="holds infinity or NaN"):
        check_constants(made)


@EXAMPLES
@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6))
def test_keys_are_unique_however_nodes_are_called(called):
    nodes = [helper.make_node("Neg", ["x"], [f"out{i}"], name=name) for i, name in enumerate(called)]
    keys = node_keys(model(nodes))
    assert len(set(keys)) == len(keys)
    assert [key for key, name in zip(keys, called, strict=True) if key == name] == [
        name for name in called if name and called.count(name) == 1
    ]


@pytest.mark.parametrize("post_norm", [False, True], ids=["pre-norm", "post-norm"])
@pytest.mark.parametrize("blocks", [1, 3, 11])
def test_towers_of_any_depth_are_cut_into_blocks(blocks, post_norm):
    groups = find_groups(transformer(blocks=blocks, post_norm=post_norm))
    middle = [f"block{i:02}.{kind}" for i in range(blocks) for kind in ("attention", "mlp")]
    assert [group.name for group in groups] == ["table", *middle, "head"]
    assert all(len(group.nodes) == (4 if group.kind == "attention" else 2) for group in groups[1:-1])


@pytest.mark.parametrize("make", [transformer, convnet, gemm_tower], ids=lambda make: make.__name__)
def test_groups_do_not_depend_on_what_nodes_and_tensors_are_called(make):
    """Only the graph's shape counts: with all names replaced, the same cuts get the same names."""
    before, made = find_regions(make()), make()
    free = {value.name for value in (*made.graph.input, *made.graph.output)}
    new = {}
    for name in [t.name for t in made.graph.initializer] + [n for node in made.graph.node for n in node.output]:
        new.setdefault(name, name if name in free else f"t{len(new)}")
    for tensor in made.graph.initializer:
        tensor.name = new[tensor.name]
    for i, node in enumerate(made.graph.node):
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new[name] for name in node.output]
        node.name = f"n{i}"
    keys = dict(zip(node_keys(make()), node_keys(made), strict=True))
    after = find_regions(made)
    assert [(r.group.name, r.group.kind, r.group.parameters) for r in after] == [
        (r.group.name, r.group.kind, r.group.parameters) for r in before
    ]
    assert [r.members for r in after] == [tuple(keys[key] for key in r.members) for r in before]


def test_an_attention_written_as_einsum_is_attention():
    made = transformer(blocks=1)
    logits = next(node for node in made.graph.node if node.name == "layer0.attention.logits")
    logits.op_type = "Einsum"
    logits.attribute.append(helper.make_attribute("equation", "bhqd,bhdk->bhqk"))
    assert [group.kind for group in find_groups(made)] == ["table", "attention", "mlp", "head"]
    assert run(made, ids()).shape == (8, 24)


def test_a_table_along_another_axis_or_of_one_axis_is_none():
    graph = Graph(0)
    rows = graph.op("turned", "Gather", graph.weight("t", 32, 64), "token_ids", axis=1)
    line = graph.op("line", "Gather", graph.weight("v", 2048, scale=1.0), "token_ids", axis=0)
    pooled = graph.op(
        "sum", "Add", graph.op("p", "ReduceSum", rows, keepdims=0), graph.op("q", "ReduceSum", line, keepdims=0)
    )
    graph.unit(pooled)
    made = graph.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))
    assert find_groups(made) == ()
