"""Pictures of one run's latency: its distribution, and its course over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import numbers, sentences
from edgekit.benchmarks.report.chart import COLOURS, MUTED, TEXT, Chart, layout, titled

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Latency, Minute, Result

_TAIL = 1.25  # the axis ends so far behind the 99th percentile's upper end
_WIDE = 1.5  # times as wide as the bin before it: a bin of all the tail


def histogram(result: Result) -> Chart | None:
    """Draw the distribution of latencies.

    Args:
        result: of the run.

    Returns:
        The picture; None where the result holds no histogram.
    """
    found = result.latency
    bins = _bins(found)
    if not bins:
        return None
    end = min(bins[-1][1], found.p99.high * _TAIL)
    shown = [entry for entry in bins if entry[0] < end]
    # One bin for all of the tail: as high as its count, over its whole width, it would look like most of the queries.
    if len(shown) > 2 and _width(shown[-1]) > _WIDE * _width(shown[-2]):
        shown.pop()
    beyond = sum(count for _, _, count in bins[len(shown) :])
    # Each bin twice, at both of its ends: a step that needs no rule for the last bin, on any kind of axis.
    x = [edge for low, high, _ in shown for edge in (low, high)]
    y = [count for _, _, count in shown for _ in range(2)]
    texts = [_bin_text(low, high, count) for low, high, count in shown for _ in range(2)]
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "fill": "tozeroy",
        "line": {"color": COLOURS[0], "width": 1.5},
    }
    drawn = layout({"title": titled("milliseconds")}, {"title": titled("queries"), "rangemode": "tozero"})
    marks = [("p50", found.p50.value), ("p90", found.p90.value), ("p99", found.p99.value)]
    drawn["shapes"] = [_line(value) for _, value in marks]
    drawn["annotations"] = [_mark(name, value, 1 - 0.11 * i) for i, (name, value) in enumerate(marks)]
    caption = (
        f"Half of {found.n:,} queries took at most {numbers.estimate(found.p50, 'ms')}, nine of ten"
        f" {numbers.estimate(found.p90, 'ms')}, 99 of 100 {numbers.estimate(found.p99, 'ms')};"
        f" fastest {numbers.number(found.least)} ms, slowest {numbers.number(found.greatest)} ms."
    )
    if beyond:
        verb = "query is" if beyond == 1 else "queries are"
        caption += f" {beyond:,} slower {verb} not drawn."
    rows = [(numbers.number(low), numbers.number(high), f"{count:,}") for low, high, count in bins if count]
    return Chart("Latency", caption, [trace], drawn, 300, ("from, ms", "to, ms", "queries"), rows)


def course(result: Result) -> Chart | None:
    """Draw the latency over the measured part.

    Args:
        result: of the run.

    Returns:
        The picture; None where the run is not long enough for two intervals.
    """
    minutes = result.minutes
    if len(minutes) < 2:
        return None
    unit, scale = time_unit(minutes[-1].start + minutes[-1].seconds)
    x = [round((minute.start + minute.seconds / 2) / scale, 4) for minute in minutes]
    data = [
        _course("p99", x, [minute.p99 for minute in minutes], COLOURS[1], "dash"),
        _course("p50", x, [minute.p50 for minute in minutes], COLOURS[0], "solid"),
    ]
    drawn = layout({"title": titled(unit), "rangemode": "tozero"}, {"title": titled("ms"), "rangemode": "tozero"})
    drawn["showlegend"] = True
    least, most = (numbers.number(end(minute.p50 for minute in minutes)) for end in (min, max))
    moved = f"stayed at {least} ms" if least == most else f"moved between {least} and {most} ms"
    caption = (
        f"The median {moved} over {len(minutes)} intervals; the last fifth of the run took"
        f" {sentences.drift(result)} times as long as the first."
    )
    rows = [_course_row(minute) for minute in minutes]
    heads = ("from, s", "to, s", "queries", "p50, ms", "p99, ms", "resident, MiB")
    return Chart("Latency over time", caption, data, drawn, 300, heads, rows)


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit of a time axis that ends at `seconds`, and how many seconds it has."""
    return ("minutes", 60.0) if seconds > 300 else ("seconds", 1.0)


def _bins(found: Latency) -> list[tuple[float, float, int]]:
    low = found.least
    bins = []
    for high, count in found.histogram:
        if high > low:
            bins.append((low, high, count))
            low = high
    return bins


def _width(entry: tuple[float, float, int]) -> float:
    return entry[1] - entry[0]


def _bin_text(low: float, high: float, count: int) -> str:
    return f"{count:,} queries of {numbers.number(low)} to {numbers.number(high)} ms"


def _line(value: float) -> dict[str, Any]:
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _mark(name: str, value: float, height: float) -> dict[str, Any]:
    return {
        "x": value,
        "y": height,
        "yref": "paper",
        "yanchor": "top",
        "xanchor": "left",
        "xshift": 2,
        "text": f"{name} {numbers.number(value)}",
        "showarrow": False,
        "font": {"size": 12, "color": TEXT},
    }


def _course(name: str, x: list[float], y: list[float], colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"color": colour, "size": 6},
        "hovertemplate": f"{name} %{{y:.4g}} ms<extra></extra>",
    }


def _course_row(minute: Minute) -> tuple[str, ...]:
    start, end = numbers.number(minute.start), numbers.number(minute.start + minute.seconds)
    figures = map(numbers.number, (minute.p50, minute.p99, minute.rss))
    return (start, end, f"{minute.queries:,}", *figures)
