"""Power of the idle device, before and after a run."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import windows
from edgekit.benchmarks.meters.sampling import INTERVAL, Sampler
from edgekit.benchmarks.results.energy_records import Baseline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.meters.protocol import Channel, Meter
    from edgekit.benchmarks.meters.samples import Key
    from edgekit.benchmarks.results.energy_records import Series

# Means of this many parts of the window: enough for a standard deviation, and each long enough to be independent.
_BATCHES = 10


def idle(meters: Sequence[Meter], seconds: float, interval: float = INTERVAL) -> dict[Key, Baseline]:
    """Measure for some seconds while this process sleeps.

    Args:
        meters: those of power or energy count, others are not read.
        seconds: length.
        interval: seconds between two readings, as in `Sampler`.

    Returns:
        The idle power of each channel of power or energy that gave enough samples, by (meter, series name).
    """
    electric = [m for m in meters if any(c.kind in ("power", "energy") for c in m.channels())]
    if not electric:
        return {}
    with Sampler(electric, interval) as sampler:
        begin = time.perf_counter_ns()
        time.sleep(seconds)
        end = time.perf_counter_ns()
    return of(sampler.series(begin), (end - begin) / 1e9, sampler.channels)


def of(series: Sequence[Series], seconds: float, channels: Mapping[Key, Channel]) -> dict[Key, Baseline]:
    """Take the mean power of each series.

    Args:
        series: of power or energy; others are left out.
        seconds: end of the window, which begins at 0.
        channels: of the series, by (meter, series name).

    Returns:
        Mean watts; the error is the standard error of the mean by batch means (Law and Kelton, Simulation Modeling and
        Analysis, chapter 9): neighbouring samples are not independent, means of a tenth of the window nearly are.
    """
    found = {}
    for one in series:
        key = (one.meter, one.name)
        if one.kind not in ("power", "energy") or key not in channels:
            continue
        window = windows.window(one, 0.0, seconds)
        if window is None or window.n < _BATCHES or (one.kind == "energy" and windows.backwards(one, 0.0, seconds)):
            continue
        edges = [seconds * i / _BATCHES for i in range(_BATCHES + 1)]
        parts = [windows.between(window, a, b) / (b - a) for a, b in pairwise(edges)]
        mean = sum(parts) / _BATCHES
        spread = math.sqrt(sum((part - mean) ** 2 for part in parts) / (_BATCHES - 1))
        found[key] = Baseline(mean, spread / math.sqrt(_BATCHES), window.n)
    return found
