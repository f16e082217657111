from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods.groups import find_groups, find_regions
from small_towers import DIMENSION, SIDE, Graph, convnet, gemm_tower, transformer


def _summary(model):
    return [(group.name, group.kind, group.nodes) for group in find_groups(model)]


def _image(graph, source):
    """Add a head to a tower that starts from pixels."""
    pooled = graph.op("pool", "GlobalAveragePool", source)
    graph.unit(graph.linear("head", graph.op("flat", "Flatten", pooled), 8, DIMENSION, gemm=True))
    return graph.model(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3]))


def _start(graph):
    floats = graph.op("cast", "Cast", "pixels", to=TensorProto.FLOAT)
    return graph.op("planes", "Transpose", floats, perm=[0, 3, 1, 2])


def _conv(graph, name, source, given, taken, **attributes):
    return graph.op(name, "Conv", source, graph.weight(f"{name}.weight", taken, given, 1, 1), **attributes)


@pytest.mark.parametrize("post_norm", [False, True], ids=["pre-norm", "post-norm"])
def test_a_transformer_is_cut_at_its_residual_adds(post_norm):
    def attention(layer):
        return tuple(f"layer{layer}.attention.{part}" for part in ("q", "k", "v", "out"))

    assert _summary(transformer(post_norm=post_norm)) == [
        ("table", "table", ("tokens",)),
        ("block00.attention", "attention", attention(0)),
        ("block00.mlp", "mlp", ("layer0.mlp.up", "layer0.mlp.down")),
        ("block01.attention", "attention", attention(1)),
        ("block01.mlp", "mlp", ("layer1.mlp.up", "layer1.mlp.down")),
        ("head", "head", ("project",)),
    ]


def test_a_convolutional_tower_has_a_stem_blocks_and_a_head():
    assert _summary(convnet()) == [
        ("stem", "convolution", ("stem",)),
        ("block00.convolution", "convolution", ("widen",)),
        ("block01.convolution", "convolution", ("block0.depth", "block0.point")),
        ("block02.convolution", "convolution", ("block1.depth", "block1.point")),
        ("head", "head", ("head",)),
    ]


def test_a_tower_of_gemm_has_groups():
    assert _summary(gemm_tower()) == [
        ("stem", "other", ("first",)),
        ("block00.mlp", "mlp", ("second",)),
        ("head", "head", ("third",)),
    ]


@pytest.mark.parametrize("make", [transformer, convnet, gemm_tower], ids=lambda make: make.__name__)
def test_every_node_that_reads_weights_is_in_exactly_one_group(make):
    model = make()
    weights = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    readers = [node.name for node in model.graph.node if weights & set(node.input)]
    grouped = [name for group in find_groups(model) for name in group.nodes]
    assert sorted(grouped) == sorted(readers)


def test_parameters_count_the_weights_of_each_group():
    sizes = {group.name: group.parameters for group in find_groups(transformer())}
    assert sizes == {
        "table": 64 * 32,
        "block00.attention": 4 * 32 * 32,
        "block00.mlp": 2 * 32 * 128,
        "block01.attention": 4 * 32 * 32,
        "block01.mlp": 2 * 32 * 128,
        "head": 32 * 24,
    }


def test_weights_that_two_nodes_share_count_once():
    model = transformer(blocks=1)
    next(node for node in model.graph.node if node.name == "layer0.attention.k").input[1] = "layer0.attention.q.weight"
    assert next(g for g in find_groups(model) if g.kind == "attention").parameters == 3 * 32 * 32


def test_a_projection_around_a_shortcut_belongs_to_its_block():
    graph = Graph(0)
    x = _conv(graph, "stem", _start(graph), 3, 8)
    long = _conv(graph, "second", graph.op("relu", "Relu", _conv(graph, "first", x, 8, 8)), 8, 8)
    short = _conv(graph, "shortcut", x, 8, 8)
    model = _image(graph, graph.op("residual", "Add", long, short))
    assert ("block00.convolution", "convolution", ("first", "second", "shortcut")) in _summary(model)


def test_a_block_of_one_convolution_and_large_products_is_an_mlp():
    graph = Graph(0)
    x = _conv(graph, "stem", _start(graph), 3, 8)
    y = _conv(graph, "depth", x, 1, 8, group=8)
    y = graph.op("last", "Transpose", y, perm=[0, 2, 3, 1])
    y = graph.linear("down", graph.op("relu", "Relu", graph.linear("up", y, 8, 32)), 32, 8)
    y = graph.op("first", "Transpose", y, perm=[0, 3, 1, 2])
    model = _image(graph, graph.op("residual", "Add", x, y))
    assert ("block00.mlp", "mlp", ("depth", "up", "down")) in _summary(model)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 14))
def test_a_long_chain_is_cut_every_four_nodes(length):
    graph = Graph(0)
    x = _conv(graph, "stem", _start(graph), 3, 8)
    for i in range(length):
        x = graph.op(f"relu{i}", "Relu", _conv(graph, f"conv{i}", x, 8, 8))
    groups = [group for group in find_groups(_image(graph, x)) if group.name.startswith("block")]
    assert [len(group.nodes) for group in groups] == [4] * (length // 4) + [length % 4] * (length % 4 > 0)
    assert [name for group in groups for name in group.nodes] == [f"conv{i}" for i in range(length)]


def test_only_large_tables_looked_up_by_data_count():
    graph = Graph(0)
    x = graph.op("large", "Gather", graph.weight("large.table", 64, 32), "token_ids", axis=0)
    small = graph.op("small", "Gather", graph.weight("small.table", 2, 32), "token_ids", axis=0)
    x = graph.op("sum", "Add", x, small)
    fixed = graph.op("fixed", "Gather", graph.weight("fixed.table", 64, 32), graph.const("row", 3, np.int64), axis=0)
    x = graph.op("sum2", "Add", x, fixed)
    pooled = graph.op("pool", "ReduceMean", x, axes=[1], keepdims=0)
    graph.unit(graph.op("project", "MatMul", pooled, graph.weight("projection", 32, DIMENSION)))
    model = graph.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))
    assert _summary(model) == [("table", "table", ("large",)), ("head", "head", ("project",))]


def test_two_tables_have_two_names():
    graph = Graph(0)
    x = graph.op("words", "Gather", graph.weight("words.table", 64, 32), "token_ids", axis=0)
    y = graph.op("kinds", "Gather", graph.weight("kinds.table", 64, 32), "token_ids", axis=0)
    pooled = graph.op("pool", "ReduceMean", graph.op("sum", "Add", x, y), axes=[1], keepdims=0)
    graph.unit(graph.op("project", "MatMul", pooled, graph.weight("projection", 32, DIMENSION)))
    model = graph.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))
    assert [group.name for group in find_groups(model)] == ["table", "table2", "head"]


def test_a_query_that_depends_on_no_input_does_not_join_all_blocks():
    model = transformer()
    names = [group.name for group in find_groups(model)]
    graph = Graph(9)
    shape = graph.op("batch", "Shape", "token_ids")
    probe = graph.op("probe", "Expand", graph.weight("probe.value", 1, 1), shape)
    graph.op("probe.project", "MatMul", probe, graph.weight("probe.weight", 1, 32))
    residual = next(i for i, node in enumerate(model.graph.node) if node.name == "layer1.mlp.residual")
    first = model.graph.node[residual].input[0]
    model.graph.node[residual].input[0] = "with probe"
    extra = [*graph.nodes, helper.make_node("Add", [first, "probe.project.out"], ["with probe"], name="join")]
    nodes = [*model.graph.node[:residual], *extra, *model.graph.node[residual:]]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    model.graph.initializer.extend(graph.tensors)
    assert [group.name for group in find_groups(model)] == names


def test_names_without_nodes_and_nodes_without_names():
    model = convnet()
    named = _summary(model)
    outputs = {node.name: node.output[0] for node in model.graph.node}
    for node in model.graph.node:
        node.name = ""
    assert _summary(model) == [(name, kind, tuple(outputs[n] for n in nodes)) for name, kind, nodes in named]


def test_weights_need_not_be_in_memory(tmp_path):
    before = _summary(transformer())
    store.save(transformer(), tmp_path / "text.onnx")
    assert _summary(onnx.load(str(tmp_path / "text.onnx"), load_external_data=False)) == before


def test_a_graph_without_weights_has_no_groups():
    x = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph([helper.make_node("Relu", ["pixels"], ["embedding"])], "none", [x], [y])
    assert find_groups(helper.make_model(graph)) == ()


@pytest.mark.parametrize("make", [transformer, convnet, gemm_tower], ids=lambda make: make.__name__)
def test_regions_share_no_node(make):
    members = [name for region in find_regions(make()) for name in region.members]
    assert len(members) == len(set(members))
    for region in find_regions(make()):
        assert set(region.group.nodes) <= set(region.members)
