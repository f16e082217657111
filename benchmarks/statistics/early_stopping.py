"""MLPerf's early stopping: what may be said of a percentile at 99 % confidence after so many queries.

Source: mlcommons/inference, loadgen/early_stopping.cc and results.cc, and the rules' appendix "Early stopping". With t
of n queries above a latency, that latency holds for the percentile p at confidence c when so few would be seen with
probability at most ``1 - c`` if the true percentile were higher: ``P(X <= t) <= 1 - c`` for X binomial (n, 1 - p).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.benchmarks.statistics.binomial import cdf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIDENCE = 0.99


def passes(queries: int, over: int, p: float, confidence: float = CONFIDENCE) -> bool:
    """Tell whether a latency bound holds for a percentile.

    Args:
        queries: that were made.
        over: of them above the bound.
        p: percentile, 0 < p < 1.
        confidence: 0 < confidence < 1.

    Returns:
        True when it holds at that confidence.
    """
    return queries > over and cdf(over, queries, 1 - p) <= 1 - confidence


def needed(p: float, over: int = 1, confidence: float = CONFIDENCE) -> int:
    """Return the fewest queries with which a bound that `over` of them miss can hold.

    Args:
        p: percentile, 0 < p < 1.
        over: queries above the bound, 0 or more; an estimate needs 1.
        confidence: 0 < confidence < 1.

    Returns:
        Queries, those above the bound included: 64 for p90 and 662 for p99 with one above.
    """
    low, high = over + 1, over + 1 + math.ceil(math.log(1 - confidence) / math.log(p))
    while not passes(high, over, p, confidence):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if passes(middle, over, p, confidence):
            high = middle
        else:
            low = middle + 1
    return low


def estimate(ordered: npt.NDArray[np.float64], p: float, confidence: float = CONFIDENCE) -> float | None:
    """Return the value that early stopping gives for a percentile.

    Args:
        ordered: (n,) ascending.
        p: percentile, 0 < p < 1.
        confidence: 0 < confidence < 1.

    Returns:
        The smallest value that holds; None where there are too few queries for any.
    """
    count = len(ordered)
    if not passes(count, 1, p, confidence):
        return None
    low, high = 1, count - 1
    while low < high:
        middle = (low + high + 1) // 2
        if passes(count, middle, p, confidence):
            low = middle
        else:
            high = middle - 1
    return float(ordered[count - low])
