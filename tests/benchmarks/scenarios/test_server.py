"""Server: queries come when they are due, and their latency counts from then."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import server as module
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.run import measure
from edgekit.benchmarks.scenarios.schedule import poisson
from edgekit.errors import ExecutionError


def run(work, seed=0, **changes):
    return measure(plan(scenario="server", **changes), work, quiet, seed=seed)


@pytest.mark.parametrize("streams", [1, 3])
def test_queries_arrive_exactly_as_drawn_whenever_they_were_begun(streams):
    trace = run(Work(lambda number: 0.002), target_qps=150.0, streams=streams, queries=40)
    assert trace.issued.tolist() == poisson(150.0, 0.0, 40, 0).tolist()
    assert (trace.ended > trace.issued).all()


def test_the_seed_draws_the_arrivals():
    one = run(Work(), target_qps=2000.0, queries=20, seed=1)
    two = run(Work(), target_qps=2000.0, queries=20, seed=2)
    assert one.issued.tolist() != two.issued.tolist()


def test_least_length_and_least_number_are_both_kept():
    trace = run(Work(), target_qps=400.0, seconds=0.25, queries=5)
    assert len(trace.ended) == len(poisson(400.0, 0.25, 5, 0)) > 50


def test_no_query_is_begun_before_it_is_due():
    work = Work()
    trace = run(work, target_qps=300.0, queries=30)
    assert (np.array(work.begun) >= trace.begin + trace.issued).all()


def test_a_stall_is_seen_by_every_query_that_came_meanwhile():
    """Coordinated omission: one query of 0.3 s at 200 a second keeps some sixty others waiting."""
    stall = 0.3
    trace = run(Work(lambda number: stall if number == 20 else 0.0), target_qps=200.0, queries=150)
    begin = trace.issued[20]
    meanwhile = (trace.issued > begin) & (trace.issued < begin + stall * 1e9)
    assert meanwhile.sum() > 30
    # Each waited at least for what was left of the stall; a loop that asks late would have shown next to nothing.
    left = begin + stall * 1e9 - trace.issued[meanwhile]
    assert ((trace.ended - trace.issued)[meanwhile] >= left).all()
    latency = (trace.ended - trace.issued) / 1e9
    assert (latency > stall / 2).sum() > 15


def test_a_closed_loop_would_have_hidden_the_same_stall():
    trace = measure(plan(queries=150), Work(lambda number: 0.4 if number == 20 else 0.0), quiet)
    assert ((trace.ended - trace.issued) > 0.35e9).sum() == 1


def test_another_stream_takes_what_comes_during_a_stall():
    trace = run(Work(lambda number: 0.3 if number == 20 else 0.0), target_qps=100.0, queries=60, streams=2)
    latency = trace.ended - trace.issued
    assert np.median(latency[20:50]) < 0.1e9 < latency.max()


def test_a_rate_far_above_what_the_system_can_do_ends_with_an_error(monkeypatch):
    monkeypatch.setattr(module, "LATEST", 0.1)
    with pytest.raises(
        ExecutionError, match=r"cannot keep up with 1000 queries a second: .*waited .*lower --target-qps"
    ):
        run(Work(lambda number: 0.01), target_qps=1000.0, queries=500)


@pytest.mark.parametrize("streams", [1, 3])
def test_an_error_of_a_query_ends_the_run_though_others_sleep(streams):
    def seconds(number: int) -> float:
        if number == 2:
            raise ExecutionError("query three")
        return 0.0

    # At two queries a second the other threads are asleep for long when the error comes.
    with pytest.raises(ExecutionError, match="query three"):
        run(Work(seconds), target_qps=4.0, queries=10**5, streams=streams)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgekit-stream")]


def test_one_thread_answers_first_come_first_served():
    """No query ends before the queue in front of it: Lindley's recursion over the run's own times."""
    trace = run(Work(lambda number: 0.001 * (number % 9)), target_qps=250.0, queries=120)
    free = 0
    for due, ended, worked in zip(trace.issued, trace.ended, trace.stages[:, 0], strict=True):
        assert ended >= max(due, free) + worked
        free = ended
    # Some of them did wait, or the test would show nothing.
    assert ((trace.ended - trace.issued) > 2 * trace.stages[:, 0]).sum() > 5


def test_samples_come_in_the_seeded_order_and_batch():
    work = Work(samples=9)
    trace = run(work, target_qps=5000.0, queries=30, batch=3, seed=6)
    order = Order(9, 3, 6)
    assert work.calls == [tuple(order.take(number)) for number in range(30)]
    assert trace.batch == 3


def test_progress_is_told_while_the_server_waits():
    told = []
    asked = plan(scenario="server", target_qps=20.0, queries=12, streams=2)
    begin = time.perf_counter()
    measure(asked, Work(), lambda seconds, queries: told.append((seconds, queries)))
    assert told == sorted(told)
    assert 1 <= len(told) <= (time.perf_counter() - begin) / 0.25
