"""The layers of Rockchip's tool are found for the nodes that they compute, by names as version 2.5.0 writes them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets.rknn_names import chosen, layers

# A block of a transformer as it is given: operator, what it reads, what it makes.
GIVEN = [
    ("Gather", ["table", "ids"], "words_out"),
    ("LayerNormalization", ["words_out", "norm.w", "norm.b"], "block/norm/LayerNormalization_output_0"),
    ("MatMul", ["block/norm/LayerNormalization_output_0", "q.w"], "q/MatMul_output_0"),
    ("Add", ["q.b", "q/MatMul_output_0"], "q/Add_output_0"),
    ("Reshape", ["q/Add_output_0", "heads"], "q/Reshape_output_0"),
    ("Transpose", ["q/Reshape_output_0"], "q/Transpose_output_0"),
    ("MatMul", ["q/Transpose_output_0", "q/Transpose_output_0"], "mix/MatMul_output_0"),
    ("Softmax", ["mix/MatMul_output_0"], "mix/Softmax_output_0"),
    ("MatMul", ["mix/Softmax_output_0", "q/Transpose_output_0"], "mix/MatMul_1_output_0"),
    ("Reshape", ["mix/MatMul_1_output_0", "flat"], "mix/Reshape_output_0"),
    ("MatMul", ["mix/Reshape_output_0", "o.w"], "o/MatMul_output_0"),
    ("Add", ["o/MatMul_output_0", "o.b"], "o/Add_output_0"),
    ("Add", ["o/Add_output_0", "words_out"], "sum_output_0"),
    ("ReduceMean", ["sum_output_0"], "mean_output_0"),
    ("Gemm", ["mean_output_0", "head.w"], "projection"),
]

# The same as the tool makes it.
MADE = [
    ("Reshape", ["ids", "shape"], "ids_rs"),
    ("Gather", ["table", "ids_rs"], "words_out"),
    ("Reshape", ["words_out", "shape"], "words_out_rs"),
    ("exNorm", ["words_out_rs", "norm.w", "norm.b"], "block/norm/LayerNormalization#1"),
    ("Conv", ["block/norm/LayerNormalization#1", "q.w", "q.b"], "q/MatMul_output_0_mm_tp_sw"),
    ("Reshape", ["q/MatMul_output_0_mm_tp_sw", "shape"], "q/Transpose_output_0_tp_rs"),
    ("exSDPAttention", ["q/Transpose_output_0_tp_rs"] * 3, "mix/MatMul_1_output_0_sdpa"),
    ("Conv", ["mix/MatMul_1_output_0_sdpa", "o.w", "o.b"], "o/Add_output_0-rs"),
    ("Add", ["o/Add_output_0-rs", "words_out_rs"], "sum_output_0"),
    ("Conv", ["sum_output_0", "average"], "sum_output_0_gavg"),
    ("Conv", ["sum_output_0_gavg", "head.w"], "projection_mm"),
    ("exDataConvert", ["projection_mm"], "projection"),
]


def _model(blocks, *, named=True, stored=("table", "norm.w", "norm.b", "q.w", "q.b", "o.w", "o.b", "head.w")):
    nodes = [
        helper.make_node(kind, read, [made], made.removesuffix("_output_0") if named else "")
        for kind, read, made in blocks
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, [1, 4])
    out = helper.make_tensor_value_info("projection", TensorProto.FLOAT, None)
    kept = [numpy_helper.from_array(np.zeros(1, np.float32), name) for name in stored]
    return helper.make_model(helper.make_graph(nodes, "tower", [ids], [out], kept))


@pytest.fixture
def found():
    return layers(_model(GIVEN), _model(MADE))


def _named(found, *kept):
    return chosen(found, kept, _model(MADE))


def test_every_node_is_accounted_for_once(found) -> None:
    names = [made for _, _, made in GIVEN]
    assert sorted([*found.own, *found.merged, *found.none]) == sorted(names)
    assert found.none == ()


@pytest.mark.parametrize(
    ("node", "layer"),
    [
        ("words_out", "words_out"),
        ("q/MatMul_output_0", "q/MatMul_output_0_mm_tp_sw"),
        ("q/Transpose_output_0", "q/Transpose_output_0_tp_rs"),
        ("mix/MatMul_1_output_0", "mix/MatMul_1_output_0_sdpa"),
        ("o/Add_output_0", "o/Add_output_0-rs"),
        ("sum_output_0", "sum_output_0"),
    ],
)
def test_a_layer_bears_the_name_of_what_it_holds(found, node, layer) -> None:
    assert found.own[node] == (layer,)


def test_a_norm_bears_the_name_of_its_node(found) -> None:
    assert found.own["block/norm/LayerNormalization_output_0"] == ("block/norm/LayerNormalization#1",)


def test_what_reads_a_stored_operand_alone_is_its_layer(found) -> None:
    # A bias whose product gave the layer its name, and a product whose bias did.
    assert found.own["q/Add_output_0"] == ("q/MatMul_output_0_mm_tp_sw",)
    assert found.own["o/MatMul_output_0"] == ("o/Add_output_0-rs",)


def test_what_was_merged_is_of_the_layer_after_it(found) -> None:
    assert found.merged["mix/MatMul_output_0"] == ("mix/MatMul_1_output_0_sdpa",)
    assert found.merged["mix/Softmax_output_0"] == ("mix/MatMul_1_output_0_sdpa",)


def test_what_only_moves_values_is_of_the_layer_before_it(found) -> None:
    assert found.merged["q/Reshape_output_0"] == ("q/MatMul_output_0_mm_tp_sw",)
    # Not of the product that reads it, whose weights would then be in float16.
    assert found.merged["mix/Reshape_output_0"] == ("mix/MatMul_1_output_0_sdpa",)


def test_chosen_layers_come_in_the_graphs_order(found) -> None:
    assert _named(found, "sum_output_0", "mix/Softmax_output_0", "q/MatMul_output_0") == [
        "q/MatMul_output_0_mm_tp_sw",
        "mix/MatMul_1_output_0_sdpa",
        "sum_output_0",
    ]


def test_a_layer_of_no_node_comes_with_all_that_read_it(found) -> None:
    # The average is computed by a layer that bears the sum's name, though the sum has one of its own.
    assert _named(found, "projection") == ["sum_output_0_gavg", "projection_mm", "projection"]
    assert _named(found, "mean_output_0") == _named(found, "projection")
    # The table's rows are read by the norm and by the sum: one of them is not enough.
    assert "words_out_rs" not in _named(found, "sum_output_0")
    assert "words_out_rs" in _named(found, "sum_output_0", "block/norm/LayerNormalization_output_0")


def test_the_input_and_strangers_are_no_ones(found) -> None:
    every = _named(found, *(made for _, _, made in GIVEN))
    assert every == [made for _, _, made in MADE if made != "ids_rs"]
    assert _named(found, "ids", "nobody") == []


def test_nodes_need_no_names() -> None:
    blocks = [(kind, read, made.replace("LayerNormalization#1", "norm#1")) for kind, read, made in MADE]
    found = layers(_model(GIVEN, named=False), _model(blocks))
    # The norm's own name is not there to be found: its stored operands are.
    assert found.own["block/norm/LayerNormalization_output_0"] == ("block/norm/norm#1",)


def test_an_operand_that_several_read_tells_nothing() -> None:
    blocks = [(kind, ["q.w" if name == "o.w" else name for name in read], made) for kind, read, made in GIVEN]
    found = layers(_model(blocks), _model(MADE))
    assert found.merged["o/MatMul_output_0"] == ("o/Add_output_0-rs",)
    assert found.own["q/MatMul_output_0"] == ("q/MatMul_output_0_mm_tp_sw",)


def test_the_longest_name_counts_and_a_mark_ends_it() -> None:
    before = [("Relu", ["ids"], "a"), ("Relu", ["a"], "a-b"), ("Relu", ["a-b"], "a1"), ("Relu", ["a1"], "projection")]
    after = [("Relu", ["ids"], "a-b_rs"), ("Relu", ["a-b_rs"], "a1-b"), ("Relu", ["a1-b"], "projection")]
    found = layers(_model(before, stored=()), _model(after, stored=()))
    assert found.own == {"a-b": ("a-b_rs",), "a1": ("a1-b",), "projection": ("projection",)}
    assert found.merged == {"a": ("a-b_rs",)}


def test_what_the_tool_left_out_has_no_layer() -> None:
    more = [*GIVEN, ("Relu", ["sum_output_0"], "unread_output_0")]
    assert layers(_model(more), _model(MADE)).none == ("unread_output_0",)


NODES = st.sets(st.sampled_from([made for _, _, made in GIVEN]))


@given(NODES, NODES)
@settings(max_examples=60, deadline=None)
def test_more_nodes_never_mean_fewer_layers(some, others) -> None:
    found, optimized = layers(_model(GIVEN), _model(MADE)), _model(MADE)
    fewer, more = (chosen(found, kept, optimized) for kept in (some, some | others))
    assert set(fewer) <= set(more)
    # In the graph's order, each once.
    order = [made for _, _, made in MADE]
    assert more == sorted(set(more), key=order.index)


def test_weights_need_not_be_there(tmp_path, found) -> None:
    for model, name in ((_model(GIVEN), "chip.onnx"), (_model(MADE), "chip.model")):
        onnx.save(model, tmp_path / name, save_as_external_data=True, size_threshold=0, location=f"{name}.data")
        (tmp_path / f"{name}.data").unlink()
    read = [onnx.load(str(tmp_path / name), load_external_data=False) for name in ("chip.onnx", "chip.model")]
    assert layers(*read) == found
