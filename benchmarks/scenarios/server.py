"""Queries that arrive by a Poisson process, whether the system keeps up or not (MLPerf's server)."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.crew import Run, work_together
from edgekit.benchmarks.scenarios.order import Order
from edgekit.benchmarks.scenarios.recorder import merge
from edgekit.benchmarks.scenarios.schedule import poisson
from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload
    from edgekit.benchmarks.scenarios.recorder import Recorder

LATEST = 60.0
"""Seconds, or the length asked for where that is longer, that a query may wait; then the run ends with an error."""


def server(plan: Plan, workload: Workload, on_tick: OnTick, seed: int) -> Trace:
    """Measure queries that come when they are due; `plan.streams` threads answer them, first come, first served.

    A query's latency counts from when it was due, so that a system which falls behind cannot hide it by being asked
    later (coordinated omission). The error of the system's sleep, some tens of microseconds, counts as well.

    Args:
        plan: `target_qps`, `streams`, `batch`, `seconds` and `queries` are used.
        workload: what a query does.
        on_tick: told the seconds since the begin and the queries so far.
        seed: of the order of samples and of the arrivals.

    Returns:
        Every query, in the order in which they were due.

    Raises:
        InputError: the rate is not a positive number.
        ExecutionError: the system is so slow for that rate that a query waited longer than `LATEST` allows.
    """
    due = poisson(plan.target_qps, plan.seconds, plan.queries, seed)
    order = Order(workload.samples, plan.batch, seed)
    run = Run(len(workload.stages), plan.streams, len(due), on_tick)
    numbers = itertools.count()
    latest = patience(plan)

    def work(recorder: Recorder, ticks: bool) -> None:
        clock, begin, stopped, total = time.perf_counter_ns, run.begin, run.stopped, len(due)
        while (number := next(numbers)) < total:
            arrival, indices = begin + int(due[number]), order.take(number)
            now = clock()
            while now < arrival:
                if stopped.wait((arrival - now) / 1e9):
                    return
                now = clock()
            if stopped.is_set():
                return
            if now - arrival > latest:
                raise too_slow(plan, now - arrival)
            stages = workload.query(indices)
            ended = clock()
            recorder.add(arrival, ended, stages)
            if ticks and ended >= run.next_tick:
                run.tick(ended)

    work_together(run, work)
    return merge(run.recorders, run.begin, plan.batch)


def patience(plan: Plan) -> int:
    """Return the nanoseconds that a query may wait before it is begun."""
    return int(max(LATEST, plan.seconds) * 1e9)


def too_slow(plan: Plan, waited: int) -> ExecutionError:
    """Return the error for a query that had waited for `waited` nanoseconds when it began."""
    return ExecutionError(
        f"the system cannot keep up with {plan.target_qps:g} queries a second: a query had waited {waited / 1e9:.0f} s "
        "when it began; give a lower --target-qps"
    )
