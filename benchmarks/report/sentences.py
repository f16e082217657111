"""A run in one sentence, and the reasons to believe it: what a reader takes away who reads nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import names, numbers

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Golden, Result


def sentence(result: Result) -> str:
    """Say what was measured, on what, how fast, how right, at what energy, and whether it may be believed.

    Args:
        result: of the run.

    Returns:
        One sentence, plain text.
    """
    return f"{findings(result)}; {verdict(result)}."


def findings(result: Result) -> str:
    """Say the same but for the verdict, without a full stop."""
    subject = result.subject
    what = f"{subject.bundle} {subject.variant} on {names.engine(subject)}, {names.device(result.context.device)}"
    return f"{what}: {speed(result)}; {rightness(result)}; {energy(result)}"


def speed(result: Result) -> str:
    """Say how fast a run was, in words."""
    plan, found = result.plan, result.latency
    rate = f"{numbers.number(result.throughput.value)} {names.sample(plan, 2)} a second"
    if plan.scenario == "offline":
        return f"{rate} {names.route(plan)} when all are given at once"
    crowd = f" at {numbers.number(plan.target_qps)} arrivals a second" if plan.scenario == "server" else ""
    value, interval = numbers.spread(found.p50.value, found.p50.low, found.p50.high).split(" ", 1)
    return (
        f"{_query(result)} {value} ms {interval} {names.route(plan)} in the median{crowd}, 99 of 100 at most"
        f" {numbers.number(found.p99.value)} ms, {rate}"
    )


def _query(result: Result) -> str:
    plan = result.plan
    together = plan.batch * (plan.streams if plan.scenario == "multi-stream" else 1)
    if together == 1:
        return f"a {names.sample(plan)} takes"
    return f"{together} {names.sample(plan, together)} at once take"


def rightness(result: Result) -> str:
    """Say how right a run's answers were, in words."""
    found = result.accuracy
    if not (found.before.passed and found.after.passed):
        when = " and ".join(w for w, g in (("before", found.before), ("after", found.after)) if not g.passed)
        return f"its answers were wrong {when} the run (golden check)"
    if found.agreement is None:
        return "golden check passed before and after"
    return f"agrees with the float model's first answer on {numbers.percent(found.agreement)} of {found.data}"


def energy(result: Result) -> str:
    """Say what a sample cost in energy, in words."""
    found = result.energy
    if found.status != "measured" or found.per_inference is None:
        return "energy unmeasured"
    return (
        f"{numbers.quantity(found.per_inference, 'J')} a {names.sample(result.plan)}"
        f" ({names.scope(found.scope)}, idle power included)"
    )


def verdict(result: Result) -> str:
    """Return the verdict, with its reasons where it is INVALID."""
    return f"INVALID: {'; '.join(result.reasons)}" if result.verdict == "INVALID" else result.verdict


def evidence(result: Result) -> list[tuple[str, str]]:
    """List what was checked before the verdict, and what was found.

    Args:
        result: of the run.

    Returns:
        (what, finding), plain text.
    """
    plan, found = result.plan, result
    clocks = "the clock may fall (sustained run)" if plan.sustained else "no slowing down is allowed"
    change = f"the last fifth took {drift(found)} times as long as the first; {clocks}"
    throttled = sorted({*found.context.before.throttled, *found.context.after.throttled})
    loads = tuple(map(_load, (found.context.before.other_load, found.context.after.other_load)))
    rows = [
        ("Length", f"{length(result)}, {found.latency.n:,} queries; asked for {numbers.duration(plan.seconds)}"),
        ("Golden check before", _golden(found.accuracy.before)),
        ("Golden check after", _golden(found.accuracy.after)),
        ("Steadiness", change),
        ("Throttling told by the system", ", ".join(throttled) or "none"),
        ("Load of other programs", f"{loads[0]} before, {loads[1]} after"),
        ("Placement", placement(result)),
        ("Cost of measuring", f"{numbers.number(found.harness.overhead_us)} µs a query, {_sampler(result)}"),
    ]
    if found.drift.memory is not None:
        rows.insert(4, ("Memory", f"{found.drift.memory:+.3g} MiB an hour{', a leak' if found.drift.leak else ''}"))
    return rows


def drift(result: Result) -> str:
    """Return the ratio of the last fifth's median to the first's, with its interval where there is one."""
    found = result.drift
    if found.latency_low is None or found.latency_high is None:
        return numbers.number(found.latency)
    return numbers.spread(found.latency, found.latency_low, found.latency_high)


def placement(result: Result) -> str:
    """Say which device computed how many nodes of each tower."""
    towers = (
        f"{tower} tower: " + ", ".join(f"{count} nodes on {device}" for device, count in sorted(nodes.items()))
        for tower, nodes in sorted(result.subject.placement.items())
    )
    return "; ".join(towers) or "not told by the engine"


def _load(processors: float | None) -> str:
    return "hidden by the system" if processors is None else f"{processors:.2f} processors"


def _golden(found: Golden) -> str:
    outcome = "passed" if found.passed else "FAILED"
    return f"{outcome}, least cosine {found.cosine:.4f}, centred {found.centred:.4f} (n={found.n})"


def length(result: Result) -> str:
    """Return how long the measured part took, which is not always what was asked for."""
    return numbers.duration(sum(minute.seconds for minute in result.minutes) or result.plan.seconds)


def _sampler(result: Result) -> str:
    return f"{numbers.percent(result.harness.sampler_share)} of a processor for the sensors"
