"""Bins of latencies: every value in one of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.statistics.histogram import histogram


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300))
def test_every_value_is_in_exactly_one_bin(values):
    ordered = np.sort(np.array(values))
    bins = histogram(ordered)
    bounds = [bound for bound, _ in bins]
    assert sum(count for _, count in bins) == len(values)
    assert bounds == sorted(set(bounds))
    assert bounds[-1] == ordered[-1]
    below = -np.inf
    for bound, count in bins:
        assert count == ((ordered > below) & (ordered <= bound)).sum()
        below = bound


def test_the_bulk_gets_the_bins_and_the_tail_one():
    random = np.random.default_rng(0)
    bins = histogram(np.sort(np.concatenate([random.normal(10, 1, 5000), [500.0, 900.0]])))
    assert 8 <= len(bins) <= 41
    assert bins[-2][0] < 20
    assert bins[-1] == (900.0, 51)


def test_values_that_are_all_the_same_are_one_bin():
    assert histogram(np.full(9, 3.5)) == ((3.5, 9),)


def test_more_values_make_narrower_bins():
    random = np.random.default_rng(1)
    assert len(histogram(np.sort(random.normal(10, 1, 30)))) < len(histogram(np.sort(random.normal(10, 1, 10_000))))
