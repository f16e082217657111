"""A picture of a report: what plotly.js draws, the sentence below it, and the same figures as a table."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report.cells import printable
from edgekit.benchmarks.report.markup import escape, folded, table

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = tuple(f"var(--series-{number})" for number in range(1, 8))
"""Colours of traces. The page's script puts the values of the light or the dark scheme in their places."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
TEXT, MUTED, LINE, BAD = "var(--text)", "var(--muted)", "var(--line)", "var(--bad)"
_LEGEND = 40  # characters of a name that fit beside another one on a phone


@dataclass(frozen=True)
class Chart:
    """One picture.

    Attributes:
        title: what it shows.
        caption: the figures that matter, in a sentence or two; plain text.
        data: traces, as plotly.js takes them.
        layout: as plotly.js takes it.
        height: CSS pixels.
        heads: of the table with the same figures.
        rows: of that table, plain texts.
    """

    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def render(chart: Chart, key: str) -> str:
    """Return a picture as HTML.

    Args:
        chart: to be shown.
        key: unique in the page, of letters, digits and ``-``.

    Returns:
        A figure with its caption, its data for the script, and its table.
    """
    title = escape(chart.title)
    figure = embedded({"data": chart.data, "layout": chart.layout})
    rows = table(f"Data of: {chart.title}", chart.heads, chart.rows, css="data")
    return (
        f'<figure class="card" id="{key}"><h3>{title}</h3>'
        f'<div class="chart" role="img" aria-label="{title}. {escape(chart.caption)}" data-figure="{key}-data"'
        f' style="height:{chart.height}px"></div>'
        f'<script type="application/json" id="{key}-data">{figure}</script>'
        f"<figcaption>{escape(chart.caption)}</figcaption>{folded('Data as a table', rows, 'data')}</figure>"
    )


def embedded(value: object) -> str:
    """Write JSON that may stand inside a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plain(text: str) -> str:
    """Write a text so that plotly.js shows it as it is: it takes some HTML for markup, and ``%{`` for a value."""
    return html.escape(printable(text), quote=False).replace("%{", "% {")


def legend(text: str) -> str:
    """Write a name for a legend, shortened in its middle where it is long."""
    shown = printable(text)
    if len(shown) > _LEGEND:
        shown = f"{shown[: _LEGEND - 12]}…{shown[-11:]}"
    return plain(shown)


def layout(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """Return a layout with the report's fonts and colours around two axes.

    Args:
        x: what is particular about the x axis.
        y: what is particular about the y axis.

    Returns:
        The layout, which the caller may change.
    """
    return {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": TEXT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 48, "r": 12, "t": 12, "b": 40},
        "hoverlabel": {"bgcolor": "var(--surface)", "bordercolor": LINE, "font": {"color": TEXT}, "namelength": -1},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        "showlegend": False,
        "xaxis": axis({"tickangle": 0, "nticks": 7, **x}),
        "yaxis": axis(y),
    }


def axis(particular: dict[str, Any]) -> dict[str, Any]:
    """Return an axis with the report's colours."""
    usual = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True, "ticks": ""}
    return {**usual, **particular}


def titled(text: str) -> dict[str, Any]:
    """Return an axis' title of a smaller size."""
    return {"text": text, "font": {"size": 12, "color": MUTED}, "standoff": 8}
