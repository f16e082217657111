"""``edgekit bench --on`` and ``--fleet``: the same on other devices, and their results here."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.benchmarks import cli_output
from edgekit.benchmarks.cli_words import words
from edgekit.benchmarks.results import files
from edgekit.bundle.reader import open_bundle
from edgekit.locations import resolve

if TYPE_CHECKING:
    from edgekit.benchmarks.cli_asked import Asked
    from edgekit.benchmarks.remote.records import Board, Outcome, RemoteEvent
    from edgekit.benchmarks.results.records import Result


def run_there(asked: Asked) -> bool:
    """Run on every board, print what came back, and write what was to be written.

    Args:
        asked: as it was typed.

    Returns:
        False when a board gave no result, or one is not VALID and had to be.

    Raises:
        EdgekitError: the bundle, a board or an argument cannot be used; nothing was sent.
    """
    from edgekit.benchmarks.remote.records import Settings
    from edgekit.benchmarks.remote.run_on import run_on

    bundle = Path(str(resolve(asked.bundle)))
    # Refused here, before any board is asked.
    open_bundle(bundle)
    boards = named_boards(asked)
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as scratch:
        into_file = asked.output is None or cli_output.is_file(asked.output)
        folder = Path(scratch) / "results" if into_file or asked.output is None else asked.output
        settings = Settings(keep=asked.on_keep, patience=asked.on_patience)
        outcomes = run_on(boards, bundle, words(asked), folder, settings, _show)
        results = [result for outcome in outcomes for path in outcome.results for result in files.read_all(path)]
    if results and into_file:
        cli_output.keep(asked, results)
    for outcome in outcomes:
        for line in _lines(outcome):
            click.echo(line, err=True)
    if results:
        cli_output.show(asked, results)
    return all(outcome.ending == "done" for outcome in outcomes) and _good(asked, results)


def named_boards(asked: Asked) -> tuple[Board, ...]:
    """Return the boards that ``--on`` or ``--fleet`` name.

    Args:
        asked: as it was typed.

    Returns:
        At least one.

    Raises:
        InputError: an address or the file is wrong.
    """
    from edgekit.benchmarks.remote import fleet

    if asked.fleet is not None:
        return fleet.read(asked.fleet)
    return fleet.from_addresses(asked.hosts, asked.on_python, asked.on_wheels)


def _good(asked: Asked, results: list[Result]) -> bool:
    return bool(results) and cli_output.good(asked, results)


def _lines(outcome: Outcome) -> list[str]:
    """Say what a reader must know of a board beside its results."""
    said = [] if outcome.ending == "done" else [f"{outcome.board}: {outcome.ending}: {outcome.reason}"]
    said += [f"{outcome.board}: note: {note}" for note in outcome.notes]
    return said + ([f"{outcome.board}: left behind: {outcome.left}"] if outcome.left else [])


def _show(event: RemoteEvent) -> None:
    """Tell what happens at a board while a terminal is there, and nothing in a pipe."""
    if event.text and sys.stderr.isatty():
        click.echo(f"{event.board}: {event.step}: {event.text}", err=True)
