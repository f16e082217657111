"""MLPerf's early stopping against published numbers and against its definition; LoadGen itself is asked elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgekit.benchmarks.statistics.early_stopping import estimate, needed, passes


# The rules' and LoadGen's own messages: "Need to process at least 64 / 662 queries for early stopping".
@pytest.mark.parametrize(("p", "queries"), [(0.9, 64), (0.99, 662)])
def test_the_published_least_numbers_of_queries(p, queries):
    assert needed(p) == queries


# With none above the bound: the smallest n with p ** n <= 1 - c.
@pytest.mark.parametrize(("p", "queries"), [(0.5, 7), (0.9, 44), (0.99, 459), (0.999, 4603)])
def test_with_no_query_above_it_is_a_power(p, queries):
    assert needed(p, over=0) == queries
    assert p**queries <= 0.01 < p ** (queries - 1)


@settings(deadline=None)
@given(st.sampled_from([0.5, 0.9, 0.95, 0.97, 0.99]), st.integers(0, 30))
def test_the_least_number_is_the_first_that_passes(p, over):
    found = needed(p, over)
    assert stats.binom.cdf(over, found, 1 - p) <= 0.01 < stats.binom.cdf(over, found - 1, 1 - p)
    assert passes(found, over, p)
    assert not passes(found - 1, over, p)


@settings(deadline=None)
@given(st.integers(0, 4000), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_estimate_discards_as_many_as_it_may(n, p):
    found = estimate(np.arange(float(n)), p)
    if n < needed(p):
        assert found is None
        return
    discarded = n - int(found)
    assert passes(n, discarded, p)
    assert not passes(n, discarded + 1, p)


def test_the_estimate_lies_above_the_percentile_and_comes_closer():
    gaps = []
    for n in (1000, 10_000, 100_000):
        ordered = np.arange(float(n))
        gaps.append((estimate(ordered, 0.99) - n * 0.99) / n)
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_a_bound_that_holds_is_not_missed_by_chance():
    """A system whose true p90 is just above the estimate passes in at most one run of a hundred."""
    random = np.random.default_rng(3)
    truth = stats.expon.ppf(0.9)
    below = sum(estimate(np.sort(random.exponential(size=300)), 0.9) < truth for _ in range(2000))
    assert below <= 2000 * 0.01 + 3 * np.sqrt(2000 * 0.01)


def test_nothing_passes_without_queries():
    assert not passes(0, 0, 0.9)
    assert not passes(5, 5, 0.9)
    assert estimate(np.array([]), 0.9) is None
