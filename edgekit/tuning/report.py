"""What a tuning found, and the same as a table for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.tuning.objective import OBJECTIVES

if TYPE_CHECKING:
    from edgekit.results import Candidate
    from edgekit.tuning.objective import Objective

_HEADS = ("", "variant", "runtime", "device", "threads", "options", "ms", "95 %", "image", "text", "load", "peak MB")
_TEXTS = 6  # so many columns are aligned left


@dataclass(frozen=True)
class Tuning:
    """What ``edgekit tune`` found.

    Attributes:
        bundle: the bundle's path and digest.
        date: day, as ``2026-01-31`` (UTC).
        objective: what was to be fast, a key of `OBJECTIVES`.
        seconds: what it took.
        chosen: the candidate that `edgekit.load` takes from now on.
        candidates: every candidate in the order they were tried, those refused without trial last.
        note: why the choice could not be stored; else empty.
    """

    bundle: str
    date: str
    objective: Objective
    seconds: float
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    note: str

    def __str__(self) -> str:
        return report(self)


def report(tuning: Tuning) -> str:
    """Return what was accepted as a table, fastest first, and what was refused with the reason."""
    accepted = sorted((c for c in tuning.candidates if c.accepted), key=lambda c: c.milliseconds or 0.0)
    rows = [_HEADS, *(_row(candidate, candidate == tuning.chosen) for candidate in accepted)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    objective, count = OBJECTIVES[tuning.objective], len(tuning.candidates)
    lines = [tuning.bundle, f"{objective}, in milliseconds; {count} candidates in {tuning.seconds:.0f} s"]
    lines += [_line(row, widths) for row in rows]
    lines += [str(candidate) for candidate in tuning.candidates if not candidate.accepted]
    lines.append(f"chosen: {tuning.chosen}")
    return "\n".join([*lines, *([f"note: {tuning.note}"] if tuning.note else [])])


def _row(candidate: Candidate, chosen: bool) -> tuple[str, ...]:
    options = " ".join(f"{name}={value}" for name, value in candidate.options)
    first = "*" if chosen else "", candidate.variant, candidate.runtime, candidate.device
    time = f"{candidate.milliseconds or 0.0:.1f}"
    cost = candidate.cost
    if cost is None:
        return (*first, str(candidate.threads), options, time, "", "", "", "", "")
    interval = f"{cost.low:.1f}-{cost.high:.1f}" if cost.low < cost.high else ""
    towers = (f"{cost.towers[name]:.1f}" if name in cost.towers else "" for name in ("image", "text"))
    peak = "" if cost.peak is None else f"{cost.peak:.0f}"
    return (*first, str(candidate.threads), options, time, interval, *towers, f"{cost.load:.0f}", peak)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if i < _TEXTS else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return " ".join(cells).rstrip()
