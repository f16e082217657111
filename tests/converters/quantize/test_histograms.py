from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize.histograms import BINS, Histogram, entropy, percentile


def _of(values):
    histogram = Histogram.empty(float(values.min()), float(values.max()))
    histogram.add(values)
    return histogram


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(0, 1000), st.sampled_from([percentile, entropy]))
def test_a_cut_range_lies_within_the_values(count, seed, cut):
    values = np.random.default_rng(seed).standard_t(2, count).astype(np.float32)
    histogram = _of(values)
    assert histogram.counts.sum() == count
    low, high = cut(histogram)
    assert histogram.edges[0] <= low <= high <= histogram.edges[-1]


def test_parts_add_up_to_the_whole():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    parts = Histogram.empty(float(values.min()), float(values.max()))
    for part in np.split(values, 4):
        parts.add(part)
    np.testing.assert_array_equal(parts.counts, _of(values).counts)


def test_percentile_leaves_out_rare_outliers_only():
    values = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    values[0], values[1] = -100, 100
    low, high = percentile(_of(values))
    assert -1.2 < low < -0.9
    assert 0.9 < high < 1.2


def test_percentile_keeps_what_is_not_rare():
    values = np.random.default_rng(0).uniform(-1, 1, 10_000).astype(np.float32)
    values[:20] = 100
    assert percentile(_of(values))[1] == pytest.approx(100, rel=0.01)


def test_entropy_cuts_a_long_tail():
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    values[0] = 60
    low, high = entropy(_of(values))
    assert 2.5 < high < 12
    assert low >= values.min()


def test_entropy_keeps_an_even_spread():
    values = np.random.default_rng(0).uniform(0, 1, 100_000).astype(np.float32)
    assert entropy(_of(values))[1] > 0.95


@pytest.mark.parametrize("cut", [percentile, entropy])
@pytest.mark.parametrize("value", [0.0, 3.0, -2.5])
def test_a_constant_is_its_own_range(cut, value):
    low, high = cut(_of(np.full(50, value, np.float32)))
    assert low == pytest.approx(value, abs=1e-2)
    assert high == pytest.approx(value, abs=1e-2)


@pytest.mark.parametrize("cut", [percentile, entropy])
def test_no_values_keep_the_borders(cut):
    low, high = cut(Histogram.empty(-1, 2))
    assert -1 <= low <= high <= 2


def test_the_last_border_belongs_to_the_last_bin():
    histogram = Histogram.empty(0, 1)
    histogram.add(np.array([0, 1], np.float32))
    assert histogram.counts[0] == histogram.counts[BINS - 1] == 1
