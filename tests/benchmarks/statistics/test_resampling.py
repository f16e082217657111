"""Throughput with its interval, and the ratio of two parts of a run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_works import trace
from edgekit.benchmarks.statistics.resampling import block_means, ratio_of_medians, throughput
from edgekit.errors import InputError

TIMES = st.lists(st.floats(0.01, 100), min_size=2, max_size=80)


@settings(deadline=None)
@given(TIMES, st.integers(1, 16))
def test_throughput_is_all_samples_over_all_the_time(latencies, batch):
    run = trace(latencies, batch=batch)
    found = throughput(run)
    assert found.value == pytest.approx(len(latencies) * batch / ((run.end - run.begin) / 1e9))
    assert 0 < found.low <= found.value <= found.high
    assert found.n == len(latencies)


def test_pauses_between_queries_count():
    assert throughput(trace([10] * 50, gaps=[10] * 50)).value == pytest.approx(50)


def test_a_steady_run_has_next_to_no_interval():
    found = throughput(trace([20] * 500))
    assert (found.low, found.high) == (pytest.approx(50), pytest.approx(50))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random, hits = np.random.default_rng(1), 0
    for _ in range(100):
        found = throughput(trace(random.gamma(4, 2.5, 300)))
        hits += found.low <= 100.0 <= found.high
    assert hits >= 88


def test_slow_stretches_widen_the_interval():
    """The same latencies in long slow and fast stretches say less about the mean than when they are mixed."""
    random = np.random.default_rng(2)
    stretches = np.repeat([8.0, 12.0] * 15, 20) + random.normal(0, 0.1, 600)
    mixed = random.permutation(stretches)
    together, apart = throughput(trace(stretches)), throughput(trace(mixed))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_a_million_queries_are_summed_up_first():
    random = np.random.default_rng(0)
    found = throughput(trace(random.gamma(4, 0.25, 300_000)))
    assert found.value == pytest.approx(1000, rel=0.01)
    assert found.low < found.value < found.high
    assert found.high - found.low < 10


def test_several_queries_at_once_are_not_counted_as_slow():
    one = trace([10] * 100)
    ended = np.sort(np.concatenate([one.ended, one.ended]))
    both = type(one)(one.begin, one.end, ended - 10_000_000, ended, np.repeat(one.stages, 2, axis=0), 1)
    assert throughput(both).value == pytest.approx(2 * throughput(one).value)


@pytest.mark.parametrize("latencies", [[], [5.0], [0.0, 0.0]])
def test_too_few_queries_are_refused(latencies):
    with pytest.raises(InputError, match="too few for a throughput"):
        throughput(trace(latencies))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_means_of_blocks_stay_within_the_values(values):
    means = block_means(np.array(values), np.random.default_rng(0))
    assert means.shape == (2000,)
    assert min(values) - 1e-6 <= means.min() <= means.max() <= max(values) + 1e-6


@given(st.lists(st.floats(1, 100), min_size=1, max_size=60), st.lists(st.floats(1, 100), min_size=1, max_size=60))
def test_a_ratio_lies_in_its_interval(later, earlier):
    value, low, high = ratio_of_medians(np.array(later), np.array(earlier))
    assert value == pytest.approx(np.median(later) / np.median(earlier))
    assert low <= value <= high


def test_a_ratio_that_is_real_is_found_and_one_that_is_not_is_not():
    random = np.random.default_rng(4)
    earlier = random.gamma(50, 0.2, 400)
    assert ratio_of_medians(random.gamma(50, 0.24, 400), earlier)[1] > 1.1
    low, high = ratio_of_medians(random.gamma(50, 0.2, 400), earlier)[1:]
    assert low < 1 < high
