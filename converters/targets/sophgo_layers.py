"""Which layers of Sophgo's tool compute which nodes of the graph that it was given, and the table of their types.

The tool names a layer by the last output that it computes and the operator's name: ``…/Add_output_0_Add`` is a product
with its bias, ``…/Mul_1_output_0_GELU`` the five nodes of a GELU.

This file is read inside the toolchain ``sophgo``, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import onnx

# What holds no values that are computed.
_NO_LAYERS = frozenset({"Input", "None", "Weight"})
# They move values and make none.
_MOVES = frozenset({"Permute", "Reshape", "Squeeze", "Unsqueeze"})
_LOCATION = re.compile(r'^(#loc\d*) = loc\("([^"]*)"', re.MULTILINE)
_LINE = re.compile(r'^\s*(%\d+) = "top\.(\w+)"\(([^)]*)\).* loc\((#loc\d*)\)$', re.MULTILINE)


@dataclass(frozen=True)
class Layer:
    """One layer of the tool.

    Attributes:
        name: by which the tool's tables know it.
        kind: the tool's operator, such as ``MatMul``.
        reads: names of the layers that it reads.
    """

    name: str
    kind: str
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """The layers of some nodes.

    Attributes:
        layers: their names, in the graph's order.
        own: nodes whose output is a layer's.
        merged: nodes that are computed inside of another node's layer.
        none: first outputs of nodes that no layer computes; the tool worked them out beforehand.
    """

    layers: tuple[str, ...]
    own: int
    merged: int
    none: tuple[str, ...]


def read(text: str) -> tuple[Layer, ...]:
    """Read the layers of a graph in the tool's float form.

    Args:
        text: of the file that ``model_transform`` writes.

    Returns:
        Its layers, in the graph's order.
    """
    names = dict(_LOCATION.findall(text))
    made: dict[str, str] = {}
    found = []
    for value, kind, given, location in _LINE.findall(text):
        if kind in _NO_LAYERS:
            continue
        made[value] = names[location]
        reads = tuple(made[one] for one in given.split(", ") if one in made)
        found.append(Layer(names[location], kind, reads))
    return tuple(found)


def choose(layers: Sequence[Layer], graph: onnx.GraphProto, kept: Collection[str]) -> Chosen:
    """Find the layers that compute some nodes.

    Args:
        layers: of `read`.
        graph: that the tool was given; weights need not be loaded.
        kept: the nodes' first outputs.

    Returns:
        The layers, after `settled`.
    """
    outputs = {name for node in graph.node for name in node.output}
    of: dict[str, list[str]] = {}
    for layer in layers:
        of.setdefault(_output(layer.name, outputs), []).append(layer.name)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    wanted: set[str] = set()
    own, merged, none = 0, 0, []
    for name in kept:
        found = name
        while found and found not in of:
            following = readers.get(found, [])
            # What two nodes read cannot be inside of one's layer.
            found = following[0].output[0] if len(following) == 1 else ""
        wanted.update(of.get(found, ()))
        own += found == name
        merged += found not in ("", name)
        none += [] if found else [name]
    return Chosen(settled(layers, wanted), own, merged, tuple(none))


def settled(layers: Sequence[Layer], wanted: Collection[str]) -> tuple[str, ...]:
    """Give layers that only move values the type of what reads them.

    The tool puts a cast where types change. One between a transposition and the product of two activations makes
    version 1.30.2 compute that product wrongly, though its own interpreter of the same graph does not: queries by keys
    of MiniLM (32 tokens, heads of 32) kept a cosine of 0.009.

    Args:
        layers: of `read`.
        wanted: names of those in 16 bits.

    Returns:
        Names of those in 16 bits so, in the graph's order.
    """
    found = set(wanted)
    readers: dict[str, set[str]] = {}
    for layer in layers:
        for name in layer.reads:
            readers.setdefault(name, set()).add(layer.name)
    for layer in reversed(layers):
        following = readers.get(layer.name, set())
        if layer.kind not in _MOVES or not following:
            continue
        if following <= found:
            found.add(layer.name)
        elif not following & found:
            found.discard(layer.name)
    return tuple(layer.name for layer in layers if layer.name in found)


def table(names: Sequence[str], kind: str) -> str:
    """Return the tool's table of types.

    Args:
        names: of layers.
        kind: ``F16``, ``BF16`` or ``F32``.

    Returns:
        One layer a line, its name and its type.
    """
    return "".join(f"{name} {kind}\n" for name in names)


def _output(layer: str, outputs: Collection[str]) -> str:
    """Return the node's output that a layer is named by, the longest that its name begins with; itself if none."""
    name = layer
    while name not in outputs and "_" in name:
        name = name.rpartition("_")[0]
    return name if name in outputs else layer
