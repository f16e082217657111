"""The table of runs that people read, in Markdown and HTML alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import names, numbers
from edgekit.benchmarks.results.metrics import figure, metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result

HEADS = (
    "run",
    "size",
    "fidelity",
    "p50, ms",
    "p99, ms",
    "throughput, /s",
    "memory, MiB",
    "energy a sample",
    "verdict",
)
NOTE = (
    "Intervals are 95 %. Fidelity is how often the first answer is that of the float model. Memory is the largest"
    " resident set of the process. Energy includes the idle device."
)


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the cells of each run under `HEADS`, as plain text."""
    return [_row(result, label) for result, label in zip(results, names.labels(results), strict=True)]


def _row(result: Result, label: str) -> tuple[str, ...]:
    found = result.latency
    agreement = result.accuracy.agreement
    return (
        label,
        numbers.size(result.subject.size),
        numbers.UNMEASURED if agreement is None else numbers.percent(agreement),
        numbers.spread(found.p50.value, found.p50.low, found.p50.high),
        numbers.spread(found.p99.value, found.p99.low, found.p99.high),
        numbers.spread(result.throughput.value, result.throughput.low, result.throughput.high),
        numbers.number(result.memory.rss_peak),
        numbers.figure(figure(result, metric("per_inference")), "J"),
        result.verdict,
    )
