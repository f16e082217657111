"""The binomial distribution, against SciPy and by its own properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from edgekit.benchmarks.statistics.binomial import cdf, incomplete_beta, quantile
from edgekit.errors import InputError

PROBABILITIES = st.floats(0.001, 0.999)
COUNTS = st.integers(0, 3000)


@settings(deadline=None)
@given(COUNTS, st.integers(-5, 3005), PROBABILITIES)
def test_the_distribution_is_scipys(n, k, p):
    assert cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-10)


@given(st.integers(0, 60), st.integers(0, 60), PROBABILITIES)
def test_the_distribution_is_the_sum_of_its_terms(n, k, p):
    exact = math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n) + 1))
    assert cdf(k, n, p) == pytest.approx(exact, abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.5, 1e4), st.floats(0.5, 1e4))
def test_the_incomplete_beta_function_is_scipys(x, a, b):
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("k", "n", "p"), [(9_900, 10**6, 0.01), (990_100, 10**6, 0.99), (499_000, 10**6, 0.5)])
def test_a_million_trials_are_no_trouble(k, n, p):
    assert cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-7)


@settings(deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 2000), PROBABILITIES)
def test_a_quantile_is_the_first_that_reaches_its_level(level, n, p):
    found = quantile(level, n, p)
    assert 0 <= found <= n
    assert cdf(found, n, p) >= level
    assert found == 0 or cdf(found - 1, n, p) < level


@pytest.mark.parametrize(("n", "p"), [(-1, 0.5), (3, 0.0), (3, 1.0), (3, float("nan"))])
def test_a_distribution_that_does_not_exist_is_refused(n, p):
    with pytest.raises(InputError, match="does not exist"):
        cdf(1, n, p)
