"""Pictures of where time goes: the parts of a query, and what comes before the first answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.report.chart import COLOURS, TEXT, Chart, layout, plain, titled

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Result


def stages(result: Result) -> Chart | None:
    """Draw the parts of a query.

    Args:
        result: of the run.

    Returns:
        The picture; None where a query has fewer than two parts.
    """
    found = result.stages
    if len(found) < 2:
        return None
    names = list(found)
    largest = max(names, key=lambda name: found[name].share)
    trace = _bars(names, [found[n].share * 100 for n in names], [_stage_text(result, n) for n in names])
    drawn = _lying({"title": titled("% of a query's mean time"), "range": [0, 118]})
    rest = 1 - sum(stage.share for stage in found.values())
    outside = f" {numbers.percent(rest)} is between the parts." if rest > 0.0005 else ""
    caption = (
        f"Most of it is {largest}: {numbers.percent(found[largest].share)} of a query,"
        f" {numbers.number(found[largest].p50)} ms in the median.{outside}"
    )
    heads = ("part", "share", "p50, ms", "p90, ms", "p99, ms")
    rows = [
        (name, numbers.percent(stage.share), *map(numbers.number, (stage.p50, stage.p90, stage.p99)))
        for name, stage in found.items()
    ]
    return Chart("Where a query's time goes", caption, [trace], drawn, 70 + 40 * len(names), heads, rows)


def phases(result: Result) -> Chart:
    """Draw the way to the first answer.

    Args:
        result: of the run.

    Returns:
        The picture: import, load, preparation and first query one after another, and a warm query for comparison.
    """
    found = result.phases
    steps = [("import", found.import_ms), ("load", found.load_ms), ("first query", found.first_ms)]
    if found.prepare_ms:
        steps.insert(2, ("inputs", found.prepare_ms))
    total = sum(value for _, value in steps)
    starts = [sum(value for _, value in steps[:i]) for i in range(len(steps))]
    texts = [f"{numbers.number(value)} ms" for _, value in steps]
    trace = _bars([name for name, _ in steps], [value for _, value in steps], texts)
    trace["base"] = starts
    trace["hovertemplate"] = "%{y}: %{text}<extra></extra>"
    drawn = _lying({"title": titled("ms since the process began"), "range": [0, total * 1.18]})
    slower = f", {found.first_ms / found.warm_ms:.2g} times a warm one" if found.warm_ms > 0 else ""
    caption = (
        f"The first answer is there {numbers.quantity(total / 1000, 's')} after the process began; the first query"
        f" takes {numbers.number(found.first_ms)} ms{slower} ({numbers.number(found.warm_ms)} ms, median of"
        f" {found.warm_queries:,})."
    )
    rows = [(name, numbers.number(value)) for name, value in (*steps, ("together", total), ("warm", found.warm_ms))]
    return Chart("Cold start", caption, [trace], drawn, 70 + 40 * len(steps), ("phase", "ms"), rows)


def _stage_text(result: Result, name: str) -> str:
    stage = result.stages[name]
    return f"{numbers.number(stage.p50)} ms, {stage.share * 100:.0f} %"


def _bars(names: list[str], values: list[float], texts: list[str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": [plain(name) for name in names],
        "text": texts,
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": TEXT},
        "marker": {"color": [COLOURS[i % len(COLOURS)] for i in range(len(names))]},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }


def _lying(x: dict[str, Any]) -> dict[str, Any]:
    """Return a layout for bars that lie, the first of them on top."""
    drawn = layout(x, {"autorange": "reversed", "showgrid": False, "type": "category"})
    drawn["bargap"] = 0.35
    return drawn
