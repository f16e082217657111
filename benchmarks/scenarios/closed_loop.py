"""A client that sends its next query when the one before has ended; several of them share the count and the clock."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.crew import Run, work_together
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.recorder import merge

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload
    from edgekit.benchmarks.scenarios.recorder import Recorder


def closed_loop(plan: Plan, workload: Workload, on_tick: OnTick, seed: int) -> Trace:
    """Let `plan.streams` clients send queries until both the least length and the least number are reached.

    Args:
        plan: `streams`, `batch`, `seconds` and `queries` are used.
        workload: what a query does.
        on_tick: told the seconds since the begin and the queries so far.
        seed: of the order of samples.

    Returns:
        Every query; one that was begun before the time was over counts, however late it ends.
    """
    order = Order(workload.samples, plan.batch, seed)
    run = Run(len(workload.stages), plan.streams, plan.queries, on_tick)
    numbers = itertools.count()  # its next() is one step of the interpreter, so threads never get the same number
    least, length = plan.queries, int(plan.seconds * 1e9)

    def work(recorder: Recorder, ticks: bool) -> None:
        clock, take, query, add = time.perf_counter_ns, order.take, workload.query, recorder.add
        stopped, deadline = run.stopped.is_set, run.begin + length
        while not stopped():
            number = next(numbers)
            indices = take(number)
            issued = clock()
            if number >= least and issued >= deadline:
                return
            stages = query(indices)
            ended = clock()
            add(issued, ended, stages)
            if ticks and ended >= run.next_tick:
                run.tick(ended)

    work_together(run, work)
    return merge(run.recorders, run.begin, plan.batch)
