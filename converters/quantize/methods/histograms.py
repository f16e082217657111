"""Histograms of activations, and where to cut them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BINS = 2048
_OUTSIDE = 5e-5  # share of the values beyond either end: 99.99 % stay
_LEVELS = 128  # magnitudes of an 8 bit code
_STEP = 16


@dataclass
class Histogram:
    """Counts of values in equal bins.

    Attributes:
        edges: BINS + 1 rising borders.
        counts: values in each bin.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, low: float, high: float) -> Histogram:
        """Return a histogram without values over ``low..high``."""
        high = high if high > low else low + max(1.0, abs(low)) * 1e-6
        return cls(np.linspace(low, high, BINS + 1), np.zeros(BINS, np.int64))

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count values, all of them within the borders."""
        found, _ = np.histogram(values, bins=BINS, range=(self.edges[0], self.edges[-1]))
        self.counts += found


def percentile(histogram: Histogram) -> tuple[float, float]:
    """Return the range that leaves out 0.005 % of the values at either end, to the width of a bin."""
    share = np.cumsum(histogram.counts) / max(1, histogram.counts.sum())
    first = int(np.searchsorted(share, _OUTSIDE, side="right"))
    last = int(np.searchsorted(share, 1 - _OUTSIDE, side="left"))
    return float(histogram.edges[min(first, BINS - 1)]), float(histogram.edges[min(last, BINS - 1) + 1])


def entropy(histogram: Histogram) -> tuple[float, float]:
    """Return the range whose magnitude is cut where 8 bit codes tell the values apart best.

    For each threshold, the histogram of magnitudes up to it (values beyond counted in its last bin) is compared with
    itself after being merged into 128 levels; the threshold of least Kullback-Leibler divergence is taken (Migacz
    2017, "8-bit inference with TensorRT"). Zeros, which every code holds exactly, have no say: the bin that they are in
    counts as its neighbour does, as NVIDIA's pytorch-quantization has it. Else the zeros that a ReLU leaves would make
    the smallest threshold look best.

    Args:
        histogram: of the tensor's values.

    Returns:
        Low and high: those of the histogram, cut to the threshold's magnitude.
    """
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    centres = np.abs((histogram.edges[:-1] + histogram.edges[1:]) / 2)
    reach = max(abs(low), abs(high))
    counts, _ = np.histogram(centres, bins=BINS, range=(0, reach), weights=histogram.counts.astype(np.float64))
    counts[0] = min(counts[0], counts[1])
    if not counts.sum():
        return low, high
    best = min(range(_LEVELS, BINS + 1, _STEP), key=lambda kept: (_divergence(counts, kept), -kept))
    threshold = reach * best / BINS
    return max(low, -threshold), min(high, threshold)


def _divergence(counts: npt.NDArray[np.float64], kept: int) -> float:
    inside = counts[:kept]
    reference = inside.copy()
    reference[-1] += counts[kept:].sum()
    level = np.arange(kept) * _LEVELS // kept
    occupied = inside > 0
    sums = np.bincount(level, weights=inside, minlength=_LEVELS)
    members = np.bincount(level, weights=occupied, minlength=_LEVELS)
    merged = np.where(occupied, (sums / np.maximum(members, 1))[level], 0.0)
    if not merged.sum():
        return float("inf")
    p, q = reference / reference.sum(), merged / merged.sum()
    where = p > 0
    # A bin that the levels leave empty, yet holds clipped values, costs as if it held one part in a million.
    return float(np.sum(p[where] * np.log(p[where] / np.maximum(q[where], 1e-6))))
