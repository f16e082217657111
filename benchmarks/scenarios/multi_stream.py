"""A query has one batch from each of several streams, and has ended when all of them have (MLPerf's multi-stream)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.closed_loop import closed_loop
from edgekit.benchmarks.scenarios.crew import Run, work_together
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.recorder import merge

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload
    from edgekit.benchmarks.scenarios.recorder import Recorder


def multi_stream(plan: Plan, workload: Workload, on_tick: OnTick, seed: int) -> Trace:
    """Measure queries that `plan.streams` threads answer together, each `plan.batch` samples of them.

    Source: MLPerf Inference rules, section "Scenarios": a query has N samples, and the next one is sent as soon as the
    whole of the previous one is complete. N is ``streams * batch`` here.

    Args:
        plan: `streams`, `batch`, `seconds` and `queries` are used.
        workload: what a part of a query does.
        on_tick: told the seconds since the begin and the queries so far.
        seed: of the order of samples.

    Returns:
        Every query; the stages are those of the part that ended last.
    """
    if plan.streams == 1:
        return closed_loop(plan, workload, on_tick, seed)
    run = Run(len(workload.stages), plan.streams, plan.queries, on_tick)
    shared = _Shared(plan, run)
    order = Order(workload.samples, plan.batch, seed)
    places = iter(range(plan.streams))  # next() is one step of the interpreter

    def work(_: Recorder, __: bool) -> None:
        place, clock, query = next(places), time.perf_counter_ns, workload.query
        while shared.meet():
            stages = query(order.take(shared.number * plan.streams + place))
            shared.parts[place] = (clock(), stages)

    work_together(run, work, shared.barrier.abort)
    return merge(run.recorders[:1], run.begin, plan.streams * plan.batch)


class _Shared:
    """The query that all threads work on."""

    def __init__(self, plan: Plan, run: Run) -> None:
        self.number = -1
        self.parts: list[tuple[int, tuple[int, ...]]] = [(0, ())] * plan.streams
        self.barrier = threading.Barrier(plan.streams, self._turn)
        self._plan = plan
        self._run = run
        self._issued = 0
        self._over = False

    def meet(self) -> bool:
        """Wait for the other threads; return False when there is no further query."""
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            return False
        return not self._over

    def _turn(self) -> None:
        """Keep the query that has ended and begin the next; done by the last thread to come, while the others wait."""
        if self.number >= 0:
            ended, stages = max(self.parts)
            self._run.recorders[0].add(self._issued, ended, stages)
        self.number += 1
        self._issued = time.perf_counter_ns()
        enough = self.number >= self._plan.queries
        self._over = enough and self._issued >= self._run.begin + int(self._plan.seconds * 1e9)
