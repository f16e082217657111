"""Ratios of interleaved timings, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Median of the pairwise ratios and its 95 % bootstrap interval, over `n` rounds."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return how many times `numerator` is of `denominator`, round by round.

    Rounds are pairs taken one after the other, so that a drift of the machine's speed hits both. The interval is the
    percentile bootstrap (Efron 1979) of the median over rounds.

    Args:
        numerator: seconds per round.
        denominator: seconds per round, as many.

    Returns:
        The ratio.

    Raises:
        ValueError: the lengths differ or are zero.
    """
    if len(numerator) != len(denominator) or not numerator:
        raise ValueError("ratios need as many rounds of both, and at least one")
    pairs = np.asarray(numerator, float) / np.asarray(denominator, float)
    draws = np.random.default_rng(0).integers(0, len(pairs), (_RESAMPLES, len(pairs)))
    medians = np.median(pairs[draws], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Ratio(float(np.median(pairs)), float(low), float(high), len(pairs))
