"""Layers of Sophgo's tool found for the nodes of a graph, and the types they get."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.converters.targets.sophgo_layers import Layer, choose, read, settled, table

# As `model_transform` writes it: shortened, every form of line kept.
_TEXT = """#loc = loc(unknown)
module @tower attributes {module.chip = "ALL", module.weight_file = "tower_top_f32_all_weight.npz"} {
  func.func @main(%arg0: tensor<1x32xsi32> loc(unknown)) -> tensor<1x384xf32> {
    %0 = "top.None"() : () -> none loc(#loc)
    %1 = "top.Input"(%arg0) {do_preprocess = true} : (tensor<1x32xsi32>) -> tensor<1x32xf32> loc(#loc1)
    %2 = "top.Weight"() : () -> tensor<30522x384xf32> loc(#loc2)
    %3 = "top.Gather"(%2, %1) {axis = 0 : si32, keepdims = true} : (tensor<30522x384xf32>) -> tensor<1xf32> loc(#loc3)
    %4 = "top.MatMul"(%3, %2, %0) {do_relu = false} : (tensor<1xf32>, none) -> tensor<1x32x384xf32> loc(#loc4)
    %5 = "top.Add"(%4, %3) {do_relu = false} : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32> loc(#loc5)
    return %5 : tensor<1x384xf32> loc(#loc)
  } loc(#loc)
} loc(#loc)
#loc1 = loc("token_ids")
#loc2 = loc("words.weight")
#loc3 = loc("words/Gather_output_0_Gather")
#loc4 = loc("query/Add_output_0_Add")
#loc5 = loc("projection_Add")
"""


def test_layers_are_read_with_what_they_read() -> None:
    assert read(_TEXT) == (
        Layer("words/Gather_output_0_Gather", "Gather", ()),
        Layer("query/Add_output_0_Add", "MatMul", ("words/Gather_output_0_Gather",)),
        Layer("projection_Add", "Add", ("query/Add_output_0_Add", "words/Gather_output_0_Gather")),
    )


def test_a_text_without_layers_has_none() -> None:
    assert read("#loc = loc(unknown)\n") == ()


def _graph(*nodes: tuple[str, tuple[str, ...], str]) -> onnx.GraphProto:
    made = [helper.make_node(kind, list(given), [out], name=out) for kind, given, out in nodes]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", nodes[-1][2])]
    return helper.make_graph(made, "g", value[:1], value[1:])


# A product with its bias, a GELU of which the tool makes one layer, and a sum that reads both.
_NODES = _graph(
    ("MatMul", ("x", "w"), "p"),
    ("Add", ("p", "b"), "p_1"),
    ("Div", ("p_1", "c"), "d"),
    ("Erf", ("d",), "e"),
    ("Mul", ("p_1", "e"), "g"),
    ("Add", ("g", "p_1"), "y"),
)
_LAYERS = (Layer("p_1_Add", "MatMul", ()), Layer("g_GELU", "GELU", ("p_1_Add",)), Layer("y_Add", "Add", ("g_GELU",)))


def test_a_node_has_the_layer_that_is_named_by_its_output() -> None:
    found = choose(_LAYERS, _NODES, ["y", "p_1"])
    assert found.layers == ("p_1_Add", "y_Add")
    assert (found.own, found.merged, found.none) == (2, 0, ())


def test_a_node_inside_of_a_layer_keeps_that_layer() -> None:
    found = choose(_LAYERS, _NODES, ["p", "e"])
    assert found.layers == ("p_1_Add", "g_GELU")
    assert (found.own, found.merged, found.none) == (0, 2, ())


def test_a_name_that_begins_another_is_not_taken_for_it() -> None:
    # "p" is no layer's output although "p_1_Add" begins with it: what it is inside of comes by the graph.
    assert choose((Layer("p_1_Add", "Add", ()),), _NODES, ["g"]).none == ("g",)
    assert choose((Layer("p_Add", "Add", ()), Layer("p_1_Add", "Add", ())), _NODES, ["p"]).layers == ("p_Add",)


def test_a_node_that_no_layer_computes_is_counted() -> None:
    alone = (Layer("y_Add", "Add", ()),)
    found = choose(alone, _NODES, ["p_1", "y", "unknown"])
    # What three nodes read cannot be inside of one's layer.
    assert found.none == ("p_1", "unknown")
    assert (found.own, found.merged, found.layers) == (1, 0, ("y_Add",))


def test_several_layers_of_one_node_are_all_taken() -> None:
    two = (Layer("y_Cast", "Cast", ()), Layer("y_Add", "Add", ("y_Cast",)))
    assert choose(two, _NODES, ["y"]).layers == ("y_Cast", "y_Add")


def test_the_output_itself_can_be_a_name() -> None:
    assert choose((Layer("y", "Add", ()),), _NODES, ["y"]).layers == ("y",)


_ATTENTION = (
    Layer("k", "MatMul", ()),
    Layer("k.heads", "Reshape", ("k",)),
    Layer("k.turned", "Permute", ("k.heads",)),
    Layer("q", "MatMul", ()),
    Layer("q.turned", "Permute", ("q",)),
    Layer("scores", "MatMul", ("q.turned", "k.turned")),
)


@pytest.mark.parametrize(
    ("wanted", "types"),
    [
        (["scores"], ("k.heads", "k.turned", "q.turned", "scores")),
        (["k", "k.heads", "k.turned"], ("k",)),
        (["k", "q", "scores"], tuple(layer.name for layer in _ATTENTION)),
        ([], ()),
    ],
)
def test_no_type_changes_between_a_transposition_and_the_product_that_reads_it(
    wanted: list[str], types: tuple[str, ...]
) -> None:
    assert settled(_ATTENTION, wanted) == types


def test_what_two_types_read_keeps_its_own() -> None:
    layers = (
        Layer("a", "Reshape", ()),
        Layer("b", "Add", ("a",)),
        Layer("c", "Add", ("a",)),
        Layer("last", "Permute", ("b",)),
    )
    assert settled(layers, ["a", "b"]) == ("a", "b")
    assert settled(layers, ["b"]) == ("b",)
    # Nothing reads the last layer: it stays as it was chosen.
    assert settled(layers, ["last"]) == ("last",)


def test_the_tools_table() -> None:
    assert table(["a_Add", "b_MatMul"], "BF16") == "a_Add BF16\nb_MatMul BF16\n"
    assert table([], "F16") == ""
