"""Write a report in the form that its file's name asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.versus.records import Matrix

SUFFIXES = (".html", ".md", ".csv")


def write(path: Path, results: Sequence[Result], title: str, matrix: Matrix | None = None) -> None:
    """Write a report, whole or not at all.

    Args:
        path: a file whose name ends in one of `SUFFIXES`; its folder must exist.
        results: at least one.
        title: of the report; CSV has none.
        matrix: of all variants, which HTML shows.

    Raises:
        InputError: the name ends otherwise, there is no result, or the file cannot be written.
        MissingDependencyError: HTML is asked for, and plotly is not installed.
    """
    from edgekit.benchmarks.report import csv_table, html, markdown

    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: the name of a report ends in {', '.join(SUFFIXES)}")
    if path.suffix == ".csv":
        text = csv_table.render(results)
    elif path.suffix == ".md":
        text = markdown.render(results, title)
    else:
        profiles = [profile for result in results for profile in result.profiles]
        text = html.render(results, title, profiles=profiles, matrix=matrix)
    write_bytes(path, text.encode())
