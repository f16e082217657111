"""What the loop costs and leaves behind."""

from __future__ import annotations

import gc

import numpy as np

from bench_works import plan, quiet
from edgekit.benchmarks.scenarios.overhead import Nothing, per_query_us
from edgekit.benchmarks.scenarios.run import measure

GOAL_NS = 20_000


def test_the_loop_adds_less_than_the_goal_to_a_query():
    # The median gap of thousands: a machine that is busy delays some queries, not half of them.
    trace = measure(plan(queries=5000), Nothing(), quiet)
    assert np.median(np.diff(trace.issued)) < GOAL_NS
    assert np.median(trace.ended - trace.issued) < GOAL_NS


def test_the_figure_is_one_of_a_loop_that_did_run():
    assert 0.1 < per_query_us() < 1e5


def test_no_object_is_kept_for_a_query():
    def objects(queries: int) -> int:
        trace = measure(plan(queries=queries), Nothing(), quiet)
        gc.collect()
        count = len(gc.get_objects())
        assert len(trace.ended) == queries
        return count

    objects(10)
    assert objects(50_000) - objects(10) < 50


def test_the_collector_is_as_it_was_after_a_run():
    measure(plan(queries=3), Nothing(), quiet)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_collector_sees_garbage_of_the_work_and_not_what_was_there_before():
    seen = []

    class Watching(Nothing):
        def query(self, indices):
            seen.append((gc.isenabled(), gc.get_freeze_count()))
            return super().query(indices)

    measure(plan(queries=1), Watching(), quiet)
    assert seen[0][0]
    assert seen[0][1] > 1000
