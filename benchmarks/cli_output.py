"""What ``edgekit bench`` prints and writes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from edgekit.atomic import write_bytes
from edgekit.benchmarks.report.write import SUFFIXES
from edgekit.benchmarks.results import files
from edgekit.errors import EdgekitError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edgekit.benchmarks.cli_asked import Asked
    from edgekit.benchmarks.limits.records import PartTime, Profile
    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.versus.records import Matrix, Versus

_TOP = 8


def check(asked: Asked) -> None:
    """Refuse what could not be written later, before minutes are spent on measuring.

    Args:
        asked: as it was typed.

    Raises:
        InputError: a file's name has another ending than it may, or its folder cannot be written to.
        MissingDependencyError: the library that draws is not installed.
    """
    if asked.output is not None:
        _check_folder(asked.output.parent, asked.output)
        if not is_file(asked.output) and asked.output.exists():
            if not asked.output.is_dir():
                raise InputError(f"{asked.output}: is no folder; a file's name must end in .json")
            _check_folder(asked.output, asked.output)
    for path in asked.reports:
        if path.suffix not in SUFFIXES:
            raise InputError(f"--report {path}: the name must end in {', '.join(SUFFIXES)}")
        if path.is_dir():
            raise InputError(f"--report {path}: is a folder; give the name of a file to write")
        _check_folder(path.parent, path)
        if path.suffix == ".html" and find_spec("plotly") is None:
            raise MissingDependencyError(f"--report {path}: drawing needs plotly: pip install 'edgekit[bench]'")


def is_file(output: Path) -> bool:
    """Say whether ``-o`` names a file, which a name that ends in ``.json`` does; else it is a folder."""
    return output.suffix == ".json" and not output.is_dir()


def one_file(output: Path, name: str) -> Path:
    """Return the file for a record of which there is only one: ``-o`` itself, or `name` in the folder it names."""
    if is_file(output):
        return output
    output.mkdir(exist_ok=True)
    return output / name


def keep(asked: Asked, results: Sequence[Result]) -> None:
    """Write what there is so far, so that whoever ends a sweep early keeps it.

    Args:
        asked: as it was typed.
        results: so far; the last one is new.

    Raises:
        InputError: it cannot be written.
    """
    if asked.output is None:
        return
    if is_file(asked.output):
        write_bytes(asked.output, files.dumps_all(results).encode())
        return
    asked.output.mkdir(exist_ok=True)
    files.write(asked.output, results[-1])


def keep_or_tell(asked: Asked, results: Sequence[Result], failures: list[str]) -> None:
    """Write what there is so far; where that fails, note why, and let what was measured be printed all the same.

    Args:
        asked: as it was typed.
        results: so far; the last one is new.
        failures: a sentence is added.
    """
    try:
        keep(asked, results)
    except (EdgekitError, OSError) as error:
        # The disk is full, most likely.
        failures.append(f"-o {asked.output}: {error}")


def show(asked: Asked, results: Sequence[Result], matrix: Matrix | None = None) -> None:
    """Print results, and write the reports.

    Args:
        asked: as it was typed.
        results: at least one.
        matrix: of all variants, where that was asked for.

    Raises:
        InputError: a report cannot be written.
        MissingDependencyError: the library that draws is not installed.
    """
    # Printed first: what was measured must not be lost with a report that cannot be written.
    click.echo(files.dumps_all(results) if asked.as_json else "\n".join(_lines(results)) + "\n", nl=False)
    from edgekit.benchmarks.report.write import write

    for path in asked.reports:
        write(path, results, f"edgekit bench: {results[0].subject.bundle}", matrix)


def write_side_by_side(asked: Asked, found: Versus) -> None:
    """Write each report of contenders in turns.

    Args:
        asked: as it was typed.
        found: the comparison.

    Raises:
        InputError: one cannot be written.
        MissingDependencyError: the library that draws is not installed.
    """
    from edgekit.benchmarks.report import html

    for path in asked.reports:
        write_bytes(path, html.render((), f"edgekit bench: {found.subject.name}", versus=(found,)).encode())


def good(asked: Asked, results: Sequence[Result]) -> bool:
    """Say whether the command may exit with 0."""
    return not asked.require_valid or all(result.verdict == "VALID" for result in results)


@contextmanager
def live() -> Iterator[Callable[[Event], None]]:
    """Show what goes on while a terminal is there, and nothing in a pipe.

    Yields:
        What to call with each event.
    """
    from edgekit.benchmarks.remote import telling
    from edgekit.benchmarks.report.live import Live

    if os.environ.get(telling.VARIABLE):
        yield telling.teller(sys.stderr)
        return
    with Live(sys.stderr) as view:
        yield view.on_event


def _lines(results: Sequence[Result]) -> Iterator[str]:
    """Tell one result in full; several in one table, and each reason once with the runs that it is of."""
    from edgekit.benchmarks.report import cells, names, table, text

    if len(results) == 1:
        yield text.summary(results[0])
        for profile in results[0].profiles:
            yield from _profile(profile)
        return
    yield from cells.aligned([table.HEADS, *table.rows(results)], 1)
    labels = names.labels(results)
    for reason in dict.fromkeys(reason for result in results for reason in result.reasons):
        of = [label for label, result in zip(labels, results, strict=True) if reason in result.reasons]
        yield cells.printable(f"INVALID  {'every run' if len(of) == len(results) else '; '.join(of)}: {reason}")


def _profile(found: Profile) -> Iterator[str]:
    """Tell where a tower's time goes: its parts, then the operators that take the most."""
    from edgekit.benchmarks.report import cells, numbers

    def rows(times: Sequence[PartTime]) -> list[tuple[str, ...]]:
        return [(t.name, str(t.nodes), numbers.number(t.ms), numbers.percent(t.share)) for t in times]

    yield f"\n{found.tower} tower under the profiler of {found.runtime}: {numbers.number(found.ms)} ms an inference"
    yield from cells.aligned([("part", "nodes", "ms", "share"), *rows(found.parts)], 1)
    yield from cells.aligned([("operator", "nodes", "ms", "share"), *rows(found.ops[:_TOP])], 1)


def _check_folder(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot write into {folder}")
