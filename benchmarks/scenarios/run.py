"""Measure a workload as a plan says, whoever issues the queries."""

from __future__ import annotations

import gc
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.multi_stream import multi_stream
from edgekit.benchmarks.scenarios.offline import offline
from edgekit.benchmarks.scenarios.server import server
from edgekit.benchmarks.scenarios.single_stream import single_stream
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload

    Scenario = Callable[[Plan, Workload, OnTick, int], Trace]

_SCENARIOS: dict[str, Scenario] = {
    "single-stream": single_stream,
    "multi-stream": multi_stream,
    "server": server,
    "offline": offline,
}


def measure(plan: Plan, workload: Workload, on_tick: OnTick, *, seed: int = 0) -> Trace:
    """Run the measured part and return every query of it; see `judged`, whose verdict this leaves out."""
    return judged(plan, workload, on_tick, seed=seed)[0]


def judged(plan: Plan, workload: Workload, on_tick: OnTick, *, seed: int = 0) -> tuple[Trace, tuple[str, ...]]:
    """Run the measured part.

    The collector of cyclic garbage stays on, as in an app, so that a pause which the work brings about counts; what was
    there before the run is frozen out of its sight, and the loop itself makes nothing that it would have to look at.

    Args:
        plan: what is asked for.
        workload: what a query does; it should have been warmed.
        on_tick: told the seconds since the begin and the queries so far, at most four times a second, by the thread
            that called this function; the time it takes is part of the run. Where it raises `StopEarlyError`, the
            run ends with the queries so far, of which there must be one; LoadGen cannot do that.
        seed: of the order of samples and of arrivals.

    Returns:
        Every query of the measured part, and why LoadGen does not take the run for valid, in its own words; none where
        it does, or has not issued the queries.

    Raises:
        InputError: the plan cannot be run; the message names its field.
        MissingDependencyError: LoadGen is asked for and not installed.
        ExecutionError: the server scenario's rate is far above what the system can do, or LoadGen failed.
        EdgekitError: a query failed; its own error.
    """
    check(plan)
    with _settled_collector():
        if plan.generator == "loadgen":
            from edgekit.benchmarks.scenarios import loadgen

            outcome = loadgen.run(plan, workload, on_tick, seed=seed)
            return outcome.trace, outcome.report.reasons
        return _SCENARIOS[plan.scenario](plan, workload, on_tick, seed), ()


def check(plan: Plan) -> None:
    """Refuse a plan that no scenario could run.

    Args:
        plan: what is asked for.

    Raises:
        InputError: a field is out of its range; the message names it.
    """
    if plan.scenario not in _SCENARIOS:
        raise InputError(f"scenario is {plan.scenario!r}; give one of {', '.join(_SCENARIOS)}")
    if plan.generator not in ("edgekit", "loadgen"):
        raise InputError(f"generator is {plan.generator!r}; give edgekit or loadgen")
    for name, value in (("batch", plan.batch), ("streams", plan.streams), ("queries", plan.queries)):
        if value < 1:
            raise InputError(f"{name} is {value}; give at least 1")
    if not 0 <= plan.seconds < math.inf:
        raise InputError(f"seconds is {plan.seconds}; give 0 or more")
    if plan.scenario == "server" and not plan.target_qps > 0:
        raise InputError(f"target_qps is {plan.target_qps}; the server scenario needs a rate above 0 (--target-qps)")


@contextmanager
def _settled_collector() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
