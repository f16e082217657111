"""Runs of ``edgekit bench`` on this device: one, or one for each combination of batch, threads and streams."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from edgekit.benchmarks import cli_output
from edgekit.benchmarks.running.choosing import settle
from edgekit.benchmarks.running.events import Note, Phase
from edgekit.benchmarks.running.interrupting import RunInterruptedError
from edgekit.benchmarks.running.request import PUBLISH, QUICK, RunRequest, check
from edgekit.benchmarks.running.run import run
from edgekit.cli.options import lines_of, settings
from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.cli_asked import Asked
    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event


def run_here(asked: Asked) -> bool:
    """Make every run that was asked for, print it, and write what was to be written.

    A run that fails does not take the others of a sweep with it, nor what was measured before it; a file that cannot be
    written does not take what is printed. Ctrl-C ends a sweep, and leaves what was measured until then.

    Args:
        asked: as it was typed.

    Returns:
        False when a run failed, or is not VALID and had to be.

    Raises:
        EdgekitError: the request cannot be run, or its only run failed.
        KeyboardInterrupt: Ctrl-C came; what was measured until then is printed and written.
    """
    wanted = requests(asked)
    for request in wanted:
        check(request)
    made, interrupted = _Made([], [], []), False
    with cli_output.live() as tell:
        try:
            _make(asked, wanted, made, tell)
        except KeyboardInterrupt:
            interrupted = True
    # A terminal has shown them already.
    for note in made.notes if not sys.stderr.isatty() else ():
        click.echo(note, err=True)
    for failure in made.failures:
        click.echo(f"failed: {failure}", err=True)
    if made.results:
        cli_output.show(asked, made.results)
    if interrupted:
        raise KeyboardInterrupt
    return not made.failures and cli_output.good(asked, made.results)


@dataclass(frozen=True)
class _Made:
    """What was made of a sweep so far: results, runs that failed, and what runs said could not be had."""

    results: list[Result]
    failures: list[str]
    notes: list[str]


def _make(asked: Asked, wanted: Sequence[RunRequest], made: _Made, tell: Callable[[Event], None]) -> None:
    """Make every run; what an interrupted one had measured is kept."""
    tell(Phase("choose"))
    first = settle(wanted[0], tell)
    for number, request in enumerate(wanted, 1):
        if len(wanted) > 1:
            tell(Note(f"run {number} of {len(wanted)}: {_combination(request)}"))
        try:
            found = run(_as_chosen(request, first), partial(_heard, tell, made.notes))
        except RunInterruptedError as error:
            _keep(asked, made, error.result)
            raise
        except ExecutionError as error:
            if len(wanted) == 1:
                raise
            made.failures.append(f"{_combination(request)}: {error}")
            continue
        _keep(asked, made, found)


def _keep(asked: Asked, made: _Made, found: Result) -> None:
    made.results.append(found)
    cli_output.keep_or_tell(asked, made.results, made.failures)


def requests(asked: Asked) -> tuple[RunRequest, ...]:
    """Return one request for each combination of the numbers given.

    Args:
        asked: as it was typed.

    Returns:
        At least one, in the order of the numbers.

    Raises:
        InputError: an option is not ``NAME=VALUE``, or the labels cannot be read.
    """
    engine = settings(None, asked.engine_options)
    labels = tuple(lines_of(asked.labels, "label")) if asked.labels else ()
    plain = RunRequest(
        bundle=asked.bundle,
        pipeline=asked.pipeline,
        scenario=asked.scenario,
        generator=asked.generator,
        variant=asked.variant,
        runtime=asked.runtime,
        device=asked.device,
        options=engine.options if engine else (),
        target_qps=asked.target_qps,
        latency_bound=asked.latency_bound,
        seconds=seconds_of(asked),
        queries=asked.queries,
        sustained=asked.sustained or asked.soak is not None,
        data=None if asked.data is None else str(asked.data),
        labels=labels,
        labels_file=None if asked.labels is None else str(asked.labels),
        meters=asked.meters,
        roofline=asked.roofline,
        profile=asked.profile,
    )
    threads: Sequence[int | None] = asked.threads or (None,)
    return tuple(
        replace(plain, batch=batch, threads=count, streams=streams)
        for batch, count, streams in itertools.product(asked.batch, threads, asked.streams)
    )


def seconds_of(asked: Asked) -> float:
    """Return the seconds that the measured part takes at least."""
    if asked.soak is not None:
        return 60 * asked.soak
    if asked.seconds is not None:
        return asked.seconds
    return PUBLISH if asked.publish else QUICK


def _heard(tell: Callable[[Event], None], notes: list[str], event: Event) -> None:
    """Keep what a run says could not be had, and pass everything on."""
    if isinstance(event, Note):
        notes.append(event.text)
    tell(event)


def _as_chosen(request: RunRequest, first: RunRequest) -> RunRequest:
    """Let every run of a sweep measure the variant that was chosen for its first."""
    threads = first.threads if request.threads is None else request.threads
    return replace(
        request,
        variant=first.variant,
        runtime=first.runtime,
        device=first.device,
        threads=threads,
        options=first.options,
    )


def _combination(request: RunRequest) -> str:
    threads = "" if request.threads is None else f", {request.threads} threads"
    return f"batch {request.batch}{threads}, {request.streams} streams"
