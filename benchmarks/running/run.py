"""One run: the idle device, a fresh process that measures, the meters around it, the idle device again, the verdict."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.device import identity, state
from edgekit.benchmarks.meters import baseline, registry
from edgekit.benchmarks.meters.other_load import OtherLoad
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.benchmarks.running.assembly import Pieces, assemble
from edgekit.benchmarks.running.child import Child
from edgekit.benchmarks.running.choosing import settle
from edgekit.benchmarks.running.events import Phase, Sample, Tick
from edgekit.benchmarks.running.extras import add_extras
from edgekit.benchmarks.running.interrupting import RunInterruptedError, interrupts
from edgekit.benchmarks.running.job import Job, read_found, write_job
from edgekit.benchmarks.running.process_memory import ProcessMemory
from edgekit.benchmarks.running.request import check, idle_seconds, plan_of
from edgekit.benchmarks.running.subject import towers_of
from edgekit.bundle.reader import open_bundle
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.meters.protocol import Meter
    from edgekit.benchmarks.meters.samples import Key
    from edgekit.benchmarks.results.energy_records import Baseline
    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.running.interrupting import Interrupts
    from edgekit.benchmarks.running.job import Found
    from edgekit.benchmarks.running.request import RunRequest

_WORKER = "edgekit.benchmarks.running.worker"
# Seconds over which the load of others is measured on the idle device; a tick of the kernel's counters is 10 ms.
_LEAST_STATE, _MOST_STATE = 0.2, 1.0


@dataclass
class _Cost:
    """Processor seconds of sampling at the begin and at the end of the measured part."""

    begin: float = 0.0
    end: float = 0.0


def run(request: RunRequest, on_event: Callable[[Event], None]) -> Result:
    """Measure once.

    Args:
        request: what to measure.
        on_event: called with what goes on, from this thread.

    Returns:
        The result, VALID or INVALID with its reasons.

    Raises:
        InputError: the request, the bundle, or the data cannot be used.
        EdgekitError: nothing opens the bundle here, or the measured process failed, crashed or hung.
        RunInterruptedError: Ctrl-C came when something had been measured; it has the result of that.
    """
    check(request)
    bundle = open_bundle(resolve(request.bundle))
    towers_of(request.pipeline, bundle)
    root = Path(request.root)
    meters = sensors(request.meters, root)
    date = datetime.now(timezone.utc)
    on_event(Phase("choose"))
    settled = settle(request, on_event)
    device = identity.identify(root)
    # Without a sensor of power there is nothing to wait for.
    seconds = idle_seconds(request) if any(map(_electric, meters)) else 0.0
    glance = min(_MOST_STATE, max(_LEAST_STATE, request.seconds / 10))
    on_event(Phase("idle before", seconds))
    idle_before = baseline.idle(meters, seconds)
    before = state.read(root, glance)
    cost = _Cost()
    # From these phases on Ctrl-C keeps what there is; LoadGen has no way to end a test early.
    keeping = ("measure", "check") if settled.generator == "edgekit" else ("check",)
    with interrupts() as heard, tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        write_job(folder, _job(settled))
        on_event(Phase("import"))
        with Child(_WORKER, folder) as child, Sampler([*meters, OtherLoad(root), ProcessMemory(child.pid)]) as sampler:

            def tell(event: Event) -> None:
                if isinstance(event, Phase) and event.name in keeping:
                    heard.ask = child.stop
                _pass_on(event, on_event, cost, sampler)

            child.follow(tell, request.silence)
        found, trace = read_found(folder)
        after = state.read(root, glance)
    found, idle_after = _rest(found, heard, meters, seconds, on_event)
    pieces = Pieces(
        request=settled,
        date=date,
        device=device,
        before=before,
        after=after,
        idle_before=idle_before,
        idle_after=idle_after,
        found=found,
        trace=trace,
        series=sampler.series(trace.begin),
        channels=sampler.channels,
        sampler_seconds=cost.end - cost.begin,
        bundle=bundle,
    )
    result = assemble(pieces)
    if found.interrupted:
        raise RunInterruptedError(result)
    if settled.roofline or settled.profile:
        try:
            result = add_extras(result, settled, on_event)
        except KeyboardInterrupt:
            raise RunInterruptedError(result) from None
    on_event(Phase("done"))
    return result


def sensors(named: Sequence[str], root: Path) -> list[Meter]:
    """Return the meters of a run.

    Args:
        named: those of power or energy to use, as ``NAME`` or ``NAME=SETTING``; empty for all that are here.
        root: folder that holds ``sys``, ``proc`` and ``dev``.

    Returns:
        Those named, and every one that works here and measures something else: without temperatures, clocks and flags
        nobody could tell whether the run was throttled.

    Raises:
        InputError: there is no such meter, or it does not work here.
    """
    chosen = registry.choose(named, root)
    names = {"other-load", *(meter.name for meter in chosen)}
    rest = [meter for meter in registry.find(root) if meter.name not in names and not _electric(meter)] if named else []
    return [meter for meter in (*chosen, *rest) if meter.name != "other-load"]


def _electric(meter: Meter) -> bool:
    return any(channel.kind in ("power", "energy") for channel in meter.channels())


def _job(request: RunRequest) -> Job:
    path = Path(str(resolve(request.bundle))).absolute()
    return Job(
        bundle=str(path),
        variant=str(request.variant),
        runtime=str(request.runtime),
        device=request.device,
        plan=plan_of(request),
        data=request.data,
        labels=request.labels,
    )


def _rest(
    found: Found, heard: Interrupts, meters: Sequence[Meter], seconds: float, on_event: Callable[[Event], None]
) -> tuple[Found, dict[Key, Baseline]]:
    """Measure the idle device once more; who pressed Ctrl-C does not wait for that."""
    if heard.asked:
        return replace(found, interrupted=found.interrupted or "after the measured part"), {}
    try:
        on_event(Phase("idle after", seconds))
        return found, baseline.idle(meters, seconds)
    except KeyboardInterrupt:
        return replace(found, interrupted="before the idle power after it was known"), {}


def _pass_on(event: Event, on_event: Callable[[Event], None], cost: _Cost, sampler: Sampler) -> None:
    """Tell an event and the newest samples; take the cost of sampling where the measured part begins and ends."""
    if isinstance(event, Phase) and event.name == "measure":
        cost.begin = sampler.cpu_seconds
    if isinstance(event, Phase) and event.name == "check":
        cost.end = sampler.cpu_seconds
    on_event(event)
    if isinstance(event, Tick):
        for name, (value, unit) in sampler.latest().items():
            on_event(Sample(name, value, unit))
