"""Means over seeds, held against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.distillation.intervals import Mean, apart, mean

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("seeds", [2, 3, 5, 15, 16, 17, 18, 20, 30, 60, 1000])
def test_the_interval_is_students_t_for_any_number_of_seeds(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.4, 0.02, seeds).tolist()
    found, wanted = mean(values), stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.half == pytest.approx((wanted.high - wanted.low) / 2, rel=4e-4)
    assert found.value == pytest.approx((wanted.high + wanted.low) / 2)
    assert found.n == seeds


def test_more_seeds_never_widen_the_factor() -> None:
    """Of the same spread, an interval only shrinks: no step where a table ends."""
    factors = []
    for n in range(2, 60):
        spread = [0.0] * (n // 2) + [1.0] * (n - n // 2)
        found = mean(spread)
        factors.append(found.half * math.sqrt(n) / float(np.std(spread, ddof=1)))
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(stats.t.ppf(0.975, 58), abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_of_two_means_at_most_one_is_above_the_other(one: list[float], other: list[float]) -> None:
    first, second = mean(one), mean(other)
    assert not (apart(first, second) and apart(second, first))
    assert not apart(first, first)
    if 1 in (first.n, second.n):
        assert not apart(first, second)
    if apart(first, second):
        assert first.value > second.value


def test_the_interval_covers_the_true_mean_nineteen_times_of_twenty() -> None:
    draw = np.random.default_rng(1)
    trials = [mean(draw.normal(0.5, 0.1, 4).tolist()) for _ in range(1500)]
    share = sum(one.low <= 0.5 <= one.high for one in trials) / len(trials)
    assert share == pytest.approx(0.95, abs=0.02)


def test_seeds_that_agree_leave_no_doubt() -> None:
    assert mean([0.25] * 3) == Mean(0.25, 0.0, 3)
    assert apart(mean([0.5] * 3), mean([0.25] * 3))
