"""Runs as CSV, one row each, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from edgekit.benchmarks.report.columns import Cell, row
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(results: Sequence[Result]) -> str:
    """Write runs as CSV.

    Args:
        results: at least one.

    Returns:
        UTF-8 text as RFC 4180 has it, a header and a row for each run; the columns are those of `columns.row`. Numbers
        are whole, ``true`` and ``false`` are booleans, an empty cell is unmeasured. A text that a spreadsheet would run
        as a formula has an apostrophe before it.

    Raises:
        InputError: there is no result.
    """
    if not results:
        raise InputError("a table needs at least one result")
    rows = [row(result) for result in results]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(rows[0])
    writer.writerows([_shown(cell) for cell in cells.values()] for cells in rows)
    return stream.getvalue()


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return str(cell)
