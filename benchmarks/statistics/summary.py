"""From a trace to the figures of a result; every function the report needs, under one roof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results.records import Latency, Stage
from edgekit.benchmarks.statistics import early_stopping
from edgekit.benchmarks.statistics.drifting import drift
from edgekit.benchmarks.statistics.histogram import histogram
from edgekit.benchmarks.statistics.intervals import minutes
from edgekit.benchmarks.statistics.percentiles import estimate, percentile
from edgekit.benchmarks.statistics.resampling import throughput
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.scenarios.protocol import Trace

__all__ = ["drift", "latencies", "latency", "minutes", "stages", "throughput"]

_EARLY = {"p90": 0.90, "p99": 0.99}


def latencies(trace: Trace) -> npt.NDArray[np.float64]:
    """Return (n,) milliseconds of each query from its arrival to its end, ascending."""
    return np.sort((trace.ended - trace.issued) / 1e6)


def latency(trace: Trace) -> Latency:
    """Describe how long queries took.

    Args:
        trace: of at least one query.

    Returns:
        Milliseconds: percentiles with 95 % intervals, early stopping's estimates, histogram.

    Raises:
        InputError: the trace has no query.
    """
    ordered = latencies(trace)
    if not len(ordered):
        raise InputError("the run has no query; ask for at least one")
    return Latency(
        n=len(ordered),
        mean=float(ordered.mean()),
        least=float(ordered[0]),
        greatest=float(ordered[-1]),
        p50=estimate(ordered, 0.50),
        p90=estimate(ordered, 0.90),
        p99=estimate(ordered, 0.99),
        early={name: early_stopping.estimate(ordered, p) for name, p in _EARLY.items()},
        histogram=histogram(ordered),
    )


def stages(trace: Trace, names: Sequence[str]) -> dict[str, Stage]:
    """Describe the parts of a query.

    Args:
        trace: of at least one query.
        names: of the parts, in the order of the trace's columns.

    Returns:
        Milliseconds of each part, and its share of the mean latency, which the rest (waiting, the harness) completes
        to 1.

    Raises:
        InputError: the trace has no query, or another number of parts.
    """
    if not len(trace.ended) or trace.stages.shape[1] != len(names):
        raise InputError(
            f"the run has {len(trace.ended)} queries of {trace.stages.shape[1]} parts; expected at least one query of "
            f"{len(names)} ({', '.join(names)})"
        )
    whole = max(1.0, float((trace.ended - trace.issued).mean()))
    found = {}
    for column, name in enumerate(names):
        ordered = np.sort(trace.stages[:, column] / 1e6)
        p50, p90, p99 = (percentile(ordered, p) for p in (0.50, 0.90, 0.99))
        found[name] = Stage(p50, p90, p99, min(1.0, float(ordered.mean()) * 1e6 / whole))
    return found
