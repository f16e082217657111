"""Pieces of HTML whose every text is escaped here and nowhere else."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from edgekit.benchmarks.report.cells import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def escape(text: str) -> str:
    """Return HTML that shows the text as it is, in elements and in quoted attributes alike."""
    return html.escape(printable(text), quote=True)


def element(name: str, text: str, css: str = "") -> str:
    """Return an element that holds a text.

    Args:
        name: of the element.
        text: plain, to be escaped.
        css: its class; empty for none.

    Returns:
        The element.
    """
    return f"<{name}{_css(css)}>{escape(text)}</{name}>"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, css: str = "") -> str:
    """Return a table that scrolls sideways by itself where the screen is narrow.

    Args:
        caption: what it holds, for those who hear it; plain text.
        heads: of the columns.
        rows: of plain texts, as many as heads; the first of each names its row.
        left: so many columns are aligned left, the others right.
        css: further class of the table.

    Returns:
        The element.
    """
    head = "".join(f'<th scope="col"{_css("" if i < left else "n")}>{escape(h)}</th>' for i, h in enumerate(heads))
    body = "".join(f"<tr>{_row(row, left)}</tr>" for row in rows)
    label = escape(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table{_css(css)}>'
        f'<caption class="hidden">{label}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms and what is said of each, plain texts both."""
    items = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in pairs)
    return f'<dl class="facts">{items}</dl>'


def badge(verdict: str) -> str:
    """Return a verdict that is told by its word and its mark, not by its colour alone."""
    mark, css = ("✓", "valid") if verdict == "VALID" else ("✗", "invalid")
    return f'<span class="badge {css}"><span aria-hidden="true">{mark}</span> {escape(verdict)}</span>'


def bullets(texts: Iterable[str]) -> str:
    """Return a list of plain texts."""
    return f"<ul>{''.join(element('li', text) for text in texts)}</ul>"


def folded(summary: str, body: str, css: str = "") -> str:
    """Return a part that opens on request.

    Args:
        summary: what is in it, plain text.
        body: HTML.
        css: its class; empty for none.

    Returns:
        The element.
    """
    return f"<details{_css(css)}><summary>{escape(summary)}</summary>{body}</details>"


def _row(row: Sequence[str], left: int) -> str:
    first, *others = row
    cells = [f'<th scope="row">{escape(first)}</th>']
    cells += [f"<td{_css('' if i < left else 'n')}>{escape(cell)}</td>" for i, cell in enumerate(others, 1)]
    return "".join(cells)


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""
