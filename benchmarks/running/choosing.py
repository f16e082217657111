"""Which variant, runtime, device and settings a run measures: what `edgekit.load` would take here, found in a child.

A child, because a candidate that crashes must not end the benchmark, and because engines that are only tried would
stay in the memory of the process.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.benchmarks.results.records import Pipeline
from edgekit.benchmarks.running.child import Child
from edgekit.bundle import schema
from edgekit.errors import ExecutionError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.running.request import RunRequest

_WANTED, _CHOSEN = "wanted.json", "chosen.json"


@dataclass(frozen=True)
class Wanted:
    """What the caller left to choose from.

    Attributes:
        bundle: absolute path.
        pipeline: of the run, which says what towers are opened.
        variant: id, or None.
        runtime: name, or None.
        device: of the runtime, or ``auto``.
        threads: of one inference, or None.
        options: settings of the engine; empty for those that were tuned.
    """

    bundle: str
    pipeline: Pipeline
    variant: str | None
    runtime: str | None
    device: str
    threads: int | None
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chosen:
    """What is measured.

    Attributes:
        variant: id.
        runtime: name.
        device: of the runtime.
        threads: of one inference; 0 is the engine's choice.
        options: settings of the engine.
    """

    variant: str
    runtime: str
    device: str
    threads: int
    options: tuple[tuple[str, str], ...]


def settle(request: RunRequest, tell: Callable[[Event], None]) -> RunRequest:
    """Return a request that leaves nothing open.

    Args:
        request: checked.
        tell: called with what goes on.

    Returns:
        The request with variant, runtime, device, threads and options set; itself where they were.

    Raises:
        EdgekitError: nothing here opens the bundle, or nothing passes the golden check among several.
    """
    if None not in (request.variant, request.runtime, request.threads) and request.device != "auto":
        return request
    path = resolve(request.bundle)
    wanted = Wanted(
        bundle=str(Path(str(path)).absolute()),
        pipeline=request.pipeline,
        variant=request.variant,
        runtime=request.runtime,
        device=request.device,
        threads=request.threads,
        options=request.options,
    )
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        write_bytes(folder / _WANTED, schema.dumps(wanted).encode())
        with Child(__name__, folder) as child:
            child.follow(tell, request.silence)
        if not (folder / _CHOSEN).exists():
            raise ExecutionError("the process that chooses a variant ended without an answer")
        chosen = schema.loads(Chosen, (folder / _CHOSEN).read_bytes(), _CHOSEN)
    return replace(
        request,
        variant=chosen.variant,
        runtime=chosen.runtime,
        device=chosen.device,
        threads=chosen.threads,
        options=chosen.options,
    )


def main(folder: str) -> None:
    """Choose for the parent; see `edgekit.benchmarks.running.worker.main`."""
    from edgekit.benchmarks.running.worker import answer_errors

    def step() -> None:
        wanted = schema.loads(Wanted, (Path(folder) / _WANTED).read_bytes(), _WANTED)
        write_bytes(Path(folder) / _CHOSEN, schema.dumps(choose(wanted)).encode())

    answer_errors(step)


def choose(wanted: Wanted) -> Chosen:
    """Choose in this process.

    A single candidate is taken as it is, wrong numbers or not: whoever names it wants it measured, and the verdict
    says what is wrong. Several compete as in `edgekit.load`, which takes what ``edgekit tune`` found.

    Args:
        wanted: what the caller left to choose from.

    Returns:
        What is measured.

    Raises:
        EdgekitError: nothing can be tried, or none of several candidates passes.
    """
    from edgekit.benchmarks.running.subject import towers_of
    from edgekit.bundle.reader import open_bundle
    from edgekit.choices import list_choices
    from edgekit.loading import load
    from edgekit.runtimes.protocol import SessionSettings
    from edgekit.tuning import store

    bundle = open_bundle(wanted.bundle)
    names = towers_of(wanted.pipeline, bundle)
    open_settings = wanted.threads is None and not wanted.options
    settings = None if open_settings else SessionSettings(threads=wanted.threads or 0, options=wanted.options)
    choices, _ = list_choices(bundle, wanted.variant, wanted.runtime, wanted.device)
    if len(choices) == 1:
        only = choices[0]
        tuned = store.recall(bundle, names)
        if tuned is not None and store.fitting(tuned, choices, settings) is not None:
            settings = tuned.settings
        settings = settings or SessionSettings()
        return Chosen(only.variant.id, only.runtime.name, only.device, settings.threads, settings.options)
    with load(
        wanted.bundle,
        variant=wanted.variant,
        runtime=wanted.runtime,
        device=wanted.device,
        settings=settings,
        towers=names,
    ) as clip:
        found = clip.explain().chosen
    threads, options = (found.threads, found.options) if settings is None else (settings.threads, settings.options)
    return Chosen(found.variant, found.runtime.partition(" ")[0], found.device, threads, options)
