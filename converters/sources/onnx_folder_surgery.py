"""Put the contract's input and output around a foreign graph: what stands before it and after it, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import walk
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec

MaskRule = Literal["ones", "not_pad", "to_first_pad"]
ChannelAxis = Literal[1, 3]

# The foreign graph's names move under this, so that none can meet the contract's or the new nodes'.
_INNER = "tower/"
_TINY = 1e-6


def isolate(model: onnx.ModelProto, output: str) -> None:
    """Keep one output, drop what it does not need and defaults of inputs, and prefix every name, in place.

    Args:
        model: the graph.
        output: the output to keep, by its original name.
    """
    graph = model.graph
    needed = {output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_read_names(node))
            kept.append(node)
    kept.reverse()
    copies = [_copy(node) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    # Older exporters list every weight among the inputs, as a default that a caller may replace.
    weights = {tensor.name for tensor in graph.initializer}
    asked = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(asked)
    # Shapes inferred for a fixed batch would contradict the free one.
    del graph.value_info[:]
    keep = [value for value in graph.output if value.name == output]
    del graph.output[1:]
    graph.output[0].CopyFrom(keep[0])
    for part in walk.graphs(model):
        _prefix(part)


def image_input(model: onnx.ModelProto, name: str, spec: ImageSpec, channel_axis: ChannelAxis) -> None:
    """Replace the graph's image input by ``pixels`` uint8 (N, H, W, 3), in place.

    A graph that takes uint8 receives the pixels as they are; one that takes floats receives
    ``(pixels / 255 - mean) / std``.

    Args:
        model: an isolated graph.
        name: its image input, by its original name.
        spec: size, mean and std.
        channel_axis: 1 where the graph takes (N, 3, H, W), 3 where it takes (N, H, W, 3).
    """
    element = _take_input(model, name)
    nodes, last = [], "pixels"
    if channel_axis == 1:
        nodes.append(helper.make_node("Transpose", [last], ["edgekit/planes"], perm=[0, 3, 1, 2]))
        last = "edgekit/planes"
    if element != TensorProto.UINT8:
        mean, std = np.asarray(spec.mean, np.float64), np.asarray(spec.std, np.float64)
        shape = (1, 3, 1, 1) if channel_axis == 1 else (1, 1, 1, 3)
        _constant(model, "edgekit/scale", (1.0 / (255.0 * std)).astype(np.float32).reshape(shape))
        _constant(model, "edgekit/shift", (-mean / std).astype(np.float32).reshape(shape))
        nodes += [
            helper.make_node("Cast", [last], ["edgekit/levels"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["edgekit/levels", "edgekit/scale"], ["edgekit/scaled"]),
            helper.make_node("Add", ["edgekit/scaled", "edgekit/shift"], ["edgekit/normalized"]),
        ]
        last = "edgekit/normalized"
    nodes.append(helper.make_node("Cast", [last], [_INNER + name], to=element))
    _prepend(
        model, nodes, helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", spec.height, spec.width, 3])
    )


def text_input(
    model: onnx.ModelProto,
    ids: str,
    mask: str | None,
    types: str | None,
    rule: MaskRule,
    pad_id: int,
    length: int | str,
) -> None:
    """Replace the graph's text inputs by ``token_ids`` int32 (N, L), in place; the others are derived from the ids.

    Args:
        model: an isolated graph.
        ids: the token input, by its original name.
        mask: the attention mask input, or None.
        types: the token type input, or None; it receives zeros.
        rule: how the mask follows from the ids.
        pad_id: id of the padding token.
        length: L, or a name where the graph takes any length.
    """
    nodes = [helper.make_node("Cast", ["token_ids"], ["edgekit/ids"], to=TensorProto.INT64)]
    nodes.append(helper.make_node("Cast", ["edgekit/ids"], [_INNER + ids], to=_take_input(model, ids)))
    if mask is not None:
        nodes += _mask_nodes(model, rule, pad_id)
        nodes.append(helper.make_node("Cast", ["edgekit/mask"], [_INNER + mask], to=_take_input(model, mask)))
    if types is not None:
        nodes.append(helper.make_node("Sub", ["edgekit/ids", "edgekit/ids"], ["edgekit/zeros"]))
        nodes.append(helper.make_node("Cast", ["edgekit/zeros"], [_INNER + types], to=_take_input(model, types)))
    _prepend(model, nodes, helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", length]))


def unit_output(model: onnx.ModelProto, dimension: int) -> None:
    """Replace the graph's one output by ``embedding`` float32 (N, D) of unit rows, in place.

    Rows are divided by their largest component before squaring, so that the sum of squares fits in float16.

    Args:
        model: an isolated graph whose output has shape (N, D).
        dimension: D.
    """
    graph = model.graph
    _constant(model, "edgekit/tiny", np.array(_TINY, np.float32))
    graph.node.extend(
        [
            helper.make_node("Cast", [graph.output[0].name], ["edgekit/features"], to=TensorProto.FLOAT),
            helper.make_node("Abs", ["edgekit/features"], ["edgekit/abs"]),
            helper.make_node("ReduceMax", ["edgekit/abs"], ["edgekit/max"], axes=[-1], keepdims=1),
            helper.make_node("Max", ["edgekit/max", "edgekit/tiny"], ["edgekit/largest"]),
            helper.make_node("Div", ["edgekit/features", "edgekit/largest"], ["edgekit/row"]),
            helper.make_node("ReduceL2", ["edgekit/row"], ["edgekit/l2"], axes=[-1], keepdims=1),
            helper.make_node("Max", ["edgekit/l2", "edgekit/tiny"], ["edgekit/norm"]),
            helper.make_node("Div", ["edgekit/row", "edgekit/norm"], ["embedding"]),
        ]
    )
    graph.output[0].CopyFrom(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", dimension]))


def mask_of(ids: npt.NDArray[np.integer], rule: MaskRule, pad_id: int) -> npt.NDArray[np.int64]:
    """Return the attention mask that `text_input` builds in the graph, for integer ids (N, L), as int64 (N, L)."""
    padding = (ids == pad_id).astype(np.int64)
    if rule == "ones":
        return np.ones_like(padding)
    kept = padding == 0 if rule == "not_pad" else np.cumsum(padding, axis=1) - padding == 0
    mask: npt.NDArray[np.int64] = kept.astype(np.int64)
    return mask


def _mask_nodes(model: onnx.ModelProto, rule: MaskRule, pad_id: int) -> list[onnx.NodeProto]:
    ids, mask = "edgekit/ids", "edgekit/mask"
    if rule == "ones":
        return [helper.make_node("Equal", [ids, ids], [mask])]
    _constant(model, "edgekit/pad", np.array(pad_id, np.int64))
    nodes = [helper.make_node("Equal", [ids, "edgekit/pad"], ["edgekit/padding"])]
    if rule == "not_pad":
        return [*nodes, helper.make_node("Not", ["edgekit/padding"], [mask])]
    _constant(model, "edgekit/axis", np.array(1, np.int64))
    _constant(model, "edgekit/zero", np.array(0, np.int64))
    return [
        *nodes,
        helper.make_node("Cast", ["edgekit/padding"], ["edgekit/padding_count"], to=TensorProto.INT64),
        helper.make_node("CumSum", ["edgekit/padding_count", "edgekit/axis"], ["edgekit/before"], exclusive=1),
        helper.make_node("Equal", ["edgekit/before", "edgekit/zero"], [mask]),
    ]


def _take_input(model: onnx.ModelProto, name: str) -> int:
    """Remove a graph input and return its element type; a node will write the value under the same name."""
    for position, value in enumerate(model.graph.input):
        if value.name == _INNER + name:
            element: int = value.type.tensor_type.elem_type
            del model.graph.input[position]
            return element
    raise UnsupportedModelError(f"the graph has no input '{name}'")


def _prepend(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], value: onnx.ValueInfoProto) -> None:
    rest = [_copy(node) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.input.insert(0, value)


def _constant(model: onnx.ModelProto, name: str, value: npt.NDArray[np.generic]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(value, name))


def _prefix(graph: onnx.GraphProto) -> None:
    """Rename every value and node of one graph; done to bodies too, a name stays the same for all that read it.

    `onnx.compose.add_prefix` forgets the initializers that only a body reads.
    """
    del graph.quantization_annotation[:]
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = _INNER + item.name
    for sparse in graph.sparse_initializer:
        sparse.values.name = _INNER + sparse.values.name
    for node in graph.node:
        node.name = _INNER + node.name if node.name else ""
        for names in (node.input, node.output):
            # An empty name is an optional input or output that is left out.
            names[:] = [_INNER + name if name else name for name in names]


def _read_names(node: onnx.NodeProto) -> set[str]:
    """Every name a node reads, bodies of control-flow nodes included."""
    names = set(node.input)
    for attribute in node.attribute:
        bodies = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        for body in bodies:
            names.update(value.name for value in body.output)
            for inner in body.node:
                names.update(_read_names(inner))
    return names


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
