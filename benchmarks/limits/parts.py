"""Which part of a model a node belongs to, by the module paths that exporters leave in names, and by what it does.

No name of a module is known here. A block is a module with a number that holds several products; the module in a block
that holds a softmax is its attention. Where names tell nothing, the norms cut the graph into attention and the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.limits.records import Part

_NUMBERED = re.compile(r"\.\d+$")
_SCORES = {"Softmax", "BiasSoftmax", "QLinearSoftmax", "Attention", "MultiHeadAttention", "QAttention"}
# A table of so many bytes is looked up; a smaller Gather picks rows or sizes.
_TABLE = 4096


@dataclass(frozen=True)
class Node:
    """A node as an engine runs it: its name, operator, and the bytes of weights that it reads."""

    name: str
    op: str
    weights: int = 0

    @property
    def multiplies(self) -> bool:
        """Whether it multiplies matrices or convolves."""
        return any(word in self.op for word in ("Conv", "MatMul", "Gemm", "Attention", "Einsum"))

    @property
    def normalizes(self) -> bool:
        """Whether it is a layer, group or batch norm."""
        return self.op.endswith("Normalization")


def assign(nodes: Sequence[Node]) -> list[tuple[Part, str]]:
    """Say of each node which part of the model it belongs to, and in which block it lies.

    Args:
        nodes: in the order in which they run.

    Returns:
        For each, its part and the block's name, such as ``layer.3``; an empty name outside of blocks.
    """
    paths = _paths(nodes)
    blocks = _blocks(nodes, paths)
    inside = [i for i, block in enumerate(blocks) if block]
    if not inside:
        return [(part, "") for part in _segments(nodes)]
    scoring = {_area(paths[i], blocks[i]) for i, node in enumerate(nodes) if blocks[i] and node.op in _SCORES}
    attentive = {block for block, _ in scoring}
    convolving = _convolving(nodes, blocks)
    found: list[tuple[Part, str]] = []
    for i, node in enumerate(nodes):
        part = _own(node)
        if part is None and not blocks[i]:
            part = "stem" if i < inside[0] else "head" if i > inside[-1] else "other"
        if part is None and blocks[i] in convolving:
            part = "convolution"
        if part is None:
            area = _area(paths[i], blocks[i])
            loose = blocks[i] in attentive and not area[1]
            part = "attention" if area in scoring else "other" if loose else "mlp"
        found.append((part, _shown(blocks[i])))
    return found


def _own(node: Node) -> Part | None:
    """Return the part that a node belongs to wherever it stands; None where that decides."""
    if node.normalizes:
        return "norm"
    return "table" if node.op.startswith("Gather") and node.weights >= _TABLE else None


def _paths(nodes: Sequence[Node]) -> list[tuple[str, ...]]:
    """Return each node's modules, outermost first; a node that an engine made gets those of the one before it."""
    found: list[tuple[str, ...]] = []
    for node in nodes:
        modules = tuple(part for part in node.name.split("/") if part)[:-1]
        named = "/" in node.name
        found.append(modules if named or not found else found[-1])
    return found


def _blocks(nodes: Sequence[Node], paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return each node's block: its innermost numbered module with two products or more; empty where it has none."""
    products: Counter[tuple[str, ...]] = Counter()
    for node, path in zip(nodes, paths, strict=True):
        if node.multiplies:
            products.update(_numbered(path))
    return [next((p for p in reversed(_numbered(path)) if products[p] > 1), ()) for path in paths]


def _numbered(path: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [path[: i + 1] for i, module in enumerate(path) if _NUMBERED.search(module)]


def _area(path: tuple[str, ...], block: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return a node's block and the module right inside it; an empty one for a node of the block itself."""
    return block, path[len(block)] if len(path) > len(block) else ""


def _convolving(nodes: Sequence[Node], blocks: Sequence[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return the blocks whose products are mostly convolutions."""
    balance: Counter[tuple[str, ...]] = Counter()
    for node, block in zip(nodes, blocks, strict=True):
        if block and node.multiplies:
            balance[block] += 1 if "Conv" in node.op else -1
    return {block for block, more in balance.items() if more > 0}


def _shown(block: tuple[str, ...]) -> str:
    return ".".join(module for module in block if _NUMBERED.search(module))


def _segments(nodes: Sequence[Node]) -> list[Part]:
    """Cut a graph without names at its norms: what holds a softmax is attention, what else multiplies an mlp."""
    starts = [i for i, node in enumerate(nodes) if node.normalizes]
    edges = [0, *starts, len(nodes)]
    found: list[Part] = []
    for number, (start, end) in enumerate(pairwise(edges)):
        segment = nodes[start:end]
        products = [node for node in segment if node.multiplies]
        part: Part = "attention" if any(node.op in _SCORES for node in segment) else "mlp"
        if sum("Conv" in node.op for node in products) * 2 > len(products):
            part = "convolution"
        if number == 0 and starts:
            part = "stem"
        elif number == len(edges) - 2 and starts and part != "attention":
            part = "head"
        found += [_own(node) or (part if products else "other") for node in segment]
    return found
