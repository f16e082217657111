"""A result for the terminal of the person who ran it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import names, numbers, sentences
from edgekit.benchmarks.report.cells import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.results.records import Result


def summary(result: Result) -> str:
    """Write a result for a terminal.

    Args:
        result: of the run.

    Returns:
        Lines without a final newline: verdict, latency, throughput, stages, cold start, memory, energy, rightness, and
        the command that repeats the run.
    """
    subject, plan = result.subject, result.plan
    length = f"{result.latency.n:,} queries in {sentences.length(result)}"
    lines = [
        f"{subject.bundle} {subject.variant} on {names.engine(subject)}  {result.verdict}",
        ", ".join((names.device(result.context.device), names.settings(plan), names.work(plan), length)),
    ]
    lines += [f"  {name:<11} {text}" for name, text in _lines(result)]
    return "\n".join(map(printable, lines))


def _lines(result: Result) -> Iterator[tuple[str, str]]:
    found = result.latency
    each = ("p50", found.p50), ("p90", found.p90), ("p99", found.p99)
    yield "latency", "  ".join(f"{name} {numbers.estimate(value, 'ms')}" for name, value in each)
    yield "throughput", numbers.estimate(result.throughput, f"{names.sample(result.plan, 2)}/s")
    stages = (f"{name} {numbers.number(s.p50)} ms {s.share * 100:.0f} %" for name, s in result.stages.items())
    if result.stages:
        yield "stages", ", ".join(stages)
    phases = result.phases
    steps = {"import": phases.import_ms, "load": phases.load_ms, "prepare": phases.prepare_ms}
    steps |= {"first query": phases.first_ms, "warm": phases.warm_ms}
    yield "cold start", ", ".join(f"{name} {numbers.number(value)} ms" for name, value in steps.items() if value)
    memory = result.memory
    own = "" if memory.uss_peak is None else f", {numbers.number(memory.uss_peak)} MiB of its own"
    yield "memory", f"{numbers.number(memory.rss_peak)} MiB at its peak{own}"
    yield "energy", _energy(result)
    yield "right", sentences.rightness(result)
    yield "drift", f"the last fifth took {sentences.drift(result)} times as long as the first"
    if result.roofline:
        share = numbers.percent(result.roofline.share)
        yield "limit", f"{share} of what this device can do; bound by {result.roofline.bound}"
    yield "harness", f"{numbers.number(result.harness.overhead_us)} µs a query"
    for reason in result.reasons:
        yield "INVALID", reason
    yield "repeat", result.command


def _energy(result: Result) -> str:
    found = result.energy
    if found.per_inference is None or found.watts is None:
        return f"unmeasured: {found.reason}"
    low, high = found.per_inference_low, found.per_inference_high
    interval = (
        "" if low is None or high is None else f" ({numbers.quantity(low, 'J')} to {numbers.quantity(high, 'J')})"
    )
    above = "" if found.above_idle is None else f", {numbers.quantity(found.above_idle, 'J')} above idle"
    each = f"{numbers.quantity(found.per_inference, 'J')} a {names.sample(result.plan)}{interval}{above}"
    return f"{each}; {numbers.quantity(found.watts, 'W')} of {names.scope(found.scope)} ({found.meter} {found.rail})"
