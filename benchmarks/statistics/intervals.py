"""The measured part minute by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results.records import Minute
from edgekit.benchmarks.statistics.percentiles import percentile
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.energy_records import Series
    from edgekit.benchmarks.scenarios.protocol import Trace

# Runs of at least so many seconds, and the length of an interval; shorter runs have six.
_LENGTHS = ((300.0, 60.0), (60.0, 10.0))
_PARTS = 6


def minutes(trace: Trace, rss: Series | None) -> tuple[Minute, ...]:
    """Cut the measured part into intervals.

    Args:
        trace: of at least one query.
        rss: resident memory in MiB over time; None where it was not sampled.

    Returns:
        Intervals of a minute for runs of five minutes and more, of 10 s for those of one minute and more, else sixths.
        A rest that is shorter than half an interval belongs to the last one. A query belongs to the interval in which
        it ended; where none did, the percentiles are 0; where memory was not sampled before the end, `rss` is 0.

    Raises:
        InputError: the trace has no query.
    """
    if not len(trace.ended):
        raise InputError("the run has no query; nothing to cut into minutes")
    length = (trace.end - trace.begin) / 1e9
    step = next((step for least, step in _LENGTHS if length >= least), length / _PARTS)
    count = max(1, round(length / step)) if step > 0 else 1
    bounds = [number * step for number in range(count)] + [length]
    order = np.argsort(trace.ended, kind="stable")
    latency = (trace.ended - trace.issued)[order] / 1e6
    # A query that ended on a bound belongs to the interval before it, as the last query to the last interval.
    inner = np.searchsorted(trace.ended[order], np.round(np.multiply(bounds[1:-1], 1e9)), side="right")
    places = [0, *inner.tolist(), len(order)]
    found = []
    for number in range(count):
        start, stop = bounds[number], bounds[number + 1]
        values = np.sort(latency[places[number] : places[number + 1]])
        p50, p99 = (percentile(values, p) if len(values) else 0.0 for p in (0.5, 0.99))
        found.append(Minute(start, stop - start, len(values), p50, p99, _last(rss, stop)))
    return tuple(found)


def _last(rss: Series | None, stop: float) -> float:
    """Return the last sample that is not after `stop`."""
    if rss is None or not rss.times or rss.times[0] > stop:
        return 0.0
    return rss.values[int(np.searchsorted(rss.times, stop, side="right")) - 1]
