"""What runs, devices and units are called in reports."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.context_records import Device
    from edgekit.benchmarks.results.records import Plan, Result, Subject

_ROUTE = {"photo": "from file to labels", "image": "from pixels to embedding", "text": "from text to embedding"}
_WORK = {"photo": "photo to labels", "image": "pixels to embedding", "text": "text to embedding"}
_SAMPLE = {"photo": "photo", "image": "image", "text": "text"}
_SCOPES = {
    "device": "the whole device",
    "package": "the processor alone",
    "accelerator": "the accelerator alone",
    "rail": "a part of the device",
}


def device(found: Device) -> str:
    """Return a device's name: its board, else its processor, and that it is virtual where it is."""
    return f"{found.board or found.soc or found.architecture}{' (virtual)' if found.virtual else ''}"


def engine(subject: Subject) -> str:
    """Return the runtime, its version and its device, such as ``onnxruntime 1.23.2 (cpu)``."""
    return f"{subject.runtime} {subject.runtime_version} ({subject.device})"


def work(plan: Plan) -> str:
    """Return what a query does, such as ``photo to labels``."""
    return _WORK.get(plan.pipeline, plan.pipeline)


def route(plan: Plan) -> str:
    """Return the same for the middle of a sentence, such as ``from file to labels``."""
    return _ROUTE.get(plan.pipeline, plan.pipeline)


def sample(plan: Plan, count: int = 1) -> str:
    """Return the word for a sample of the pipeline, with an s unless there is one."""
    word = _SAMPLE.get(plan.pipeline, "sample")
    return word if count == 1 else f"{word}s"


def scope(name: str) -> str:
    """Return what a power sensor sees, in words."""
    return _SCOPES.get(name, name)


def settings(plan: Plan) -> str:
    """Return how queries came, such as ``single-stream, batch 4, 2 threads``; what is usual is left out."""
    parts: list[str] = [plan.scenario]
    if plan.batch > 1:
        parts.append(f"batch {plan.batch}")
    if plan.threads:
        parts.append(f"{plan.threads} thread{'s' if plan.threads > 1 else ''}")
    if plan.streams > 1:
        parts.append(f"{plan.streams} streams")
    if plan.target_qps:
        parts.append(f"{plan.target_qps:.4g} queries/s")
    parts += [f"{name}={value}" for name, value in plan.options]
    if plan.generator != "edgekit":
        parts.append(f"by {plan.generator}")
    return ", ".join(parts)


def labels(results: Sequence[Result]) -> list[str]:
    """Name runs by what tells them apart.

    Args:
        results: of one report.

    Returns:
        As many short names, all different: the variant, then whatever is not the same in all of them; of a single run,
        the bundle and the variant.
    """
    if len(results) == 1:
        return [f"{results[0].subject.bundle} {results[0].subject.variant}"]
    columns = [_parts(result, results) for result in results]
    told = [i for i in range(len(columns[0])) if i == 0 or len({parts[i] for parts in columns}) > 1] if columns else []
    names = [" · ".join(parts[i] for i in told if parts[i]) for parts in columns]
    again, taken = Counter(names), set(names)
    for index, name in enumerate(names):
        if again[name] > 1:
            # A name that was given may look like one that is made here.
            names[index] = next(made for n in count(1) if (made := f"{name} · run {n}") not in taken)
            taken.add(names[index])
    return names


def _unusual(plan: Plan) -> str:
    """Return the settings without a scenario that they tell already."""
    found = settings(plan)
    if plan.scenario == "single-stream" or (plan.scenario == "multi-stream" and plan.streams > 1):
        found = found.removeprefix(plan.scenario).removeprefix(", ")
    return found


def _parts(result: Result, results: Sequence[Result]) -> tuple[str, ...]:
    subject, plan = result.subject, result.plan
    here, mode = device(result.context.device), result.context.device.power_mode
    devices = {(r.context.device.hostname, device(r.context.device)) for r in results}
    hosts = {host for host, _ in devices}
    # A host's name is the shorter one, and what its owner calls it, where it stands for one device alone.
    short = result.context.device.hostname if len(hosts) == len(devices) and "" not in hosts else here
    # The mode of one board does not tell it from another board.
    if all(device(r.context.device) != here or r.context.device.power_mode == mode for r in results):
        mode = ""
    return (
        subject.variant,
        subject.bundle,
        f"version {subject.version}",
        f"{subject.runtime} ({subject.device})",
        short,
        mode,
        plan.pipeline,
        _unusual(plan),
        "sustained" if plan.sustained else "",
    )
