"""Put the pieces of a run together: statistics of its queries, energy, memory, and the verdict over all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.benchmarks.device import judge as device_judge
from edgekit.benchmarks.meters import energy as energies
from edgekit.benchmarks.meters.clock import wall_seconds
from edgekit.benchmarks.results.context_records import Context
from edgekit.benchmarks.results.records import SCHEMA_VERSION, Accuracy, Harness, Memory, Result
from edgekit.benchmarks.running import verdict
from edgekit.benchmarks.running.command import command
from edgekit.benchmarks.statistics import summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from edgekit.benchmarks.meters.protocol import Channel
    from edgekit.benchmarks.meters.samples import Key
    from edgekit.benchmarks.results.context_records import Device, State
    from edgekit.benchmarks.results.energy_records import Baseline, Series
    from edgekit.benchmarks.running.job import Found
    from edgekit.benchmarks.running.request import RunRequest
    from edgekit.benchmarks.scenarios.protocol import Trace
    from edgekit.bundle.reader import Bundle

# Seconds of the series that are kept on both sides of the measured part.
_MARGIN = 2.0


@dataclass(frozen=True)
class Pieces:
    """All that a run left.

    Attributes:
        request: settled.
        date: of its begin, UTC.
        device: what does not change.
        before: state before the measured part.
        after: and after it.
        idle_before: idle power before, by (meter, series name).
        idle_after: and after.
        found: by the measured process.
        trace: every query.
        series: every sample; second 0 is the begin of the measured part.
        channels: of the series, by (meter, series name).
        sampler_seconds: processor time that sampling took during the measured part.
        bundle: opened.
    """

    request: RunRequest
    date: datetime
    device: Device
    before: State
    after: State
    idle_before: Mapping[Key, Baseline]
    idle_after: Mapping[Key, Baseline]
    found: Found
    trace: Trace
    series: tuple[Series, ...]
    channels: Mapping[Key, Channel]
    sampler_seconds: float
    bundle: Bundle


def assemble(pieces: Pieces) -> Result:
    """Make the result of a run.

    Args:
        pieces: of the run.

    Returns:
        The result, judged.
    """
    found, trace = pieces.found, pieces.trace
    seconds = (trace.end - trace.begin) / 1e9
    series = tuple(_cut(one, -_MARGIN, seconds + _MARGIN) for one in pieces.series)
    inside = tuple(_cut(one, 0.0, seconds) for one in pieces.series)
    latency, throughput = summary.latency(trace), summary.throughput(trace)
    resident = _of_process(pieces.series, "rss")
    minutes, drift = summary.minutes(trace, resident), summary.drift(trace, resident)
    harness = Harness(found.overhead_us, pieces.sampler_seconds / seconds)
    energy, energy_reasons = energies.energy(
        pieces.series,
        0.0,
        seconds,
        len(trace.ended) * trace.batch,
        pieces.idle_before,
        pieces.idle_after,
        pieces.channels,
        found.subject.device,
    )
    evidence = verdict.Evidence(
        plan=found.plan,
        subject=found.subject,
        found=found,
        seconds=seconds,
        latency=latency,
        throughput=throughput,
        drift=drift,
        harness=harness,
        device=device_judge.reasons(pieces.before, pieces.after, inside, found.plan.sustained, pieces.device),
        energy=energy_reasons,
    )
    judged, reasons = verdict.judge(evidence)
    return Result(
        schema_version=SCHEMA_VERSION,
        id=_id(pieces),
        date=pieces.date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        edgekit=__version__,
        subject=found.subject,
        plan=found.plan,
        p50=latency.p50.value,
        p90=latency.p90.value,
        p99=latency.p99.value,
        throughput=throughput,
        latency=latency,
        stages=summary.stages(trace, found.stages),
        phases=found.phases,
        minutes=minutes,
        drift=drift,
        memory=_memory(pieces),
        energy=energy,
        accuracy=_accuracy(pieces),
        harness=harness,
        context=Context(pieces.device, pieces.before, pieces.after, found.packages, found.python),
        series=series,
        roofline=None,
        verdict=judged,
        reasons=reasons,
        command=command(pieces.request),
        began=wall_seconds(trace.begin),
    )


def _memory(pieces: Pieces) -> Memory:
    found = pieces.found
    unique = _of_process(pieces.series, "uss")
    on_device = [s for s in pieces.series if s.kind == "memory" and s.meter != "process"]
    return Memory(
        rss_peak=found.rss_peak,
        rss_import=found.rss_import,
        uss_peak=max(unique.values) if unique is not None and unique.values else None,
        device=max((max(s.values) for s in on_device if s.values), default=None),
        swapped=found.swapped,
        faults=found.faults,
    )


def _accuracy(pieces: Pieces) -> Accuracy:
    variant = next(v for v in pieces.bundle.manifest.variants if v.id == pieces.found.subject.variant)
    fidelity = variant.fidelity
    agreement = None
    if fidelity is not None:
        agreement = min(fidelity.image_to_text.top1.value, fidelity.text_to_image.top1.value)
    data = "" if fidelity is None else fidelity.data
    return Accuracy(pieces.found.before, pieces.found.after, agreement, data)


def _of_process(series: tuple[Series, ...], name: str) -> Series | None:
    return next((s for s in series if s.meter == "process" and s.name.endswith(name)), None)


def _cut(series: Series, begin: float, end: float) -> Series:
    kept = [i for i, time in enumerate(series.times) if begin <= time <= end]
    return replace(
        series,
        times=tuple(round(series.times[i], 4) for i in kept),
        values=tuple(series.values[i] for i in kept),
    )


def _id(pieces: Pieces) -> str:
    subject, plan = pieces.found.subject, pieces.found.plan
    parts = (
        pieces.date.strftime("%Y%m%dT%H%M%SZ"),
        pieces.device.hostname,
        subject.bundle,
        subject.variant,
        subject.runtime,
        plan.pipeline,
        plan.scenario,
        f"b{plan.batch}-t{plan.threads}-s{plan.streams}",
    )
    # The id names a file.
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part) or "-" for part in parts)
