"""Intervals by the bootstrap over blocks: queries that follow each other are alike, so they are drawn together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results.records import Estimate
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.benchmarks.scenarios.protocol import Trace

_DRAWS = 2000
_GROUPS = 1000
_TAILS = (2.5, 97.5)


def throughput(trace: Trace, *, seed: int = 0) -> Estimate:
    """Return samples a second over the measured part.

    Args:
        trace: of at least two queries.
        seed: of the bootstrap.

    Returns:
        All samples over all the time, with the 95 % interval of a circular block bootstrap over the times between the
        ends of queries; the blocks' length is the cube root of their number (Hall, Horowitz and Jing 1995, Biometrika
        82, for the variance of a mean).

    Raises:
        InputError: there are fewer than two queries, or they took no time.
    """
    count, seconds = len(trace.ended), (trace.end - trace.begin) / 1e9
    if count < 2 or seconds <= 0:
        raise InputError(f"{count} queries in {seconds:.3f} s are too few for a throughput; measure at least two")
    gaps = np.diff(np.sort(trace.ended), prepend=0) / 1e9
    # Groups of equally many queries: a bootstrap over a million gaps would only take longer.
    size = -(-count // _GROUPS)
    groups = gaps[: count // size * size].reshape(-1, size).sum(axis=1)
    means = block_means(groups, np.random.default_rng(seed))
    low, high = np.percentile(size * trace.batch / np.maximum(means, 1e-12), _TAILS)
    value = count * trace.batch / seconds
    return Estimate(value, min(float(low), value), max(float(high), value), count)


def block_means(values: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return means of resampled series.

    Args:
        values: (m,) in the order of time, at least one.
        random: source of the draws.

    Returns:
        (2000,) means, each of m values in blocks that follow each other, taken from a circle of `values`.
    """
    count = len(values)
    length = max(1, round(count ** (1 / 3)))
    blocks = -(-count // length)
    circle = np.cumsum(np.concatenate([[0.0], values, values[: length - 1]]))
    sums = circle[length:] - circle[:-length]
    return np.asarray(sums[random.integers(0, count, (_DRAWS, blocks))].mean(axis=1) / length)


def ratio_of_medians(
    later: npt.NDArray[np.float64], earlier: npt.NDArray[np.float64], *, seed: int = 0
) -> tuple[float, float, float]:
    """Compare two parts of a run.

    Args:
        later: (n,) values in the order of time, at least one, above 0.
        earlier: likewise.
        seed: of the bootstrap.

    Returns:
        The ratio of the medians, and the ends of its 95 % interval by a bootstrap over blocks, of which each part has
        up to 30, each represented by its median.
    """
    random = np.random.default_rng(seed)
    drawn = [_drawn_medians(part, random) for part in (later, earlier)]
    low, high = np.percentile(drawn[0] / drawn[1], _TAILS)
    value = float(np.median(later) / np.median(earlier))
    return value, min(float(low), value), max(float(high), value)


def _drawn_medians(values: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    blocks = min(30, len(values))
    medians = np.array([np.median(block) for block in np.array_split(values, blocks)])
    return np.asarray(np.median(medians[random.integers(0, blocks, (_DRAWS, blocks))], axis=1))
