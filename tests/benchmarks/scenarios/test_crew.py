"""Threads of a run: they start together, report through the caller, and never outlive it."""

from __future__ import annotations

import threading
import time

import pytest

from edgekit.benchmarks.scenarios.crew import TICK, Run, work_together
from edgekit.benchmarks.scenarios.recorder import ROWS


def run(streams=1, queries=1, on_tick=lambda seconds, count: None, stages=1):
    return Run(stages, streams, queries, on_tick)


def alive():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgekit-stream")]


@pytest.mark.parametrize("streams", [2, 3, 8])
def test_every_recorder_gets_a_thread_of_its_own(streams):
    asked, seen = run(streams), {}

    def work(recorder, ticks):
        seen[threading.get_ident()] = recorder
        assert not ticks
        recorder.add(1, 2, (3,))

    work_together(asked, work)
    assert len(seen) == streams
    assert {id(recorder) for recorder in seen.values()} == {id(recorder) for recorder in asked.recorders}
    assert threading.get_ident() not in seen
    assert alive() == []


def test_a_single_recorder_is_worked_on_by_the_caller_who_reports_itself():
    asked, seen = run(), []
    work_together(asked, lambda recorder, ticks: seen.append((threading.get_ident(), ticks)))
    assert seen == [(threading.get_ident(), True)]
    assert asked.begin > 0


@pytest.mark.parametrize("streams", [1, 4])
def test_nothing_is_done_before_the_run_has_begun(streams):
    asked, times = run(streams), []
    work_together(asked, lambda recorder, ticks: times.append((asked.begin, time.perf_counter_ns())))
    assert len(times) == streams
    assert all(0 < begin <= now for begin, now in times)
    assert len({begin for begin, _ in times}) == 1


def test_the_caller_waits_for_the_slowest():
    asked, done = run(3), []

    def work(recorder, ticks):
        time.sleep(0.05 if recorder is asked.recorders[1] else 0)
        done.append(recorder)

    work_together(asked, work)
    assert len(done) == 3


def test_the_first_error_counts_and_wakes_those_who_wait():
    asked, waiting = run(3), threading.Event()

    def work(recorder, ticks):
        if recorder is asked.recorders[0]:
            raise OSError("the first")
        waiting.wait()
        raise OSError("a later one")

    with pytest.raises(OSError, match="the first"):
        work_together(asked, work, waiting.set)
    assert asked.stopped.is_set()
    assert alive() == []


def test_an_error_of_the_callers_thread_comes_out_alone():
    def work(recorder, ticks):
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        work_together(run(), work)


def test_what_is_no_ordinary_error_comes_out_too():
    def work(recorder, ticks):
        raise KeyboardInterrupt

    for streams in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            work_together(run(streams), work)


def test_a_run_that_was_stopped_before_does_nothing():
    asked, done = run(2), []
    asked.fail(OSError("before"))
    with pytest.raises(OSError, match="before"):
        work_together(asked, lambda recorder, ticks: done.append(recorder))
    assert done == []


def test_progress_has_the_seconds_and_all_threads_queries():
    told = []
    asked = run(2, on_tick=lambda seconds, count: told.append((seconds, count)))
    asked.start()
    for recorder in asked.recorders:
        recorder.add(0, 1, (1,))
    asked.tick(asked.begin + 3 * 10**9)
    assert told == [(3.0, 2)]
    assert asked.next_tick == asked.begin + 3 * 10**9 + TICK


def test_room_is_made_for_the_least_number_and_not_for_absurd_ones():
    assert run(1, 10).recorders[0]._room == ROWS
    assert run(1, 100_000).recorders[0]._room > 100_000
    assert run(4, 100_000).recorders[0]._room < 30_000
    assert run(1, 10**12).recorders[0]._room < 5_000_000


def test_the_first_failure_is_kept():
    asked = run()
    asked.raise_error()
    asked.fail(OSError("one"))
    asked.fail(OSError("two"))
    with pytest.raises(OSError, match="one"):
        asked.raise_error()
