"""What Rockchip's tool is asked to build of a tower, one attempt after the other until the goal is reached.

This file is read inside the toolchain ``rknn`` as well, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

NORMAL, FITTED = "normal", "mmse"
"""The tool's ways to find ranges: what was seen, or what loses least in the square."""
SUM, ADDED = "sum", "added"
"""Layers found by the shape of the graph, see `rknn_layers.running_sum`: the sum, and what is added to it as well."""

# Layers whose own cosine is below the threshold stay in float16; from the least of them to nearly all.
_THRESHOLDS = (0.98, 0.995, 0.9995)


@dataclass(frozen=True)
class Attempt:
    """One thing to build.

    Attributes:
        name: for a person.
        algorithm: the tool's way to find ranges.
        threshold: cosine below which the tool keeps a layer in float16, or None where it chooses none.
        shape: `SUM` or `ADDED` where layers are found by the shape of the graph, or empty.
        nodes: first outputs of the nodes whose layers stay in float16.
    """

    name: str
    algorithm: str = NORMAL
    threshold: float | None = None
    shape: str = ""
    nodes: tuple[str, ...] = ()


def attempts(precision: str, choices: Sequence[Mapping[str, Any]], *, plain: bool) -> tuple[Attempt, ...]:
    """Return what to try, in order.

    Args:
        precision: fp16, hybrid or w8a8.
        choices: for hybrid, what has to stay in float16 by edgekit's own measurement, from cheap to safe: ``nodes`` by
            their first outputs, and ``steps``, how many parts of the tower they are.
        plain: whether to build as the tool's own defaults do, to compare with.

    Returns:
        At least one attempt: for hybrid the choices, then what needs no measurement.
    """
    if precision == "hybrid" and plain:
        return (Attempt("hybrid", threshold=_THRESHOLDS[0]),)
    if precision == "hybrid":
        return (
            *(Attempt(_called(choice["steps"]), nodes=tuple(choice["nodes"])) for choice in choices),
            Attempt("hybrid, the running sum in float16", shape=SUM),
            Attempt("hybrid, the running sum and what is added to it in float16", shape=ADDED),
            *(
                Attempt(f"hybrid, layers below {limit:g} in float16, ranges of least square error", FITTED, limit)
                for limit in _THRESHOLDS
            ),
        )
    if precision == "w8a8" and not plain:
        return (Attempt("w8a8"), Attempt("w8a8, ranges of least square error", FITTED))
    return (Attempt(precision),)


def _called(steps: int) -> str:
    return f"hybrid, the {steps} most sensitive parts in float16" if steps else "hybrid, every layer in 8 bits"
