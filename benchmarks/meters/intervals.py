"""How sure a figure of energy is: the spread of its samples, and the error of its sensor."""

from __future__ import annotations

import math

import numpy as np

_RESAMPLES, _SEED = 1000, 20260101
_BLOCKS_AT_LEAST = 10
_AT_ONCE = 1_000_000
_NORMAL = 1.959964


def spread(times: np.ndarray, joules: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of a window's energy, from how much the power varied inside it.

    The moving-block bootstrap of Künsch (Annals of Statistics 17, 1989), with blocks of n^(1/3) samples and at most a
    tenth of the window, laid around a circle (Politis and Romano, 1992): blocks keep the dependence of neighbouring
    samples. The statistic is energy over duration, times the length of the window.

    Args:
        times: (m,) seconds, increasing.
        joules: (m,) energy since the first of them.

    Returns:
        Lower and upper end in joules; both the energy itself where there are fewer than ten intervals.
    """
    durations, parts = np.diff(times), np.diff(joules)
    n, whole = len(parts), float(joules[-1] - joules[0])
    if n < _BLOCKS_AT_LEAST:
        return whole, whole
    block = max(1, min(round(n ** (1 / 3)), n // _BLOCKS_AT_LEAST))
    around = np.concatenate((np.arange(n), np.arange(block - 1)))
    energy = np.convolve(parts[around], np.ones(block), "valid")
    seconds = np.convolve(durations[around], np.ones(block), "valid")
    random, count = np.random.default_rng(_SEED), math.ceil(n / block)
    watts = np.empty(_RESAMPLES)
    # As many at once as fit 16 MB.
    rows = max(1, _AT_ONCE // count)
    for first in range(0, _RESAMPLES, rows):
        chosen = random.integers(0, n, (min(rows, _RESAMPLES - first), count))
        watts[first : first + rows] = energy[chosen].sum(axis=1) / seconds[chosen].sum(axis=1)
    low, high = np.quantile(watts, (0.025, 0.975)) * float(times[-1] - times[0])
    return min(float(low), whole), max(float(high), whole)


def with_sensor(value: float, low: float, high: float, error: float | None) -> tuple[float, float]:
    """Widen an interval by the error of the sensor.

    A documented limit of error is taken as a rectangular distribution, whose standard deviation is the limit over the
    square root of 3 (GUM, JCGM 100:2008, 4.3.7), and added in quadrature (5.1.2): samples do not average it away.

    Args:
        value: the figure.
        low: lower end of its 95 % interval by the spread of the samples.
        high: upper end.
        error: relative limit of error; None where the sensor's documentation states none, which widens nothing.

    Returns:
        Lower and upper end.
    """
    sensor = _NORMAL * (error or 0.0) / math.sqrt(3) * abs(value)
    return value - math.hypot(value - low, sensor), value + math.hypot(high - value, sensor)
