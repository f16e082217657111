"""Tables of text cells: aligned for a terminal, and as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS = re.compile(r"([\\`*_{}\[\]<>|~#$@!&])")
# Before what makes a list or a rule of a line that begins with it.
_BEGINS = re.compile(r"^([0-9]{1,9}(?=[.)](?: |$))|(?=[-+](?:[ -]|$)))")


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Align columns with spaces.

    Args:
        rows: of as many cells each; the first holds the heads.
        left: so many columns are aligned left, and the last one; the others right.

    Returns:
        One line a row, without spaces at its end.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left or i == len(widths) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(map(printable, row), widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def markdown_table(rows: Sequence[Sequence[str]], left: int, raw: Sequence[int] = ()) -> str:
    """Write a Markdown table.

    Args:
        rows: of as many cells each; the first holds the heads.
        left: so many columns are aligned left; the others right.
        raw: columns whose cells are Markdown already.

    Returns:
        Lines without a final newline; every other cell shows as the text it is.
    """
    head, *body = ([cell if i in raw else markdown(cell) for i, cell in enumerate(row)] for row in rows)
    marks = ["---" if i < left else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, marks, *body])


def markdown(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line, and nobody is notified by a name in it.

    Args:
        text: any.

    Returns:
        Markdown that is the same text wherever it stands, at the begin of a line too; without spaces around it, which
        Markdown does not show, and four of which would make code of it.
    """
    return _BEGINS.sub(r"\1\\", _MARKS.sub(r"\\\1", printable(text).strip(" ")))


def printable(text: str) -> str:
    """Replace what would break a line or steer a terminal by a question mark."""
    return "".join(c if c.isprintable() else "?" for c in text)
