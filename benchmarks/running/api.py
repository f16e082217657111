"""`edgekit.benchmarks.bench`: one run, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.running.request import QUICK, RunRequest
from edgekit.benchmarks.running.run import run
from edgekit.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.results.records import Pipeline, Result, ScenarioName
    from edgekit.benchmarks.running.events import Event
    from edgekit.runtimes.protocol import SessionSettings


def bench(
    bundle: str | os.PathLike[str],
    *,
    pipeline: Pipeline = "photo",
    scenario: ScenarioName = "single-stream",
    seconds: float = QUICK,
    variant: str | None = None,
    runtime: str | None = None,
    device: str = "auto",
    settings: SessionSettings | None = None,
    batch: int = 1,
    streams: int = 1,
    target_qps: float = 0.0,
    latency_bound: float = 0.0,
    sustained: bool = False,
    data: str | os.PathLike[str] | None = None,
    labels: Sequence[str] = (),
    on_event: Callable[[Event], None] = lambda event: None,
) -> Result:
    """Measure a bundle on this device, in a process of its own, and judge the figures.

    Args:
        bundle: name of a packaged bundle (``"starter"``), or path of a ``.edge`` file or unpacked folder.
        pipeline: ``photo``, a photo's file to ranked labels; ``image``, pixels to an embedding;
            ``text``, a text to one.
        scenario: how queries come, by MLPerf's names.
        seconds: least length of the measured part; fewer than 60 are never VALID.
        variant: id; None takes what `edgekit.load` takes here.
        runtime: name; None likewise.
        device: of the runtime; ``auto`` likewise.
        settings: threads and the engine's own options; None takes those that were tuned. `spinning`, `arena` and
            `allow_cpu` must be as they are by default.
        batch: samples that the model is given at once.
        streams: threads that answer at the same time.
        target_qps: arrivals a second of the server scenario.
        latency_bound: milliseconds that the server scenario's 99th percentile must keep.
        sustained: take throttling for part of what is measured.
        data: a set in any layout of ``edgekit eval``, by its path or name; None takes the packaged samples.
        labels: of the photo pipeline; empty takes those frozen into the bundle, else the packaged list.
        on_event: called with what goes on, such as each phase's begin.

    Returns:
        The result; look at its `verdict` and `reasons` before its figures.

    Raises:
        InputError: an argument cannot be used.
        EdgekitError: nothing opens the bundle here, or the measured process failed.
        RunInterruptedError: Ctrl-C came when something had been measured, and the main thread called this: a
            `KeyboardInterrupt` whose `result` is of that part.
    """
    if isinstance(bundle, bytes):
        raise InputError("a bundle in memory cannot be measured: another process opens it; give the path of a file")
    if isinstance(labels, str):
        raise InputError("labels is one text; give a list of labels")
    if settings is not None and (not settings.spinning or not settings.arena or settings.allow_cpu):
        raise InputError("settings: a benchmark changes only threads and options; leave the others at their defaults")
    return run(
        RunRequest(
            bundle=str(Path(bundle)),
            pipeline=pipeline,
            scenario=scenario,
            variant=variant,
            runtime=runtime,
            device=device,
            threads=settings.threads if settings else None,
            options=settings.options if settings else (),
            batch=batch,
            streams=streams,
            target_qps=target_qps,
            latency_bound=latency_bound,
            seconds=seconds,
            sustained=sustained,
            data=None if data is None else str(Path(data)),
            labels=tuple(labels),
        ),
        on_event,
    )
