"""Percentiles: LoadGen's rank, and intervals that cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgekit.benchmarks.statistics.percentiles import estimate, percentile
from edgekit.errors import InputError

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=400).map(lambda values: np.sort(np.array(values)))
SHARES = st.sampled_from([0.5, 0.9, 0.99])


@pytest.mark.parametrize(
    ("n", "p", "rank"), [(100, 0.5, 51), (100, 0.9, 91), (100, 0.99, 100), (7, 0.5, 4), (1, 0.99, 1)]
)
def test_the_rank_is_loadgens(n, p, rank):
    assert percentile(np.arange(1.0, n + 1), p) == rank


@given(VALUES, SHARES)
def test_an_estimate_is_a_value_between_two_values(ordered, p):
    found = estimate(ordered, p)
    assert found.n == len(ordered)
    assert {found.low, found.value, found.high} <= set(ordered.tolist())
    assert ordered[0] <= found.low <= found.value <= found.high <= ordered[-1]


@given(VALUES, SHARES, st.floats(0.1, 10))
def test_another_unit_scales_the_whole_estimate(ordered, p, factor):
    one, other = estimate(ordered, p), estimate(ordered * factor, p)
    assert (other.low, other.value, other.high) == (one.low * factor, one.value * factor, one.high * factor)


@settings(deadline=None, max_examples=50)
@given(st.integers(500, 5000), SHARES)
def test_the_ranks_cover_the_percentile_with_95_percent(n, p):
    """The exact chance that between the two ranks lies the true percentile, by SciPy's binomial distribution."""
    found = estimate(np.arange(1.0, n + 1), p)
    low, high = int(found.low), int(found.high)
    covered = stats.binom.cdf(high - 1, n, p) - stats.binom.cdf(low - 1, n, p)
    assert covered >= 0.95
    # And they are not wider than they must be: one rank less on either side would not do.
    assert stats.binom.cdf(high - 2, n, p) < 0.975
    assert stats.binom.cdf(low, n, p) > 0.025


def test_drawn_again_and_again_the_interval_holds_the_truth():
    random, hits = np.random.default_rng(7), 0
    truth = stats.lognorm(0.5).ppf(0.9)
    for _ in range(400):
        found = estimate(np.sort(random.lognormal(0, 0.5, 300)), 0.9)
        hits += found.low <= truth <= found.high
    assert hits >= 400 * 0.93


def test_too_few_values_for_an_upper_end_give_the_greatest():
    few, enough = estimate(np.arange(367.0), 0.99), estimate(np.arange(100_000.0), 0.99)
    assert few.high == 366
    assert enough.high < 99_999
    # 368 are the fewest whose greatest value is an upper end: 1 - 0.99 ** 368 >= 0.975.
    assert 1 - 0.99**367 < 0.975 <= 1 - 0.99**368


def test_more_confidence_is_wider():
    ordered = np.sort(np.random.default_rng(0).normal(size=2000))
    wide, narrow = estimate(ordered, 0.9, 0.99), estimate(ordered, 0.9, 0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_no_values_are_refused():
    with pytest.raises(InputError, match="measured nothing"):
        estimate(np.array([]), 0.5)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_percentile_out_of_range_is_refused(p):
    with pytest.raises(InputError, match="percentile is"):
        percentile(np.array([1.0]), p)
