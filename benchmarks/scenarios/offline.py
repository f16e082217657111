"""All samples are there from the begin: threads take batches one after the other, and only the throughput counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.closed_loop import closed_loop

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload


def offline(plan: Plan, workload: Workload, on_tick: OnTick, seed: int) -> Trace:
    """Measure the throughput of `plan.streams` threads.

    Source: MLPerf Inference rules, section "Scenarios": all samples are sent at once, and the metric is samples a
    second. The latency of a batch here counts from when a thread took it, since MLPerf's, from the begin of the run,
    only says how long the run was.

    Args:
        plan: `streams`, `batch`, `seconds` and `queries` are used.
        workload: what a query does.
        on_tick: told the seconds since the begin and the queries so far.
        seed: of the order of samples.

    Returns:
        Every batch.
    """
    return closed_loop(plan, workload, on_tick, seed)
