"""Which operators a compiler takes, as data: what it cannot do is found before it crashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.converters.graph import walk
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Refusal:
    """Why an operator cannot be compiled, and what to do."""

    reason: str
    offer: str


@dataclass(frozen=True)
class Table:
    """A compiler's operators.

    Attributes:
        tool: name and version that the table was made with.
        opset: the newest operator set it reads.
        proven: operators that compiled and computed right in edgekit's own tests.
        refused: operators that it refused or computed wrongly when the table was made.
    """

    tool: str
    opset: int
    proven: tuple[str, ...]
    refused: dict[str, Refusal]


def read(name: str) -> Table:
    """Return the table of a target."""
    path = files("edgekit.converters.targets") / "operators" / f"{name}.json"
    return schema.loads(Table, path.read_bytes(), f"{name}.json")


def check(model: onnx.ModelProto, table: Table, tower: str) -> tuple[str, ...]:
    """Look every node up, those in bodies of control flow too.

    Args:
        model: static, as it will be given to the compiler.
        table: of the compiler.
        tower: for messages.

    Returns:
        Operators that the table does not know, each with its number; the compiler may take them.

    Raises:
        UnsupportedModelError: a node is known not to work; the message names it, the reason and what to do.
    """
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > table.opset:
            raise UnsupportedModelError(
                f"the {tower} tower uses operator set {entry.version}, {table.tool} reads {table.opset} at most; "
                "convert the bundle again"
            )
    for node in walk.nodes(model):
        refusal = table.refused.get(node.op_type)
        foreign = node.domain not in ("", "ai.onnx")
        if foreign or refusal is not None:
            reason = refusal.reason if refusal else f"{node.domain} is not a standard operator set"
            offer = refusal.offer if refusal else "convert the bundle again from its float source"
            raise UnsupportedModelError(
                f"the {tower} tower's node '{node.name or node.output[0]}' ({node.op_type}) cannot be compiled by "
                f"{table.tool}: {reason}. {offer}"
            )
    counted = Counter(node.op_type for node in walk.nodes(model) if node.op_type not in table.proven)
    return tuple(f"{op} ({n})" for op, n in sorted(counted.items()))
