"""What the search asks of the methods: the one place where the two meet, imported only by workers.

A module with these four functions may stand in its place; tests bring one whose methods crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from edgekit.converters.quantize import instructions
from edgekit.converters.quantize.methods import apply, calibration
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.table import METHODS, SATURATES, for_instructions
from edgekit.converters.quantize.work import MethodFacts, Survey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from edgekit.converters.quantize.methods.records import Range, TowerDecision

_NARROW = "_7bit"
_NARROWEST = "x86-avx2"
# Activations that processors compute only by way of float32; they are for GPUs and NPUs.
_ELSEWHERE = frozenset({"float16", "uint16"})


def survey(master: Path, target: str) -> Survey:
    """List the groups of a float tower, every method, and those that are worth a try on a target."""
    facts = {
        name: MethodFacts(
            weights=method.weights,
            activations=method.activations,
            needs_ranges=method.needs_ranges,
            kinds=tuple(sorted(method.kinds)),
            description=method.description,
        )
        for name, method in METHODS.items()
    }
    return Survey(find_groups(_graph(master)), facts, usual(target))


def usual(target: str) -> tuple[str, ...]:
    """Name the methods to try where the user names none.

    Args:
        target: a key of `methods.SATURATES`; ``cpu`` stands for this processor, ``any`` for all of them: a file that
            computes right wherever sums saturate computes right elsewhere too.

    Returns:
        On a processor those that compute in float32 or 8 bits, with weights in 7 bits in place of 8 only where sums
        would saturate; every method for any other target.
    """
    wanted = {"cpu": instructions.here(), "any": _NARROWEST}.get(target, target)
    if wanted not in SATURATES:
        return tuple(METHODS)
    fitting = {for_instructions(name, wanted) for name in METHODS if not name.endswith(_NARROW)}
    return tuple(name for name, method in METHODS.items() if name in fitting and method.activations not in _ELSEWHERE)


def needed(master: Path, decision: TowerDecision) -> tuple[str, ...]:
    """Name the tensors whose ranges a decision wants."""
    return calibration.needed_tensors(_graph(master), decision)


def measure(
    master: Path, batches: Sequence[npt.NDArray[np.generic]], tensors: tuple[str, ...], how: calibration.How
) -> dict[str, Range]:
    """Calibrate."""
    return calibration.measure(master, batches, tensors, how)


def build(master: Path, out: Path, decision: TowerDecision, ranges: Mapping[str, Range]) -> None:
    """Write the tower that a decision describes."""
    apply.quantize_tower(master, out, decision, ranges)


def _graph(master: Path) -> onnx.ModelProto:
    """Read the graph without its weights."""
    return onnx.load(str(master), load_external_data=False)
