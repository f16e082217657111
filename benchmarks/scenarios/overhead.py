"""What the loop itself costs, measured on work that does nothing."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from edgekit.benchmarks.results.records import Plan
from edgekit.benchmarks.scenarios.run import measure

if TYPE_CHECKING:
    from collections.abc import Sequence

_REPEATS = 5
_QUERIES = 4000
# As many as the longest pipeline has, photo to labels.
_STAGES = ("decode", "preprocess", "inference", "postprocess")
_TIMES = (0, 0, 0, 0)


class Nothing:
    """Work that does nothing, with the stages of the longest pipeline."""

    @property
    def samples(self) -> int:
        """Distinct samples there are."""
        return 64

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the parts of a query."""
        return _STAGES

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Do nothing; `indices` are not looked at."""
        return _TIMES


def per_query_us() -> float:
    """Measure the single-stream loop on an empty workload.

    Returns:
        Microseconds from one query to the next, all of which the loop adds; median of five runs.
    """
    plan = Plan("single-stream", "photo", "edgekit", 1, 0, (), 1, 0.0, 0.0, 0.0, _QUERIES, False, 0, 64, "nothing")
    traces = [measure(plan, Nothing(), _ignore) for _ in range(_REPEATS)]
    return median((trace.end - trace.begin) / len(trace.ended) for trace in traces) / 1e3


def _ignore(seconds: float, queries: int) -> None:
    """Show nothing."""
