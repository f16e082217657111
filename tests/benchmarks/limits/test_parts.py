"""Parts of models told by the paths in nodes' names, and by operators where names tell nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.limits.parts import Node, assign

TRANSFORMER = [
    ("/Cast", "Cast", "stem", ""),
    ("/visual/conv1/Conv_output_0_nchwc", "Conv", "stem", ""),
    ("ReorderOutput", "ReorderOutput", "stem", ""),
    ("/visual/ln_pre/LayerNormalization", "LayerNormalization", "norm", ""),
    ("/visual/blocks.0/ln_1/LayerNormalization", "LayerNormalization", "norm", "blocks.0"),
    ("/visual/blocks.0/mix/MatMul", "MatMul", "attention", "blocks.0"),
    ("/visual/blocks.0/mix/MatMul_1/MatMulScaleFusion/", "FusedMatMul", "attention", "blocks.0"),
    ("/visual/blocks.0/mix/inner/Softmax", "Softmax", "attention", "blocks.0"),
    ("/visual/blocks.0/mix/out/MatMul", "MatMul", "attention", "blocks.0"),
    ("/visual/blocks.0/Add", "Add", "other", "blocks.0"),
    ("/visual/blocks.0/ln_2/SkipLayerNormalization", "SkipLayerNormalization", "norm", "blocks.0"),
    ("/visual/blocks.0/wide/fc/MatMul", "MatMul", "mlp", "blocks.0"),
    ("BiasGelu_token_7", "BiasGelu", "mlp", "blocks.0"),
    ("/visual/blocks.0/wide/proj/MatMul", "DynamicQuantizeMatMul", "mlp", "blocks.0"),
    ("/visual/mask/Where", "Where", "other", ""),
    ("/visual/blocks.1/mix/MatMul", "MatMul", "attention", "blocks.1"),
    ("/visual/blocks.1/mix/Softmax", "Softmax", "attention", "blocks.1"),
    ("/visual/blocks.1/wide/MatMul", "MatMul", "mlp", "blocks.1"),
    ("/visual/MatMul", "MatMul", "head", ""),
    ("/ReduceL2", "ReduceL2", "head", ""),
]
CONVOLUTIONS = [
    ("/stem/Conv", "Conv", "stem", ""),
    ("/stages.0/blocks/blocks.1/expand/Conv", "Conv", "convolution", "stages.0.blocks.1"),
    ("/stages.0/blocks/blocks.1/project/Conv", "QLinearConv", "convolution", "stages.0.blocks.1"),
    ("/stages.0/blocks/blocks.1/Add", "QLinearAdd", "convolution", "stages.0.blocks.1"),
    # A Sequential numbers its layers, too; one product makes no block.
    ("/stages.1/conv/conv.0/Conv", "Conv", "convolution", "stages.1"),
    ("/stages.1/conv/conv.3/Conv", "Conv", "convolution", "stages.1"),
    ("/stages.1/gate/Gemm", "Gemm", "convolution", "stages.1"),
    ("/pool/GlobalAveragePool", "GlobalAveragePool", "head", ""),
    ("/fc/Gemm", "MatMulNBits", "head", ""),
]
NAMELESS = [
    ("Cast_0", "Cast", "stem", ""),
    ("Conv_1", "Conv", "stem", ""),
    ("LN_2", "LayerNormalization", "norm", ""),
    ("MatMul_3", "MatMul", "attention", ""),
    ("Softmax_4", "Softmax", "attention", ""),
    ("LN_5", "LayerNormalization", "norm", ""),
    ("MatMul_6", "MatMul", "mlp", ""),
    ("LN_7", "LayerNormalization", "norm", ""),
    ("MatMul_8", "MatMul", "head", ""),
]


@pytest.mark.parametrize("rows", [TRANSFORMER, CONVOLUTIONS, NAMELESS], ids=["transformer", "convolutions", "nameless"])
def test_parts(rows: list[tuple[str, str, str, str]]) -> None:
    found = assign([Node(name, op) for name, op, _, _ in rows])
    assert found == [(part, block) for _, _, part, block in rows]


def test_a_table_is_told_by_its_bytes() -> None:
    nodes = [
        Node("/words/Gather", "Gather", 1 << 20),
        Node("/sizes/Gather", "Gather", 8),
        Node("/layer.0/a/MatMul", "MatMul"),
        Node("/layer.0/b/MatMul", "MatMul"),
        Node("/layer.0/c/Gather", "GatherBlockQuantized", 1 << 20),
    ]
    assert [part for part, _ in assign(nodes)] == ["table", "stem", "mlp", "mlp", "table"]


def test_a_graph_of_convolutions_without_norms_or_names() -> None:
    nodes = [Node("a", "Conv"), Node("b", "Clip"), Node("c", "Conv")]
    assert assign(nodes) == [("convolution", "")] * 3
    assert assign([Node("a", "Relu")]) == [("other", "")]
    assert assign([]) == []


@pytest.mark.parametrize("between", [0, 1, 9])
def test_a_block_is_told_by_its_products_and_not_by_what_lies_between_them(between: int) -> None:
    """Activations and sums say nothing: an mlp may be of few products and many of them, and so may convolutions."""
    for op, part in (("Conv", "convolution"), ("MatMul", "mlp")):
        inside = [("/s.0/a", op), *[("/s.0/act", "Mul")] * between, ("/s.0/b", op), *[("/s.0", "Add")] * between]
        nodes = [
            Node("/in/Conv", "Conv"),
            *(Node(f"{path}/{kind}", kind) for path, kind in inside),
            Node("/out/Gemm", "Gemm"),
        ]
        found = assign(nodes)
        assert found[0] == ("stem", "")
        assert found[-1] == ("head", "")
        assert set(found[1:-1]) == {(part, "s.0")}


def test_a_block_of_as_many_products_as_convolutions_is_no_convolution() -> None:
    nodes = [
        Node(f"/s.0/{name}/{op}", op) for name, op in (("a", "Conv"), ("b", "MatMul"), ("c", "MatMul"), ("d", "Conv"))
    ]
    assert {part for part, _ in assign(nodes)} == {"mlp"}
    assert {part for part, _ in assign([*nodes, Node("/s.0/e/Conv", "Conv")])} == {"convolution"}


def test_nodes_that_an_engine_made_belong_where_the_one_before_them_does() -> None:
    nodes = [
        Node("/layer.0/attn/MatMul", "MatMul"),
        Node("/layer.0/attn/Softmax", "Softmax"),
        Node("fused_17", "ReorderInput"),
        Node("/layer.0/mlp/MatMul", "MatMul"),
        Node("fused_18", "ReorderOutput"),
    ]
    assert [part for part, _ in assign(nodes)] == ["attention", "attention", "attention", "mlp", "mlp"]
    assert [block for _, block in assign([Node("fused_0", "Cast"), *nodes])] == ["", *["layer.0"] * 5]


_NAMES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "x.0", "x.1", "y.0"]), max_size=4),
        st.sampled_from(["MatMul", "Conv", "Softmax", "Add", "LayerNormalization", "Gather"]),
        st.booleans(),
    ),
    max_size=20,
)


@given(_NAMES)
def test_any_names_get_a_part_each(rows: list[tuple[list[str], str, bool]]) -> None:
    nodes = [Node("/" + "/".join([*path, op]) if named else op, op) for path, op, named in rows]
    found = assign(nodes)
    assert len(found) == len(nodes)
    for node, (part, block) in zip(nodes, found, strict=True):
        assert (part == "norm") == node.normalizes
        assert all(piece.isdigit() for piece in block.split(".")[1::2])
