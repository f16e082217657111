"""Percentiles of measured times, with intervals that assume no distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.results.records import Estimate
from edgekit.benchmarks.statistics.binomial import quantile
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIDENCE = 0.95


def percentile(ordered: npt.NDArray[np.float64], p: float) -> float:
    """Return a percentile as LoadGen defines it: the value of rank ``floor(n * p) + 1``, never interpolated.

    Source: mlcommons/inference, loadgen/results.cc, `PerformanceSummary::ProcessLatencies`.

    Args:
        ordered: (n,) ascending, at least one.
        p: 0 <= p < 1.

    Returns:
        One of the values.

    Raises:
        InputError: there are no values, or `p` is out of range.
    """
    if not len(ordered):
        raise InputError("no queries to take a percentile of; the run measured nothing")
    if not 0 <= p < 1:
        raise InputError(f"percentile is {p}; give 0 or more, and less than 1")
    return float(ordered[int(len(ordered) * p)])


def estimate(ordered: npt.NDArray[np.float64], p: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a percentile with its interval between two order statistics.

    The number of values below the true percentile is binomial (n, p) whatever the distribution is, so the values whose
    ranks are that distribution's quantiles enclose it. Source: Conover, Practical Nonparametric Statistics, third
    edition, section 3.2. Queries are taken as independent, as MLPerf's early stopping takes them.

    Args:
        ordered: (n,) ascending, at least one.
        p: 0 < p < 1.
        confidence: at least this much, 0 < confidence < 1.

    Returns:
        The percentile; ends for which there are too few values are the least and the greatest of them.

    Raises:
        InputError: there are no values, or `p` is out of range.
    """
    value, count, tail = percentile(ordered, p), len(ordered), (1 - confidence) / 2
    # Ranks from 1: the true percentile lies below rank r + 1 when at most r values are below it.
    lower = quantile(tail, count, p)
    upper = quantile(1 - tail, count, p) + 1
    low = float(ordered[max(lower, 1) - 1])
    high = float(ordered[min(upper, count) - 1])
    return Estimate(value, min(low, value), max(high, value), count)
