"""Throttling and leaks: found where they are, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench_works import trace
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.scenarios.recorder import bytes_of
from edgekit.benchmarks.statistics.drifting import drift, theil_sen
from edgekit.errors import InputError


def noise(count, seed=0):
    return np.random.default_rng(seed).gamma(100, 0.01, count)


def memory(seconds, of, every=0.5):
    times = np.arange(0, seconds, every)
    return Series("resident memory", "memory", "MiB", "process", tuple(times), tuple(of(times)))


def test_a_steady_run_does_not_drift():
    found = drift(trace(20 * noise(2000)), None)
    assert not found.throttling
    assert found.latency_low <= found.latency <= found.latency_high
    assert found.latency == pytest.approx(1, abs=0.02)
    assert found.memory is None
    assert not found.leak


def test_a_chip_that_slows_down_by_a_fifth_is_throttling():
    speeds = np.concatenate([np.ones(1000), np.linspace(1, 1.2, 1000), np.full(1000, 1.2)])
    found = drift(trace(20 * noise(3000) * speeds), None)
    assert found.throttling
    assert found.latency == pytest.approx(1.2, abs=0.03)
    assert found.latency_low > 1.1


def test_a_run_that_becomes_faster_is_not_throttling():
    found = drift(trace(20 * noise(2000) * np.linspace(1.5, 1, 2000)), None)
    assert found.latency < 0.9
    assert not found.throttling


def test_noise_of_few_queries_is_not_throttling():
    assert not drift(trace([10, 11, 9, 10, 12, 10, 9, 11, 10, 16]), None).throttling


def test_waiting_in_a_queue_is_not_slowing_down():
    """The server scenario's latency grows with the queue; the work itself is what it was."""
    run = trace([20] * 1000)
    waiting = np.linspace(0, 5e9, 1000).astype(np.int64)
    assert not drift(replace(run, issued=run.issued - waiting), None).throttling


def test_work_without_stages_is_judged_by_its_latency():
    run = trace(np.repeat([20.0, 30.0], 500), stages=0)
    assert drift(run, None).throttling


@pytest.mark.parametrize("latencies", [[], [4.0]])
def test_too_few_queries_are_refused(latencies):
    with pytest.raises(InputError, match="at least two"):
        drift(trace(latencies), None)


def test_steady_memory_is_no_leak():
    random = np.random.default_rng(3)
    found = drift(trace([100] * 3000), memory(300, lambda t: 500 + random.normal(0, 2, len(t))))
    assert abs(found.memory) < 60
    assert not found.leak


def test_a_leak_is_found_with_its_slope():
    random = np.random.default_rng(3)
    found = drift(trace([100] * 3000), memory(300, lambda t: 500 + 0.1 * t + random.normal(0, 2, len(t))))
    assert found.memory == pytest.approx(360, rel=0.1)
    assert found.leak


def test_growth_while_caches_fill_is_no_leak():
    found = drift(trace([100] * 3000), memory(300, lambda t: 500 + np.minimum(t, 50)))
    assert found.memory == pytest.approx(0, abs=2)
    assert not found.leak


def test_little_growth_is_no_leak_however_sure_it_is():
    found = drift(trace([100] * 1000), memory(100, lambda t: 500 + 0.01 * t))
    assert found.memory == pytest.approx(36, rel=0.1)
    assert not found.leak


def test_what_the_harness_keeps_for_each_query_is_not_the_works():
    """A thousand queries a second would look like a leak of 85 MiB an hour."""
    run = trace(np.full(300_000, 1.0))
    kept = bytes_of(run) * 1000 / 2**20
    found = drift(run, memory(300, lambda t: 500 + kept * t))
    assert kept * 3600 > 80
    assert found.memory == pytest.approx(0, abs=1)
    assert not found.leak


@pytest.mark.parametrize(("seconds", "every"), [(59, 0.5), (300, 30)])
def test_short_runs_and_few_samples_say_nothing_of_memory(seconds, every):
    found = drift(trace([100] * (10 * seconds)), memory(seconds, lambda t: 500 + t, every))
    assert found.memory is None
    assert not found.leak


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=60))
def test_the_slope_is_scipys(values):
    times = np.arange(len(values), dtype=float)
    slope, low, high = theil_sen(times, np.array(values))
    wanted = stats.theilslopes(values, times)
    assert slope == pytest.approx(wanted.slope)
    assert low <= slope <= high


def test_the_interval_of_the_slope_is_scipys_without_ties():
    values = np.cumsum(np.random.default_rng(5).normal(size=80))
    _, low, high = theil_sen(np.arange(80.0), values)
    wanted = stats.theilslopes(values, np.arange(80.0), 0.95)
    assert low == pytest.approx(wanted.low_slope, rel=0.02)
    assert high == pytest.approx(wanted.high_slope, rel=0.02)


def test_outliers_do_not_turn_the_slope():
    values = 0.5 * np.arange(100.0)
    values[::10] += 1000
    assert theil_sen(np.arange(100.0), values)[0] == pytest.approx(0.5, abs=0.01)


def test_many_points_are_taken_in_blocks():
    assert theil_sen(np.arange(20_000.0), 3 * np.arange(20_000.0))[0] == pytest.approx(3)


def test_a_slope_needs_two_times():
    with pytest.raises(InputError, match="two different times"):
        theil_sen(np.array([1.0, 1.0]), np.array([2.0, 3.0]))
