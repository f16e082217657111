"""Single-stream and offline: counts and lengths kept, samples in turn, threads that agree, errors that end a run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.run import measure
from edgekit.errors import EdgekitError, ExecutionError, InputError


def test_the_least_number_is_exactly_kept_without_a_least_length():
    work = Work()
    trace = measure(plan(queries=137), work, quiet)
    assert len(trace.ended) == len(work.calls) == 137


def test_the_least_length_is_kept_and_the_query_under_way_counts():
    trace = measure(plan(queries=1, seconds=0.2), Work(lambda number: 0.03), quiet)
    assert trace.issued[-1] < 0.2e9 <= trace.ended[-1]
    assert trace.end == trace.begin + trace.ended[-1]


def test_a_least_number_that_takes_longer_than_the_least_length_is_kept():
    trace = measure(plan(queries=12, seconds=0.001), Work(lambda number: 0.005), quiet)
    assert len(trace.ended) == 12


def test_times_are_those_of_the_work():
    pauses = [0.002, 0.02, 0.001, 0.03, 0.005]
    trace = measure(plan(queries=5), Work(lambda number: pauses[number]), quiet)
    took = (trace.ended - trace.issued) / 1e9
    assert (took >= pauses).all()
    assert (trace.stages[:, 0] <= trace.ended - trace.issued).all()
    assert (trace.stages[:, 0] / 1e9 >= pauses).all()
    # The next query is issued after the one before has ended, and nothing is lost in between.
    assert (trace.issued[1:] >= trace.ended[:-1]).all()
    assert trace.issued[0] >= 0


def test_every_stage_has_its_column():
    trace = measure(plan(queries=3), Work(stages=("a", "b", "c")), quiet)
    assert trace.stages.shape == (3, 3)
    assert trace.stages[:, 1:].tolist() == [[10, 20]] * 3


def test_samples_come_in_the_seeded_order():
    work = Work(samples=5)
    trace = measure(plan(queries=20, batch=2), work, quiet, seed=4)
    order = Order(5, 2, 4)
    assert work.calls == [tuple(order.take(number)) for number in range(20)]
    assert trace.batch == 2
    other = Work(samples=5)
    measure(plan(queries=20, batch=2), other, quiet, seed=5)
    assert other.calls != work.calls


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_threads_share_the_queries_without_losing_or_repeating_one(streams):
    work = Work(lambda number: 0.001, samples=11)
    trace = measure(plan(scenario="offline", queries=200, batch=3, streams=streams), work, quiet, seed=2)
    order = Order(11, 3, 2)
    assert len(trace.ended) == 200
    assert Counter(work.calls) == Counter(tuple(order.take(number)) for number in range(200))
    assert len(work.threads) == streams
    assert work.most_at_once == streams
    assert (np.diff(trace.issued) >= 0).all()
    assert (trace.ended > trace.issued).all()


def test_one_stream_works_in_the_callers_own_thread():
    work = Work()
    measure(plan(), work, quiet)
    assert work.threads == {threading.get_ident()}


def test_threads_keep_the_least_length_too():
    trace = measure(plan(scenario="offline", streams=3, queries=1, seconds=0.15), Work(lambda number: 0.01), quiet)
    assert trace.end - trace.begin >= 0.15e9
    assert (trace.issued < 0.15e9).all()


def failing(number: int) -> float:
    if number == 7:
        raise ExecutionError("the engine is gone")
    return 0.001


@pytest.mark.parametrize(("scenario", "streams"), [("single-stream", 1), ("offline", 1), ("offline", 3)])
def test_an_error_of_a_query_ends_the_run_with_that_very_error(scenario, streams):
    work = Work(failing)
    with pytest.raises(ExecutionError, match="the engine is gone"):
        measure(plan(scenario=scenario, streams=streams, queries=10**6, seconds=60.0), work, quiet)
    assert len(work.calls) < 40
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgekit-stream")]


@pytest.mark.parametrize(("scenario", "streams"), [("single-stream", 1), ("offline", 2), ("multi-stream", 2)])
def test_an_error_of_the_progress_ends_the_run_and_its_threads(scenario, streams):
    def broken(seconds: float, queries: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(plan(scenario=scenario, streams=streams, seconds=60.0), Work(lambda number: 0.01), broken)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgekit-stream")]


@pytest.mark.parametrize("streams", [1, 2])
def test_progress_is_told_at_most_four_times_a_second_by_the_callers_thread(streams):
    told = []
    begin = time.perf_counter()
    measure(
        plan(scenario="offline", streams=streams, queries=1, seconds=0.8),
        Work(lambda number: 0.004),
        lambda seconds, queries: told.append((seconds, queries, threading.get_ident())),
    )
    took = time.perf_counter() - begin
    assert 1 <= len(told) <= took / 0.25
    seconds, queries, threads = zip(*told, strict=True)
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(seconds))
    assert 0 < queries[0] <= queries[-1]
    assert set(threads) == {threading.get_ident()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenario": "many-stream"}, "scenario is 'many-stream'"),
        ({"generator": "wrk"}, "generator is 'wrk'"),
        ({"batch": 0}, "batch is 0"),
        ({"queries": 0}, "queries is 0"),
        ({"streams": 0, "scenario": "offline"}, "streams is 0"),
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"streams": 2}, "one client, not 2"),
        ({"scenario": "server"}, "--target-qps"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_runs(changes, said):
    work = Work()
    with pytest.raises(InputError, match=said):
        measure(plan(**changes), work, quiet)
    assert work.calls == []


def test_work_without_samples_is_refused():
    with pytest.raises(EdgekitError, match="no samples"):
        measure(plan(), Work(samples=0), quiet)
