"""Energy over exactly a window of time, from samples that do not fall on its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.benchmarks.results.energy_records import Series


@dataclass(frozen=True)
class Window:
    """A series cut to a window.

    Attributes:
        times: (m,) seconds: the window's begin, the samples inside, its end.
        joules: (m,) energy since the window's begin.
        n: samples inside.
        longest: seconds at most between two neighbouring samples that the window touches, or from an end of the window
            to the nearest sample where none lies beyond that end.
    """

    times: npt.NDArray[np.float64]
    joules: npt.NDArray[np.float64]
    n: int
    longest: float


EMPTY = Window(np.zeros(2), np.zeros(2), 0, 0.0)
"""Of a series without samples."""


def window(series: Series, begin: float, end: float) -> Window | None:
    """Integrate a series over a window.

    Power is joined by straight lines (the trapezoidal rule) and interpolated at both ends; a counter of energy is
    interpolated at both ends. Where no sample lies beyond an end, the nearest one's power (for a counter, nothing more)
    is taken to hold, and `longest` tells how far.

    Args:
        series: in watts, or in joules by an unwrapped counter.
        begin: seconds, on the series' clock.
        end: seconds, after `begin`.

    Returns:
        The cut series; None when the series is empty or the window has no length.
    """
    times = np.asarray(series.times, np.float64)
    values = np.asarray(series.values, np.float64)
    if not len(times) or end <= begin:
        return None
    inside = (times > begin) & (times < end)
    grid = np.concatenate(([begin], times[inside], [end]))
    at = np.interp(grid, times, values)
    if series.kind == "energy":
        joules = at - at[0]
    else:
        joules = np.concatenate(([0.0], np.cumsum((at[1:] + at[:-1]) / 2 * np.diff(grid))))
    return Window(grid, joules, int(inside.sum()), _longest(times, begin, end))


def between(cut: Window, begin: float, end: float) -> float:
    """Return the joules between two moments of a window."""
    first, last = np.interp([begin, end], cut.times, cut.joules)
    return float(last - first)


def backwards(series: Series, begin: float, end: float) -> bool:
    """Say whether a counter fell between two readings that a window touches."""
    times, values = np.asarray(series.times), np.asarray(series.values)
    first, last = _touched(times, begin, end)
    return bool(np.any(np.diff(values[first:last]) < 0))


def _touched(times: npt.NDArray[np.float64], begin: float, end: float) -> tuple[int, int]:
    first = max(int(np.searchsorted(times, begin, side="right")) - 1, 0)
    last = min(int(np.searchsorted(times, end, side="left")) + 1, len(times))
    return first, last


def _longest(times: npt.NDArray[np.float64], begin: float, end: float) -> float:
    first, last = _touched(times, begin, end)
    near = times[first:last]
    gaps = [float(np.diff(near).max())] if len(near) > 1 else []
    return max([*gaps, float(near[0]) - begin, end - float(near[-1])])
