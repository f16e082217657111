"""What a trace promises, whichever scenario made it: its clock, its window, its order, nothing lost under pressure."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios.overhead import Nothing
from edgekit.benchmarks.scenarios.run import measure
from edgekit.benchmarks.statistics import summary

SCENARIOS = [
    {"scenario": "single-stream"},
    {"scenario": "multi-stream"},
    {"scenario": "multi-stream", "streams": 3},
    {"scenario": "server", "target_qps": 400.0},
    {"scenario": "server", "target_qps": 400.0, "streams": 3},
    {"scenario": "offline"},
    {"scenario": "offline", "streams": 3},
]


@pytest.mark.parametrize("changes", SCENARIOS)
def test_the_window_lies_within_the_callers_own(changes):
    """Energy is integrated over exactly this window, by the same clock in another thread or process."""
    before = time.perf_counter_ns()
    trace = measure(plan(queries=20, **changes), Work(lambda number: 0.002), quiet)
    after = time.perf_counter_ns()
    assert before <= trace.begin < trace.end <= after
    assert trace.end == trace.begin + trace.ended.max()


@pytest.mark.parametrize("changes", SCENARIOS)
def test_queries_are_in_order_and_within_the_window(changes):
    trace = measure(plan(queries=20, **changes), Work(lambda number: 0.001 * (number % 3)), quiet)
    assert (np.diff(trace.issued) >= 0).all()
    assert (trace.issued >= 0).all()
    assert (trace.ended >= trace.issued).all()
    assert trace.issued.dtype == trace.ended.dtype == trace.stages.dtype == np.int64
    assert trace.issued.shape == trace.ended.shape == trace.stages[:, 0].shape == (20,)


@pytest.mark.parametrize("changes", SCENARIOS)
def test_every_scenario_can_be_described(changes):
    trace = measure(plan(queries=30, batch=2, **changes), Work(lambda number: 0.001), quiet)
    latency, throughput = summary.latency(trace), summary.throughput(trace)
    assert latency.n == throughput.n == 30
    assert latency.least >= 1.0
    assert throughput.value == pytest.approx(30 * trace.batch / ((trace.end - trace.begin) / 1e9))
    assert len(summary.minutes(trace, None)) == 6
    assert summary.stages(trace, ("work",))["work"].p50 >= 1.0


def test_the_time_of_the_work_is_what_the_work_measured_itself():
    spent = []

    class Measured(Work):
        def query(self, indices):
            begin = time.perf_counter_ns()
            times = super().query(indices)
            spent.append(time.perf_counter_ns() - begin)
            return times

    trace = measure(plan(queries=50), Measured(lambda number: 0.001), quiet)
    assert (trace.ended - trace.issued >= spent).all()
    # What the loop adds to a latency is two readings of the clock and a call; the median does not see a busy machine.
    assert np.median(trace.ended - trace.issued - np.array(spent)) < 20_000


def test_no_query_is_lost_or_done_twice_by_threads_in_a_hurry():
    class Counting(Nothing):
        samples = 100_003  # more samples than queries: each query is known by its sample

        def __init__(self):
            self.seen = []

        def query(self, indices):
            self.seen.append(indices[0])
            return super().query(indices)

    work = Counting()
    trace = measure(plan(scenario="offline", streams=6, queries=20_000), work, quiet)
    assert len(trace.ended) == len(work.seen) == 20_000
    assert max(Counter(work.seen).values()) == 1
