from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize.methods.histograms import BINS, Histogram, entropy, percentile


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


def relu_like(zeros, shape, seed):
    """What a ReLU leaves: a share of exact zeros, and positive values with a tail."""
    random = np.random.default_rng(seed)
    values = random.gamma(shape, size=20_000).astype(np.float32)
    values[: int(zeros * len(values))] = 0
    return values


@settings(max_examples=8, deadline=None, derandomize=True)
@given(zeros=st.floats(0.1, 0.99), shape=st.sampled_from([1.0, 2.0, 4.0]), seed=st.integers(0, 20))
def test_however_many_zeros_a_relu_leaves_the_cut_stays_above_nearly_all_other_values(zeros, shape, seed):
    values = relu_like(zeros, shape, seed)
    low, high = entropy(_of(values))
    assert low == 0
    assert (values[values > 0] > high).mean() < 0.1


def test_zeros_alone_change_no_cut():
    values = relu_like(0.5, 1.0, 3)
    more = np.concatenate([values, np.zeros(10 * len(values), np.float32)])
    assert entropy(_of(more)) == entropy(_of(values))


def test_a_cut_after_a_relu_loses_less_than_the_smallest_one():
    """The error of 8 bit codes, computed here: what the cut is for."""
    values = relu_like(0.8, 1.0, 1)
    found = entropy(_of(values))[1]
    smallest = float(values.max()) / 16

    def error(high):
        step = high / 255
        return float(np.square(np.clip(np.rint(values / step), 0, 255) * step - values).mean())

    assert error(found) < 0.01 * error(smallest)
