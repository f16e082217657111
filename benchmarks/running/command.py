"""The command line that repeats a run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from edgekit.benchmarks.results.comparable import exact
from edgekit.benchmarks.running.request import PUBLISH, QUICK, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Left out where they are as by default; the scenario and the pipeline are always told.
_CHANGED = ("generator", "device", "batch", "streams", "target_qps", "latency_bound", "queries", "data")


def command(request: RunRequest) -> str:
    """Return the command line that repeats a run.

    Args:
        request: with variant, runtime and device as they were chosen.

    Returns:
        One line for a shell; labels that came from no file are not in it.
    """
    words = ["edgekit", "bench", request.bundle, *_words(request)]
    return shlex.join(words)


def shown(value: object) -> str:
    """Return a value as it is typed; a number reads back as the same number."""
    return exact(value) if isinstance(value, float) else str(value)


def _words(request: RunRequest) -> Iterator[str]:
    plain = RunRequest(request.bundle)
    yield from ("--pipeline", request.pipeline, "--scenario", request.scenario)
    optional = (("variant", request.variant), ("runtime", request.runtime), ("threads", request.threads))
    changed = ((name, getattr(request, name)) for name in _CHANGED if getattr(request, name) != getattr(plain, name))
    for name, value in (*optional, *changed, ("labels", request.labels_file)):
        if value is not None:
            yield from (f"--{name.replace('_', '-')}", shown(value))
    for option, value in request.options:
        yield from ("--option", f"{option}={value}")
    for meter in request.meters:
        yield from ("--meter", meter)
    length = {QUICK: ("--quick",), PUBLISH: ("--publish",)}
    yield from length.get(request.seconds, ("--seconds", shown(request.seconds)))
    yield from (f"--{name}" for name in ("sustained", "roofline", "profile") if getattr(request, name))
