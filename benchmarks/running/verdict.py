"""Whether a run's figures may be believed: every rule that it breaks, with the figure, the limit and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.running import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.results.records import Drift, Estimate, Harness, Latency, Plan, Subject, Verdict
    from edgekit.benchmarks.running.job import Found


@dataclass(frozen=True)
class Evidence:
    """What a run is judged by.

    Attributes:
        plan: what was asked for.
        subject: what was measured.
        found: by the measured process: golden checks, swap, pages read.
        seconds: length of the measured part.
        latency: of the queries.
        throughput: over the measured part.
        drift: between its begin and its end.
        harness: cost of measuring.
        device: reasons of `edgekit.benchmarks.device.judge`: throttling, clocks, supply, other load.
        energy: reasons of `edgekit.benchmarks.meters.energy`: samples, baseline, rail.
    """

    plan: Plan
    subject: Subject
    found: Found
    seconds: float
    latency: Latency
    throughput: Estimate
    drift: Drift
    harness: Harness
    device: tuple[str, ...]
    energy: tuple[str, ...]


def judge(evidence: Evidence) -> tuple[Verdict, tuple[str, ...]]:
    """Judge a run.

    Args:
        evidence: of the run.

    Returns:
        ``VALID`` without reasons, or ``INVALID`` with every reason there is, the gravest first.
    """
    reasons = tuple(
        dict.fromkeys(
            (
                *_whole(evidence),
                *_right(evidence),
                *_long_enough(evidence),
                *_quick_enough(evidence),
                *evidence.device,
                *_steady(evidence),
                *_light(evidence),
                *_in_memory(evidence),
                *evidence.energy,
            )
        )
    )
    return ("INVALID" if reasons else "VALID"), reasons


def _whole(evidence: Evidence) -> Iterator[str]:
    where = evidence.found.interrupted
    if where:
        yield f"interrupted {where}; the figures are of what was measured until then ({evidence.seconds:.1f} s)"


def _right(evidence: Evidence) -> Iterator[str]:
    for text in evidence.found.wrong:
        yield f"golden check {text}; these are fast wrong numbers: run 'edgekit verify', and take another variant"
    for tower, counts in evidence.subject.placement.items():
        elsewhere = {device: n for device, n in counts.items() if not _same(device, evidence.subject.device)}
        if elsewhere:
            shown = ", ".join(f"{n} of its {sum(counts.values())} nodes on {device}" for device, n in elsewhere.items())
            yield (
                f"{tower} tower: {shown}, not on {evidence.subject.device} as asked; the figure is of a mixture: take "
                "a variant that the device runs whole"
            )


def _same(device: str, asked: str) -> bool:
    # A member of a family, such as delegate:/path.so, reports nodes by the family's name.
    return device == asked or device == asked.partition(":")[0]


def _long_enough(evidence: Evidence) -> Iterator[str]:
    for text in evidence.found.refused:
        yield f"LoadGen does not take the run for valid: {text}"
    # The last query may end a moment before the planned end by the clock's own rounding.
    if evidence.seconds < rules.QUICK.limit - 1e-3:
        yield (
            f"the measured part took {evidence.seconds:.1f} s, at least {rules.QUICK.limit:g} s are needed; "
            "use --quick, or --publish for a figure to be published"
        )
    percentile = rules.PERCENTILE[evidence.plan.scenario]
    if evidence.latency.early.get(percentile) is None:
        yield (
            f"{evidence.latency.n} queries are too few for the {percentile} at 99 % confidence (early stopping needs "
            f"at least {rules.QUERIES[percentile].limit:g}); measure longer, with --publish or --seconds"
        )
    if evidence.plan.scenario == "offline":
        figure = evidence.throughput
        half = (figure.high - figure.low) / 2
        if half > rules.THROUGHPUT.limit * figure.value:
            yield (
                f"the throughput is known to ±{half / figure.value:.2%} only, at most ±{rules.THROUGHPUT.limit:.0%} is "
                "wanted; measure longer, and close other programs"
            )


def _quick_enough(evidence: Evidence) -> Iterator[str]:
    plan, early = evidence.plan, evidence.latency.early.get("p99")
    if plan.scenario == "server" and early is not None and early > plan.latency_bound:
        yield (
            f"at {plan.target_qps:g} queries a second the p99 is {early:.2f} ms (early stopping at 99 % confidence), "
            f"the bound is {plan.latency_bound:g} ms; give a lower --target-qps"
        )


def _steady(evidence: Evidence) -> Iterator[str]:
    drift = evidence.drift
    if drift.throttling and not evidence.plan.sustained:
        yield (
            f"queries at the end took {drift.latency:.2f} times as long as at the begin; cool the device, or measure "
            "its steady state with --soak MINUTES or --sustained"
        )
    if drift.latency_high is not None and drift.latency_high < rules.FASTER.limit:
        yield (
            f"queries at the end took only {drift.latency:.2f} times as long as at the begin (at least "
            f"{rules.FASTER.limit:g}); something else ended meanwhile, or the device sped up late: measure again"
        )
    if drift.leak and drift.memory is not None:
        yield (
            f"memory grew by {drift.memory:.1f} MiB an hour; the engine or the pipeline leaks, the figures of a longer "
            "run would differ"
        )


def _light(evidence: Evidence) -> Iterator[str]:
    share = evidence.harness.sampler_share
    if share > rules.SAMPLER.limit:
        yield (
            f"reading the sensors took {share:.1%} of a processor (at most {rules.SAMPLER.limit:.0%}); name fewer with "
            "--meter"
        )


def _in_memory(evidence: Evidence) -> Iterator[str]:
    found, n = evidence.found, evidence.latency.n
    if found.swapped > rules.SWAPPED.limit:
        yield (
            f"{found.swapped:.1f} MiB of the process were swapped out; free memory, or take a smaller variant or batch"
        )
    limit = max(rules.LEAST_FAULTS.limit, rules.FAULT_SHARE.limit * n)
    if found.faults > limit:
        yield (
            f"{found.faults} pages had to be read from the disk during the measured part (at most {limit:.0f}); free "
            "memory, or take a smaller variant"
        )
