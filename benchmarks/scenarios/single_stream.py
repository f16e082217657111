"""One client, which sends its next query when the one before has ended (MLPerf's single-stream)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.closed_loop import closed_loop
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload


def single_stream(plan: Plan, workload: Workload, on_tick: OnTick, seed: int) -> Trace:
    """Measure one client.

    Source: MLPerf Inference rules, section "Scenarios": the next query is sent as soon as the previous one is complete.

    Args:
        plan: `batch`, `seconds` and `queries` are used; `streams` must be 1.
        workload: what a query does.
        on_tick: told the seconds since the begin and the queries so far.
        seed: of the order of samples.

    Returns:
        Every query.

    Raises:
        InputError: `streams` is not 1.
    """
    if plan.streams != 1:
        raise InputError(
            f"single-stream has one client, not {plan.streams}; for clients at the same time take the scenario "
            "multi-stream, server or offline"
        )
    return closed_loop(plan, workload, on_tick, seed)
