"""A scenario that is stopped early keeps its queries: every one that had ended, and no half one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench_works import Work, plan
from edgekit.benchmarks.scenarios.crew import Run, StopEarlyError, work_together
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.benchmarks.scenarios.run import judged
from edgekit.benchmarks.statistics import summary

SCENARIOS = [
    {"scenario": "single-stream"},
    {"scenario": "multi-stream", "streams": 1},
    {"scenario": "multi-stream", "streams": 3},
    {"scenario": "server", "streams": 1, "target_qps": 400.0},
    {"scenario": "server", "streams": 3, "target_qps": 400.0},
    {"scenario": "offline", "streams": 1, "batch": 4},
    {"scenario": "offline", "streams": 3},
]
IDS = [f"{case['scenario']} {case.get('streams', 1)}" for case in SCENARIOS]


def stop_after(seconds: float) -> Callable[[float, int], None]:
    """A report of progress that ends the run as soon as it may."""

    def tick(now: float, queries: int) -> None:
        if now >= seconds and queries >= 2:
            raise StopEarlyError

    return tick


def asked(case: dict[str, Any]) -> Any:
    return plan(**{"seconds": 60.0, "queries": 2, **case})


@pytest.mark.parametrize("case", SCENARIOS, ids=IDS)
def test_every_scenario_ends_soon_and_keeps_what_had_ended(case: dict[str, Any]) -> None:
    begin = time.monotonic()
    trace, refused = judged(asked(case), Work(lambda number: 0.002), stop_after(0.2))
    assert time.monotonic() - begin < 20
    assert refused == ()
    assert len(trace.ended) == len(trace.issued) == len(trace.stages) >= 2
    assert (trace.ended >= trace.issued).all()
    assert (np.diff(trace.issued) >= 0).all()
    # The measured part ends with its last query, not when it was to end.
    assert trace.end - trace.begin == int(trace.ended.max())
    assert (trace.end - trace.begin) / 1e9 < 20


@pytest.mark.parametrize("case", SCENARIOS, ids=IDS)
def test_no_thread_goes_on_behind_the_callers_back(case: dict[str, Any]) -> None:
    def streams() -> int:
        return sum(thread.name.startswith("edgekit-stream") for thread in threading.enumerate())

    work = Work(lambda number: 0.002)
    judged(asked(case), work, stop_after(0.1))
    assert streams() == 0
    done = len(work.calls)
    time.sleep(0.05)
    assert len(work.calls) == done


@pytest.mark.parametrize("case", SCENARIOS, ids=IDS)
def test_figures_can_be_made_of_it(case: dict[str, Any]) -> None:
    trace, _ = judged(asked(case), Work(lambda number: 0.002), stop_after(0.1))
    latency, throughput = summary.latency(trace), summary.throughput(trace)
    assert latency.least >= 1.9
    assert throughput.n == len(trace.ended)
    assert sum(minute.queries for minute in summary.minutes(trace, None)) == len(trace.ended)
    assert summary.drift(trace, None).latency > 0


def test_a_query_that_failed_before_the_stop_is_still_an_error() -> None:
    failed = threading.Event()

    def often(number: int) -> float:
        if number == 3:
            failed.set()
            raise OSError("broken engine")
        return 0.001

    def tick(now: float, queries: int) -> None:
        if failed.is_set():
            raise StopEarlyError

    with pytest.raises(OSError, match="broken engine"):
        judged(asked({"scenario": "offline", "streams": 2}), Work(often), tick)


@pytest.mark.parametrize("streams", [1, 3])
def test_only_this_error_is_no_error(streams: int) -> None:
    class CloserError(StopEarlyError):
        """A kind of it."""

    def work(recorder: Any, ticks: bool) -> None:
        recorder.add(0, 1, ())
        if ticks:
            raise CloserError

    run = Run(0, streams, 1, lambda seconds, queries: None)
    work_together(run, work)
    assert sum(recorder.count for recorder in run.recorders) == streams

    def broken(recorder: Any, ticks: bool) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        work_together(Run(0, streams, 1, lambda seconds, queries: None), broken)


def test_a_run_of_many_streams_is_marked_as_stopped_and_not_as_failed() -> None:
    run = Run(0, 2, 1, lambda seconds, queries: None)
    run.fail(StopEarlyError())
    assert run.stopped.is_set()
    run.raise_error()
    run.fail(OSError("later"))
    run.raise_error()


def test_a_trace_of_a_stopped_run_is_the_begin_of_the_whole_one() -> None:
    """The same seed asks for the same samples in the same order."""

    class Remembering:
        samples, stages = 5, ("a",)

        def __init__(self) -> None:
            self.seen: list[int] = []

        def query(self, indices: Any) -> tuple[int, ...]:
            self.seen += indices
            time.sleep(0.001)
            return (1,)

    whole, part = Remembering(), Remembering()
    judged(plan(seconds=0.0, queries=400), whole, lambda seconds, queries: None, seed=7)
    trace: Trace = judged(plan(seconds=60.0, queries=400), part, stop_after(0.05), seed=7)[0]
    assert 2 <= len(trace.ended) == len(part.seen)
    common = min(len(part.seen), len(whole.seen))
    assert part.seen[:common] == whole.seen[:common]
