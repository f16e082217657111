"""Which node of a LiteRT graph runs where: read from the interpreter's node list before and after it was changed.

An interpreter keeps every node of the model at the front of its list. Each part of the graph that a delegate takes is
appended as one more node, whose inputs and outputs are those of the part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.runtimes.protocol import NodePlacement, Placement


@dataclass(frozen=True)
class Node:
    """One node: its operator or the delegate's name, and the numbers of the tensors it reads and writes."""

    op: str
    reads: frozenset[int]
    writes: tuple[int, ...]


def nodes(interpreter: Any) -> tuple[Node, ...]:
    """Return an interpreter's nodes, the model's own first."""
    # Not `_get_ops_details`: it stops at the first tensor whose type NumPy does not have, such as int4.
    raw = interpreter._interpreter
    return tuple(
        Node(str(raw.NodeName(i)), frozenset(map(int, raw.NodeInputs(i))), tuple(map(int, raw.NodeOutputs(i))))
        for i in range(raw.NumNodes())
    )


def taken(model: tuple[Node, ...], parts: tuple[Node, ...]) -> frozenset[int]:
    """Return which of a model's nodes delegates took.

    Args:
        model: the model's own nodes.
        parts: the nodes that stand for what was taken.

    Returns:
        Positions in `model`.
    """
    writer = {tensor: i for i, node in enumerate(model) for tensor in node.writes}
    found: set[int] = set()
    for part in parts:
        # A part holds what lies between its outputs and its inputs, nothing else.
        wanted = [tensor for tensor in part.writes if tensor in writer]
        while wanted:
            position = writer[wanted.pop()]
            if position not in found:
                found.add(position)
                wanted += [t for t in model[position].reads if t in writer and t not in part.reads]
    return frozenset(found)


def placement(interpreter: Any, model: tuple[Node, ...], on_device: frozenset[int], device: str) -> Placement:
    """Return where each of the model's nodes runs.

    Args:
        interpreter: tells the tensors' names.
        model: the model's own nodes.
        on_device: positions of those that run on `device`; the others run on the CPU.
        device: its name.

    Returns:
        The model's nodes in its order, named after the first tensor they write.
    """
    raw = interpreter._interpreter
    return Placement(
        tuple(
            NodePlacement(
                str(raw.TensorName(node.writes[0], 0)) if node.writes else f"node {i}",
                node.op,
                device if i in on_device else "cpu",
            )
            for i, node in enumerate(model)
        )
    )
