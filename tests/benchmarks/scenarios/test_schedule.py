"""The server scenario's arrivals are a Poisson process of the rate asked for; judged on the schedule, not the clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgekit.benchmarks.scenarios.schedule import poisson
from edgekit.errors import InputError

LEVEL = 0.001  # of the tests; the seed is fixed, so that they give the same answer every time


@pytest.fixture(scope="module", params=[0, 1, 2])
def arrivals(request):
    return poisson(50.0, 1000.0, 1, request.param) / 1e9


def test_gaps_are_exponential_with_the_mean_of_the_rate(arrivals):
    assert stats.kstest(np.diff(arrivals), stats.expon(scale=1 / 50).cdf).pvalue > LEVEL


def test_the_rate_is_the_one_asked_for(arrivals):
    # A Poisson count of 50,000 has a standard deviation of 224.
    assert abs(len(arrivals) - 50_000) < 4 * 224


def test_counts_of_seconds_are_poisson(arrivals):
    counts = np.bincount(arrivals.astype(int), minlength=1000)[:1000]
    dispersion = counts.var(ddof=1) / counts.mean() * 999
    assert LEVEL < stats.chi2(999).cdf(dispersion) < 1 - LEVEL


def test_gaps_do_not_depend_on_each_other(arrivals):
    gaps = np.diff(arrivals)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_evenly_spaced_arrivals_would_not_pass():
    even = np.arange(50_000) / 50
    assert stats.kstest(np.diff(even), stats.expon(scale=1 / 50).cdf).pvalue < LEVEL


@settings(deadline=None)
@given(st.floats(0.1, 1e5), st.floats(0, 2), st.integers(1, 3000), st.integers(0, 9))
def test_both_least_time_and_least_number_are_kept(rate, seconds, queries, seed):
    due = poisson(rate, seconds, queries, seed)
    assert len(due) >= queries
    assert (np.diff(due) >= 0).all()
    assert due[0] >= 0
    # No arrival beyond what was asked for: the last one is within the time, or needed for the number.
    assert len(due) == queries or due[-1] <= seconds * 1e9


def test_a_longer_schedule_begins_with_the_shorter_one():
    assert poisson(1e4, 20.0, 1, 5)[:100_000].tolist() == poisson(1e4, 1.0, 100_000, 5).tolist()


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InputError, match="target_qps"):
        poisson(rate, 1.0, 1, 0)


@pytest.mark.parametrize(("rate", "seconds", "queries"), [(1e6, 3600.0, 1), (1.0, 1.0, 10**9)])
def test_a_schedule_that_does_not_fit_into_memory_is_refused(rate, seconds, queries):
    with pytest.raises(InputError, match="too many"):
        poisson(rate, seconds, queries, 0)
