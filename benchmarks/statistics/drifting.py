"""Whether a run was the same at its end as at its beginning: throttling, and memory that is not given back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results.records import Drift
from edgekit.benchmarks.scenarios.recorder import bytes_of
from edgekit.benchmarks.statistics.resampling import ratio_of_medians
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.benchmarks.results.energy_records import Series
    from edgekit.benchmarks.scenarios.protocol import Trace

SLOWER = 1.05
"""The run slowed down when the whole interval of last over first fifth lies above this; fifths of fewer than five
queries tell nothing."""

GROWTH = 8.0
"""MiB by which memory must have grown in what was looked at, beyond doubt, to be called a leak."""

_LEAST_FIFTH = 5
_SHORTEST = 60.0
_LEAST_SAMPLES = 20
_POINTS = 200
_MIB = 2**20
_NORMAL = 1.959964


def drift(trace: Trace, rss: Series | None) -> Drift:
    """Compare the end of a run with its beginning.

    Slowing down is judged by the time that the work itself took, the sum of its stages, so that waiting in the server
    scenario's queue does not count; by the latency where the work has no stages. A fifth is a fifth of the queries.

    Memory is judged after the first fifth of the run, less what the harness kept for the queries so far, by the slope
    of Theil and Sen (Sen 1968, JASA 63), the median of the slopes of all pairs, with its interval by Kendall's
    statistic.

    Args:
        trace: of at least two queries.
        rss: resident memory in MiB over time; None where it was not sampled.

    Returns:
        The ratio with its 95 % interval, the slope, and the verdicts.

    Raises:
        InputError: there are fewer than two queries.
    """
    count = len(trace.ended)
    if count < 2:
        raise InputError(f"the run has {count} queries; at least two are needed to compare its end with its beginning")
    work = trace.stages.sum(axis=1)
    times = (work if len(work) and work.min() > 0 else trace.ended - trace.issued).astype(np.float64)
    fifth = max(1, count // 5)
    value, low, high = ratio_of_medians(np.maximum(times[-fifth:], 1), np.maximum(times[:fifth], 1))
    memory, leak = _memory(trace, rss)
    return Drift(value, memory, low > SLOWER and fifth >= _LEAST_FIFTH, leak, low, high)


def _memory(trace: Trace, rss: Series | None) -> tuple[float | None, bool]:
    """Return MiB an hour, and whether it is a leak; None for runs too short to tell."""
    length = (trace.end - trace.begin) / 1e9
    if rss is None or length < _SHORTEST:
        return None, False
    times, values = np.asarray(rss.times), np.asarray(rss.values)
    within = (times >= length / 5) & (times <= length)
    times, values = times[within], values[within]
    if len(times) < _LEAST_SAMPLES:
        return None, False
    queries = np.searchsorted(np.sort(trace.ended) / 1e9, times)
    values = values - queries * bytes_of(trace) / _MIB
    slope, low, _ = theil_sen(times, values)
    return slope * 3600, low > 0 and slope * float(times[-1] - times[0]) > GROWTH


def theil_sen(times: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the median of the slopes of all pairs, and the ends of its 95 % interval.

    Source: Sen 1968, JASA 63, 1379-1389, the interval by the normal approximation of Kendall's statistic without ties.

    Args:
        times: (n,) ascending, at least two of them different.
        values: (n,).

    Returns:
        Slope, low, high, in units of `values` over units of `times`. Of more than 200 points, medians of 200 blocks
        are taken.

    Raises:
        InputError: there are no two different times.
    """
    if len(times) > _POINTS:
        blocks = np.array_split(np.arange(len(times)), _POINTS)
        times = np.array([np.median(times[block]) for block in blocks])
        values = np.array([np.median(values[block]) for block in blocks])
    first, second = np.triu_indices(len(times), 1)
    steps = times[second] - times[first]
    apart = steps > 0
    if not apart.any():
        raise InputError("a slope needs values at two different times")
    slopes = np.sort((values[second] - values[first])[apart] / steps[apart])
    count, pairs = len(times), len(slopes)
    half = _NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(0, math.floor((pairs - half) / 2))]
    high = slopes[min(pairs - 1, math.ceil((pairs + half) / 2))]
    return float(np.median(slopes)), float(low), float(high)
