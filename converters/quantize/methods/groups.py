"""Find what is decided together: the weights of a tower, cut into blocks by the shape of its graph, not by names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto

from edgekit.converters.compress.encoded import MIN_ELEMENTS
from edgekit.converters.quantize.methods.editor import attribute, node_keys, reads
from edgekit.converters.quantize.methods.records import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.converters.quantize.methods.records import GroupKind

_RUN = 4  # nodes of a straight chain that share a group: a chain has no residual add to cut it at
_STEMS: dict[str, GroupKind] = {"Conv": "convolution"}
_NO_DATA = {"Shape", "Size", "ArgMax", "ArgMin"}  # what they give says nothing about the values of activations


@dataclass
class _Part:
    """Consecutive nodes of the flow: a block between two points that everything passes, or a straight chain."""

    block: bool
    bearing: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A group before it has a name; numbers are positions in the flow."""

    kind: GroupKind
    bearing: list[int]
    members: list[int]
    is_stem: bool = False


@dataclass(frozen=True)
class Region:
    """A group and the nodes around its weights.

    Attributes:
        group: the group.
        members: keys of the nodes that carry activations from its input to its output, its own among them.
    """

    group: Group
    members: tuple[str, ...]


def find_groups(model: onnx.ModelProto) -> tuple[Group, ...]:
    """Cut the weights of a tower into groups.

    Nodes that read weights (MatMul and Gemm with a stored right side, Conv, Gather of 1024 numbers or more) are taken
    in the order of execution and cut where every activation passes one node: residual adds, and each step of a
    straight chain. A block that multiplies activations with activations is attention; one whose weights are mostly
    convolutions is a convolution; any other is an mlp. What follows the last block is the head. The first
    convolution (or patch embedding) is the ``stem``, each table a group of its own. Chains without residual adds
    are cut every four nodes.

    Args:
        model: a float tower; weights may be outside.

    Returns:
        The groups in order of execution, tables first; empty when the graph reads no weights.
    """
    return tuple(region.group for region in find_regions(model))


def find_regions(model: onnx.ModelProto) -> tuple[Region, ...]:
    """Return the groups, each with the nodes around its weights; see `find_groups`."""
    flow = _Flow(model)
    parts = flow.parts()
    last_block = max((i for i, part in enumerate(parts) if part.block), default=-1)
    tables = [i for i in range(len(flow.nodes)) if flow.is_table(i)]
    found = [_Found("table", [i], [i]) for i in tables]
    for position, part in enumerate(parts):
        if part.block:
            found.append(_Found(flow.kind(part), part.bearing, part.members))
        else:
            found += flow.chain(part, tail=position > last_block)
    return tuple(
        Region(flow.group(name, one), tuple(flow.keys[i] for i in one.members))
        for name, one in zip(_names(found), found, strict=True)
    )


class _Flow:
    """The nodes that carry activations, in order of execution, and which of them read weights."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._sizes = {t.name: tuple(t.dims) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
        constants = {t.name for t in model.graph.initializer}
        all_keys = node_keys(model)
        live = {value.name for value in model.graph.input} - constants
        carried: set[str] = set()
        indices, sources = [], set()
        for i, node in enumerate(model.graph.node):
            names = reads(node)
            stops = node.op_type in _NO_DATA
            is_live = not stops and any(name in live for name in names)
            bears = self._bears(node, constants)
            if bears or (not stops and any(name in carried for name in names)):
                if is_live and bears and node.op_type != "Gather" and not any(name in carried for name in names):
                    sources.add(i)
                carried.update(node.output)
                indices.append(i)
            if is_live:
                live.update(node.output)
        indices = _needed(model, indices)
        self.nodes = [model.graph.node[i] for i in indices]
        self.keys = [all_keys[i] for i in indices]
        self.sources = {position for position, i in enumerate(indices) if i in sources}
        self._carried = carried
        self._bearing = {p for p, node in enumerate(self.nodes) if self._bears(node, constants)}

    def _bears(self, node: onnx.NodeProto, constants: set[str]) -> bool:
        if node.op_type == "Gather" and node.input[0] in self._sizes:
            large = int(np.prod(self._sizes[node.input[0]])) >= MIN_ELEMENTS and len(self._sizes[node.input[0]]) > 1
            return large and attribute(node, "axis", 0) == 0 and node.input[1] not in constants
        if node.op_type not in ("MatMul", "Gemm", "Conv") or node.input[0] in constants:
            return False
        return len(self._sizes.get(node.input[1], ())) > 1

    def is_table(self, position: int) -> bool:
        return position in self._bearing and self.nodes[position].op_type == "Gather"

    def parts(self) -> list[_Part]:
        """Cut the flow at each node that every path from the input to the output passes."""
        first: dict[str, int] = {name: i for i, node in enumerate(self.nodes) for name in node.output}
        last = list(range(len(self.nodes)))
        for i, node in enumerate(self.nodes):
            for name in reads(node):
                if name in first:
                    last[first[name]] = i
        parts: list[_Part] = []
        inside: list[int] = []
        # Nothing before the last of the nodes that start from the input itself is passed by everything.
        reach = max(self.sources, default=0)
        for i in range(len(self.nodes)):
            if reach > i:
                inside.append(i)
            else:
                bears = i in self._bearing and not self.is_table(i)
                weights = [j for j in inside if j in self._bearing and not self.is_table(j)]
                if weights:
                    parts.append(_Part(True, weights, inside if bears else [*inside, i]))
                if not parts or parts[-1].block:
                    parts.append(_Part(False))
                if bears or not weights:
                    parts[-1].members += [i] if weights else [*inside, i]
                if bears:
                    parts[-1].bearing.append(i)
                inside = []
            reach = max(reach, last[i])
        return [part for part in parts if part.bearing]

    def kind(self, part: _Part) -> GroupKind:
        for i in part.members:
            node = self.nodes[i]
            if node.op_type in ("MatMul", "Einsum") and sum(name in self._carried for name in node.input) > 1:
                return "attention"
        return self._mostly(part.bearing)

    def _mostly(self, bearing: Sequence[int]) -> GroupKind:
        convolutions = self._parameters(i for i in bearing if self.nodes[i].op_type == "Conv")
        return "convolution" if 2 * convolutions > self._parameters(bearing) else "mlp"

    def chain(self, part: _Part, *, tail: bool) -> list[_Found]:
        """Split a straight chain into the stem, runs of a few nodes, and the head."""
        bearing = part.bearing
        convolutions = [i for i in bearing if self.nodes[i].op_type == "Conv"]
        head = len(self.nodes)
        if tail and convolutions:
            head = convolutions[-1] + 1
        elif tail:
            # Without convolutions, and without a block before it, all but the last product is the body.
            head = bearing[0] if self._reads_weights_before(part) else bearing[-1]
        body = [i for i in bearing if i < head]
        found = []
        if body and body[0] in self.sources:
            found.append(_Found(_STEMS.get(self.nodes[body[0]].op_type, "other"), [body.pop(0)], [], is_stem=True))
        for start in range(0, len(body), _RUN):
            run = body[start : start + _RUN]
            found.append(_Found(self._mostly(run), run, []))
        if last := [i for i in bearing if i >= head]:
            found.append(_Found("head", last, []))
        for i in part.members:  # each node goes to the group whose weights were read last before it
            owner = max((one for one in found if one.bearing[0] <= i), key=lambda o: o.bearing[0], default=found[0])
            owner.members.append(i)
        return found

    def _reads_weights_before(self, part: _Part) -> bool:
        return any(i in self._bearing and not self.is_table(i) for i in range(part.members[0]))

    def group(self, name: str, found: _Found) -> Group:
        nodes = tuple(self.keys[i] for i in found.bearing)
        return Group(name, found.kind, nodes, self._parameters(found.bearing))

    def _parameters(self, bearing: Iterable[int]) -> int:
        names = {self.nodes[i].input[0 if self.nodes[i].op_type == "Gather" else 1] for i in bearing}
        return sum(int(np.prod(self._sizes[name])) for name in names)


def _needed(model: onnx.ModelProto, indices: Sequence[int]) -> list[int]:
    """Keep the nodes whose result reaches an output of the graph."""
    wanted = {output.name for output in model.graph.output}
    kept = []
    chosen = set(indices)
    for i in range(len(model.graph.node) - 1, -1, -1):
        node = model.graph.node[i]
        if any(name in wanted for name in node.output):
            if node.op_type not in _NO_DATA:
                wanted.update(reads(node))
            if i in chosen:
                kept.append(i)
    return kept[::-1]


def _names(found: Sequence[_Found]) -> list[str]:
    names: list[str] = []
    number, previous = -1, ""
    for one in found:
        if one.is_stem or one.kind in ("table", "head", "other"):
            base = "stem" if one.is_stem else one.kind
            count = sum(name.rstrip("0123456789") == base for name in names)
            names.append(base if not count else f"{base}{count + 1}")
            previous = ""
            continue
        # The attention and the mlp after it are one block of a transformer.
        number += not (previous == "attention" and one.kind == "mlp")
        names.append(f"block{number:02}.{one.kind}")
        previous = one.kind
    return names
