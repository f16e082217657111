"""Multi-stream: a query is a batch from each stream, and has ended when the slowest part has."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.run import measure
from edgekit.errors import ExecutionError


def run(work, **changes):
    return measure(plan(scenario="multi-stream", **changes), work, quiet)


def test_a_query_counts_the_samples_of_all_its_streams():
    work = Work(samples=13)
    trace = run(work, streams=3, batch=2, queries=25)
    assert (trace.batch, len(trace.ended), len(work.calls)) == (6, 25, 75)
    order = Order(13, 2, 0)
    assert Counter(work.calls) == Counter(tuple(order.take(number)) for number in range(75))


def test_a_query_takes_as_long_as_its_slowest_part():
    trace = run(Work(lambda number: 0.03 if number % 3 == 0 else 0.001), streams=3, queries=6)
    assert ((trace.ended - trace.issued) >= 0.03e9).all()
    # The stages are the slowest part's.
    assert (trace.stages[:, 0] >= 0.03e9).all()


def test_the_next_query_waits_for_the_whole_of_the_one_before():
    trace = run(Work(lambda number: 0.002 * (number % 4)), streams=4, queries=20)
    assert (trace.issued[1:] >= trace.ended[:-1]).all()


def test_parts_of_a_query_are_worked_on_at_once():
    work = Work(lambda number: 0.005)
    run(work, streams=4, queries=5)
    assert work.most_at_once == 4
    assert len(work.threads) == 4


def test_one_stream_is_a_query_of_one_batch():
    work = Work()
    trace = run(work, streams=1, batch=5, queries=8)
    assert (trace.batch, len(trace.ended)) == (5, 8)
    assert work.threads == {threading.get_ident()}


def test_the_least_length_is_kept():
    trace = run(Work(lambda number: 0.01), streams=2, queries=1, seconds=0.15)
    assert trace.ended[-1] >= 0.15e9
    assert (trace.issued < 0.15e9).all()
    assert (np.diff(trace.issued) > 0).all()


def test_an_error_in_one_part_ends_the_run_with_it():
    def seconds(number: int) -> float:
        if number == 10:
            raise ExecutionError("one part failed")
        return 0.001

    work = Work(seconds)
    with pytest.raises(ExecutionError, match="one part failed"):
        run(work, streams=3, queries=10**6, seconds=60.0)
    assert len(work.calls) <= 15
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgekit-stream")]
