"""The evidence of a benchmark run that keeps every rule of validity."""

from __future__ import annotations

import bench_results
from edgekit.benchmarks.running.job import Found
from edgekit.benchmarks.running.verdict import Evidence


def good() -> Evidence:
    """A run of a minute."""
    result = bench_results.result()
    found = Found(
        subject=result.subject,
        plan=result.plan,
        stages=tuple(result.stages),
        phases=result.phases,
        before=result.accuracy.before,
        after=result.accuracy.after,
        wrong=(),
        rss_import=90.0,
        rss_peak=200.0,
        swapped=0.0,
        faults=0,
        overhead_us=5.0,
        packages={},
        python="3.11",
    )
    return Evidence(
        plan=result.plan,
        subject=result.subject,
        found=found,
        seconds=60.0,
        latency=result.latency,
        throughput=result.throughput,
        drift=result.drift,
        harness=result.harness,
        device=(),
        energy=(),
    )
