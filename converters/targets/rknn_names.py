"""Which layers of Rockchip's tool compute which nodes of the graph that it was given.

The tool optimizes a graph before it quantizes it: a product, its bias and its transposes become one convolution, an
attention's products and its softmax one layer, an activation's nodes another. A layer's output has the name of the
tensor that it holds and then what was done to it: ``…/Add_output_0-rs``, ``…/MatMul_output_0_mm_tp_sw``; of norms
it has the node's name and a number: ``…/LayerNormalization#1``. Stored operands keep their names.

This file is read inside the toolchain ``rknn`` as well, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx

# What the tool appends to a name begins with one of these.
_MARKS = "-_#"
# They move values and make none: where no layer bears their name, they are of the layer that made the values.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class Layers:
    """The layers that compute each node.

    Attributes:
        own: by a node's first output, the outputs of the layers that bear its name, or read its stored operands.
        merged: by a node's first output, the layers of the node that it was merged into.
        none: first outputs of nodes that no layer computes: what the tool worked out beforehand, or left out.
        followers: layers that belong to no node, such as changes of layout, and the layers that read them.
    """

    own: dict[str, tuple[str, ...]]
    merged: dict[str, tuple[str, ...]]
    none: tuple[str, ...]
    followers: dict[str, tuple[str, ...]]


def layers(given: onnx.ModelProto, optimized: onnx.ModelProto) -> Layers:
    """Find the layers of each node.

    Args:
        given: the graph that the tool was given; weights need not be loaded.
        optimized: the tool's graph, ``NAME.model`` of its first step; weights need not be loaded.

    Returns:
        Every node of `given` is in one of the three.
    """
    named = _named(given, optimized)
    own: dict[str, list[str]] = {node.output[0]: [] for node in given.graph.node}
    free = []
    for layer in optimized.graph.node:
        node = named.get(layer.output[0])
        if node is None:
            free.append(layer)
        elif node in own:
            own[node] += [name for name in layer.output if name not in own[node]]
    _by_operands(given, optimized, own)
    claimed = {name for found in own.values() for name in found}
    merged, none = _merged(given, own)
    readers = _readers(optimized)
    followers = {
        layer.output[0]: tuple(node.output[0] for node in readers.get(layer.output[0], ()))
        for layer in free
        if layer.output[0] not in claimed
    }
    return Layers({node: tuple(found) for node, found in own.items() if found}, merged, none, followers)


def chosen(found: Layers, kept: Collection[str], optimized: onnx.ModelProto) -> list[str]:
    """Return the layers that compute some nodes.

    Args:
        found: layers of each node.
        kept: the nodes' first outputs; names that are no node's count for nothing.
        optimized: the tool's graph.

    Returns:
        Outputs of layers in the graph's order; a layer of no node is with them if all that read it are.
    """
    wanted = {layer for node in kept for layer in (*found.own.get(node, ()), *found.merged.get(node, ()))}
    for layer in reversed(optimized.graph.node):
        reading = found.followers.get(layer.output[0], ())
        if reading and wanted.issuperset(reading):
            wanted.update(layer.output)
    return [name for layer in optimized.graph.node for name in layer.output if name in wanted]


def _named(given: onnx.ModelProto, optimized: onnx.ModelProto) -> dict[str, str]:
    """Return, by a layer's output, the first output of the node that it is named after, or an input of the graph."""
    known = {value.name: value.name for value in given.graph.input}
    for node in given.graph.node:
        known |= dict.fromkeys([*node.output, *([node.name] if node.name else [])], node.output[0])
    outputs = {name for layer in optimized.graph.node for name in layer.output}
    found = {}
    for name in outputs:
        if name in known:
            found[name] = known[name]
            continue
        stem = next((name[:end] for end in range(len(name), 0, -1) if name[:end] in known and name[end] in _MARKS), "")
        # Where the tensor itself is there, what bears its name besides is made of it for somebody else.
        if stem and stem not in outputs:
            found[name] = known[stem]
    return found


def _by_operands(given: onnx.ModelProto, optimized: onnx.ModelProto, own: dict[str, list[str]]) -> None:
    """Give nodes without a layer of their name the one layer that reads what is stored for them alone."""
    readers = _readers(optimized)
    nodes = _readers(given)
    for tensor in given.graph.initializer:
        reading, layer = nodes.get(tensor.name, []), readers.get(tensor.name, [])
        if len(reading) == len(layer) == 1 and not own[reading[0].output[0]]:
            own[reading[0].output[0]] += layer[0].output


def _merged(given: onnx.ModelProto, own: dict[str, list[str]]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Give the other nodes the layers of the node that they were merged into, the first after them that has any."""
    readers = _readers(given)
    makers = {name: node for node in given.graph.node for name in node.output}
    found: dict[str, tuple[str, ...]] = {}
    alone = [node for node in given.graph.node if not own[node.output[0]]]
    for node in (one for one in alone if one.op_type in _MOVES):
        before = makers[node.input[0]].output[0] if node.input[0] in makers else ""
        if into := tuple(own.get(before, ())) or found.get(before, ()):
            found[node.output[0]] = into
    for node in reversed(alone):
        after = [reader.output[0] for output in node.output for reader in readers.get(output, ())]
        into = next((taken for one in after if (taken := tuple(own[one]) or found.get(one, ()))), ())
        if into:
            found.setdefault(node.output[0], into)
    return found, tuple(node.output[0] for node in alone if node.output[0] not in found)


def _readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found
