"""The bootstrap over cases: how far a mean would move had other cases been drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# Every figure of edgekit is drawn with this seed, so that the same cases give the same error everywhere.
SEED = 20260101
RESAMPLES = 2000


def resampled_means(
    values: npt.NDArray[np.floating], *, seed: int = SEED, resamples: int = RESAMPLES
) -> npt.NDArray[np.float64]:
    """Draw the means of bootstrap samples (Efron 1979, "Bootstrap methods: another look at the jackknife").

    A sample's mean depends only on how often each distinct value was drawn, and those counts are multinomial; so the
    counts are drawn instead of the cases. That is the same distribution, costs no memory, and does not depend on the
    order of the cases.

    Args:
        values: (n,), finite, n at least 1; one for each case.
        seed: of the random numbers.
        resamples: number R of samples, at least 1.

    Returns:
        (R,) float64.

    Raises:
        ValueError: there are no cases, or `resamples` is below 1.
    """
    if values.ndim != 1 or not len(values) or resamples < 1:
        raise ValueError(f"cannot resample values of shape {values.shape} {resamples} times")
    distinct, counts = np.unique(values.astype(np.float64), return_counts=True)
    drawn = draw_counts(counts, seed=seed, resamples=resamples)
    return np.asarray(drawn @ distinct / len(values))


def draw_counts(
    counts: npt.NDArray[np.integer], *, seed: int = SEED, resamples: int = RESAMPLES
) -> npt.NDArray[np.int64]:
    """Draw how often each kind of case is in each bootstrap sample.

    Args:
        counts: (K,), cases of each kind.
        seed: of the random numbers.
        resamples: number R of samples.

    Returns:
        (R, K) int64; each row adds up to ``counts.sum()``.
    """
    total = int(counts.sum())
    return np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)
