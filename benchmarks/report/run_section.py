"""The part of a report about one run: key figures, pictures, verdict, device, and how to repeat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import names, numbers, sentences
from edgekit.benchmarks.report.breakdown import phases, stages
from edgekit.benchmarks.report.chart import render
from edgekit.benchmarks.report.distribution import course, histogram
from edgekit.benchmarks.report.markup import badge, bullets, element, escape, facts, folded
from edgekit.benchmarks.report.sensors import sensors
from edgekit.benchmarks.results.metrics import figure, metric

if TYPE_CHECKING:
    from edgekit.benchmarks.results.context_records import State
    from edgekit.benchmarks.results.records import Result


def run_section(result: Result, label: str, key: str, opened: bool) -> str:
    """Return the part about one run.

    Args:
        result: of the run.
        label: its name in the report.
        key: unique in the page, of letters, digits and ``-``.
        opened: whether it is shown without being asked for.

    Returns:
        HTML.
    """
    small = [chart for chart in (histogram(result), course(result), stages(result), phases(result)) if chart]
    pictures = "".join(render(chart, f"{key}-{index}") for index, chart in enumerate(small))
    sensed = sensors(result)
    wide = f'<div class="pictures wide">{render(sensed, f"{key}-sensors")}</div>' if sensed else ""
    body = (
        f"{_tiles(result)}{_verdict(result)}<h3>Pictures</h3>"
        f'<div class="pictures">{pictures}</div>{wide}{_memory_and_energy(result)}{_context(result)}{_repeat(result)}'
    )
    is_open = " open" if opened else ""
    return (
        f'<details class="run" id="{key}"{is_open}><summary>{badge(result.verdict)} {escape(label)}</summary>'
        f"{body}</details>"
    )


def _tiles(result: Result) -> str:
    rate = result.throughput
    accuracy = result.accuracy.agreement
    tiles = [
        ("p50", f"{numbers.number(result.p50)} ms", _ends(result.latency.p50.low, result.latency.p50.high)),
        ("p99", f"{numbers.number(result.p99)} ms", _ends(result.latency.p99.low, result.latency.p99.high)),
        ("throughput", f"{numbers.number(rate.value)} /s", _ends(rate.low, rate.high)),
        ("fidelity", "–" if accuracy is None else numbers.percent(accuracy), "first answer as the float model's"),
        ("memory", f"{numbers.number(result.memory.rss_peak)} MiB", "largest resident set"),
    ]
    joules = result.energy.per_inference
    if joules is None:
        tiles.append(("energy", "–", "unmeasured"))
    else:
        tiles.append((f"energy a {names.sample(result.plan)}", numbers.quantity(joules, "J"), _scope(result)))
    shown = "".join(
        f'<div class="tile">{element("span", name)}{element("b", value)}{element("span", remark)}</div>'
        for name, value, remark in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _ends(low: float, high: float) -> str:
    places = numbers.decimals_of(low)
    if numbers.number(low, places) == numbers.number(high, places):
        places += 1
    return f"95 %: {numbers.number(low, places)}–{numbers.number(high, places)}"


def _scope(result: Result) -> str:
    return f"{names.scope(result.energy.scope)}, idle included"


def _verdict(result: Result) -> str:
    if result.verdict == "INVALID":
        said = f"<p>INVALID: these figures must not be published.</p>{bullets(result.reasons)}"
    else:
        said = "<p>VALID: every rule held.</p>"
    return f"<h3>Verdict</h3>{said}{facts(sentences.evidence(result))}"


def _memory_and_energy(result: Result) -> str:
    asked = (
        ("Largest resident set", "rss_peak"),
        ("Largest memory of its own", "uss_peak"),
        ("The accelerator's memory", "device_memory"),
    )
    memory = [(term, numbers.figure(figure(result, metric(name)), "MiB")) for term, name in asked]
    if result.memory.swapped or result.memory.faults:
        swapped = f"{numbers.number(result.memory.swapped)} MiB in swap, {result.memory.faults:,} pages read from disk"
        memory.append(("Swapping", swapped))
    memory.append(("Before the bundle was loaded", f"{numbers.number(result.memory.rss_import)} MiB"))
    return f"<h3>Memory</h3>{facts(memory)}<h3>Energy</h3>{facts(_energy(result))}"


def _energy(result: Result) -> list[tuple[str, str]]:
    found = result.energy
    if found.status != "measured":
        return [("Unmeasured", found.reason)]
    pairs = [("Sensor", f"{found.meter} {found.rail}, {names.scope(found.scope)}")]
    pairs.append(("Energy of a sample", numbers.figure(figure(result, metric("per_inference")), "J")))
    for term, value, unit in (
        ("Of it above idle", found.above_idle, "J"),
        ("Mean power", found.watts, "W"),
        ("Energy of the measured part", found.joules, "J"),
    ):
        if value is not None:
            pairs.append((term, numbers.quantity(value, unit)))
    for term, idle in (("Idle before", found.before), ("Idle after", found.after)):
        if idle:
            error = numbers.quantity(idle.error, "W")
            pairs.append((term, f"{numbers.quantity(idle.watts, 'W')} ± {error} (n={idle.n:,})"))
    rate = "" if found.rate is None else f", {numbers.number(found.rate)} a second"
    pairs.append(("Readings", f"{found.samples:,}{rate}"))
    stated = "not stated" if found.sensor_error is None else f"± {numbers.percent(found.sensor_error)}"
    return [*pairs, ("Error of the sensor, by its documentation", stated)]


def _context(result: Result) -> str:
    device, plan = result.context.device, result.plan
    kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(device.core_kinds.items()))
    identity = [
        ("Device", names.device(device)),
        ("Name", device.hostname),
        ("Processor", f"{device.soc or 'unknown'}, {kinds or device.cores} ({device.architecture})"),
        ("Processors this run may use", str(device.cores)),
        ("Instructions", ", ".join(device.features) or "none that matter"),
        ("Memory", f"{device.memory:,} MiB"),
        ("System", f"{device.system}, {device.kernel}"),
        ("Power mode", device.power_mode or "none"),
        ("Virtual", device.virtual or "no"),
        ("Before", _state(result.context.before)),
        ("After", _state(result.context.after)),
    ]
    asked = [
        ("Scenario", f"{names.settings(plan)}; {names.work(plan)}"),
        ("Inputs", f"{plan.data}, {plan.samples:,} in turns{f', {plan.labels:,} labels' if plan.labels else ''}"),
        ("Queries come from", "edgekit's own loop" if plan.generator == "edgekit" else "MLPerf LoadGen"),
    ]
    if plan.latency_bound:
        asked.append(("Latency that p99 must keep", f"{numbers.number(plan.latency_bound)} ms"))
    return f"<h3>Device</h3>{facts(identity)}<h3>Work</h3>{facts(asked)}"


def _state(state: State) -> str:
    parts = [f"{zone} {numbers.number(value)} °C" for zone, value in sorted(state.temperatures.items())]
    parts += [f"{count} × {governor}" for governor, count in sorted(state.governors.items())]
    parts += [f"{name} {numbers.number(value)} MHz" for name, value in sorted(state.clocks.items())]
    parts += [f"throttled: {reason}" for reason in state.throttled]
    if state.on_battery is not None:
        parts.append("on battery" if state.on_battery else "on mains")
    parts.append(f"{state.memory_free:,} MiB free")
    return ", ".join(parts)


def _repeat(result: Result) -> str:
    subject = result.subject
    bundle = [
        ("Bundle", f"{subject.bundle} {subject.version}"),
        ("Digest", subject.digest),
        ("Embedding space", subject.space),
        ("Variant", f"{subject.variant} ({subject.precision}, {subject.format}, {numbers.size(subject.size)})"),
        ("Engine", names.engine(subject)),
        ("edgekit", result.edgekit),
        ("Run", f"{result.id}, {result.date}"),
    ]
    packages = [("Python", result.context.python), *sorted(result.context.packages.items())]
    return (
        f"<h3>How to repeat it</h3>{element('pre', result.command)}{facts(bundle)}"
        f"{folded('Versions of packages', facts(packages), 'data')}"
    )
