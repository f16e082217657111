"""The tasks' own metrics: recall at k, zero-shot accuracy, their intervals, and a test between two variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.evaluation.resampling import RESAMPLES, SEED, draw_counts, resampled_means
from edgekit.fidelity import best

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over cases, and where it lies.

    Attributes:
        value: in 0..1.
        low: lower end of the interval that covers 95 %.
        high: upper end.
        n: number of cases.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class McNemar:
    """A test of whether two variants are right equally often on the same cases.

    Attributes:
        only_first: cases that only the first has right.
        only_second: cases that only the second has right.
        exact_p: two-sided p of the exact conditional test, in 0..1.
        mid_p: two-sided mid-p, in 0..1: less conservative, and the one to quote.
    """

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float


def places(
    queries: npt.NDArray[np.floating],
    gallery: npt.NDArray[np.floating],
    right: Sequence[Sequence[int]],
    depth: int,
) -> npt.NDArray[np.int64]:
    """Find at which place each query's first right match comes.

    Args:
        queries: (N, D), unit rows, finite.
        gallery: (M, D), unit rows, finite, M at least 1.
        right: for each query, the indices of its right matches in the gallery.
        depth: how many places to look at.

    Returns:
        (N,) from 0 for the best match; `depth` where none of the first `depth` is right. Of equal matches the one of
        lower index comes first.

    Raises:
        ValueError: the number of queries and of lists of right matches differ.
    """
    if len(right) != len(queries):
        raise ValueError(f"{len(queries)} queries have {len(right)} lists of right matches")
    found = np.full(len(queries), depth, np.int64)
    for where, matches in best(queries, gallery, depth):
        for query, row in enumerate(matches, where.start):
            hits = np.flatnonzero(np.isin(row, right[query]))
            found[query] = hits[0] if len(hits) else depth
    return found


def recall_at_k(
    queries: npt.NDArray[np.floating],
    gallery: npt.NDArray[np.floating],
    right: Sequence[Sequence[int]],
    k: int,
) -> float:
    """Return the share of queries that have a right match among their k best.

    As in papers on CLIP (Radford et al. 2021, arXiv 2103.00020) and in clip_benchmark, a query counts once, however
    many right matches it has.

    Args:
        queries: (N, D), unit rows, finite, N at least 1.
        gallery: (M, D), unit rows, finite, M at least 1.
        right: for each query, the indices of its right matches in the gallery.
        k: places that count, at least 1.

    Returns:
        In 0..1.
    """
    return float((places(queries, gallery, right, k) < k).mean())


def top_k(images: npt.NDArray[np.floating], labels: npt.NDArray[np.floating], classes: Sequence[int], k: int) -> float:
    """Return the share of images whose class is among the k best labels (zero-shot top-k accuracy).

    Args:
        images: (N, D), unit rows, finite, N at least 1.
        labels: (M, D), unit rows, finite; one for each class.
        classes: (N,) index of each image's class.
        k: labels that count, at least 1.

    Returns:
        In 0..1.
    """
    return recall_at_k(images, labels, [(number,) for number in classes], k)


def bootstrap(values: npt.NDArray[np.generic], *, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """Return a mean with its 95 % percentile bootstrap interval.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

    Args:
        values: (n,) booleans or finite numbers, n at least 1; one for each case.
        seed: of the random numbers; the same one gives the same interval.
        resamples: number of samples drawn.

    Returns:
        The mean and its interval; of zero width where all cases are equal.

    Raises:
        ValueError: there are no cases.
    """
    numbers = values.astype(np.float64)
    means = resampled_means(numbers, seed=seed, resamples=resamples)
    return _interval(float(numbers.mean()), means, len(numbers))


def mean_per_class(
    correct: npt.NDArray[np.bool_], classes: Sequence[int], *, seed: int = SEED, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean over classes of the share of a class's images that are right (balanced accuracy).

    Args:
        correct: (n,), n at least 1.
        classes: (n,) index of each image's class; classes without an image do not count.
        seed: of the random numbers.
        resamples: number of samples drawn; a class that a sample misses does not count in it.

    Returns:
        The mean and its 95 % percentile bootstrap interval over images; ``n`` is the number of images.

    Raises:
        ValueError: there are no cases, or the lengths differ.
    """
    if len(correct) != len(classes) or not len(correct):
        raise ValueError(f"{len(correct)} outcomes for {len(classes)} classes")
    _, number = np.unique(np.asarray(classes), return_inverse=True)
    total = int(number.max()) + 1
    counts = np.bincount(2 * number.ravel() + correct.astype(np.int64), minlength=2 * total)
    means = _balanced(draw_counts(counts, seed=seed, resamples=resamples))
    return _interval(float(_balanced(counts[None])[0]), means, len(correct))


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> McNemar:
    """Test whether two variants are right equally often, from the cases where only one of them is.

    Under the null hypothesis those cases fall to either side like a fair coin. Source: McNemar 1947, Psychometrika
    12:153; mid-p as recommended by Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91.

    Args:
        first: (n,), which cases the first variant has right.
        second: (n,), the same cases, in the same order.

    Returns:
        The counts and both p values; both are 1 where the variants never differ.

    Raises:
        ValueError: the lengths differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"cannot compare outcomes of shape {first.shape} with {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    # Whole numbers: exact for any count, where a product of small probabilities would underflow.
    term = tail = 1
    for i in range(fewer):
        term = term * (discordant - i) // (i + 1)
        tail += term
    if 2 * fewer == discordant:
        return McNemar(only_first, only_second, 1.0, 1 - term / 2**discordant / 2 if discordant else 1.0)
    sides = 2**discordant
    return McNemar(only_first, only_second, 2 * tail / sides, (2 * tail - term) / sides)


def _balanced(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return for each row of (wrong, right) counts of each class the mean over the classes it has."""
    wrong, right = counts[:, 0::2], counts[:, 1::2]
    seen = wrong + right
    return np.asarray((right / np.maximum(seen, 1)).sum(axis=1) / (seen > 0).sum(axis=1))


def _interval(value: float, means: npt.NDArray[np.float64], n: int) -> Interval:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), n)
