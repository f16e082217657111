"""Pictures of all runs side by side: how fast, where the time goes, what energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import names, numbers
from edgekit.benchmarks.report.chart import COLOURS, TEXT, Chart, layout, legend, plain, titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Estimate, Result

_INVALID = " ✗"


def latency(results: Sequence[Result]) -> Chart | None:
    """Draw median and 99th percentile of every run.

    Args:
        results: of the report.

    Returns:
        The picture; None for fewer than two runs.
    """
    if len(results) < 2:
        return None
    labels = names.labels(results)
    ticks = _ticks(results, labels)
    data = [
        _points("p50", ticks, [r.latency.p50 for r in results], COLOURS[0], "circle"),
        _points("p99", ticks, [r.latency.p99 for r in results], COLOURS[1], "diamond"),
    ]
    drawn = _lying(ticks, {"title": titled("ms"), "rangemode": "tozero"})
    drawn["showlegend"] = True
    order = sorted(range(len(results)), key=lambda i: results[i].p50)
    best, worst = order[0], order[-1]
    caption = (
        f"Fastest: {labels[best]}, {numbers.estimate(results[best].latency.p50, 'ms')} in the median; slowest:"
        f" {labels[worst]}, {numbers.estimate(results[worst].latency.p50, 'ms')}"
        f"{_ratio(results[worst].p50, results[best].p50)}.{_note(results)}"
    )
    rows = [
        (label, *(numbers.spread(e.value, e.low, e.high) for e in (r.latency.p50, r.latency.p90, r.latency.p99)))
        for label, r in zip(labels, results, strict=True)
    ]
    heads = ("run", "p50, ms", "p90, ms", "p99, ms")
    return Chart("Latency of each run", caption, data, drawn, _height(len(results)), heads, rows)


def energy(results: Sequence[Result]) -> Chart | None:
    """Draw the energy of a sample of every run that measured it.

    Args:
        results: of the report.

    Returns:
        The picture; None for fewer than two runs with energy.
    """
    pairs = list(zip(names.labels(results), results, strict=True))
    measured = [(label, r, r.energy.per_inference) for label, r in pairs if r.energy.per_inference is not None]
    if len(measured) < 2:
        return None
    values = [joules * 1000 for _, _, joules in measured]
    ends = [
        ((r.energy.per_inference_low or j) * 1000, (r.energy.per_inference_high or j) * 1000) for _, r, j in measured
    ]
    ticks = _ticks([r for _, r, _ in measured], [label for label, _, _ in measured])
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": ticks,
        "marker": {"color": COLOURS[2]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, (_, high) in zip(values, ends, strict=True)],
            "arrayminus": [value - low for value, (low, _) in zip(values, ends, strict=True)],
            "color": TEXT,
            "thickness": 1.5,
        },
        "hovertemplate": "%{y}: %{x:.4g} mJ<extra></extra>",
    }
    drawn = _lying(ticks, {"title": titled("mJ a sample, idle power included"), "rangemode": "tozero"})
    label, run, least = min(measured, key=lambda entry: entry[2])
    scopes = sorted({names.scope(r.energy.scope) for _, r, _ in measured})
    caption = (
        f"Least: {label}, {numbers.quantity(least, 'J')} a {names.sample(run.plan)}. Measured: {', '.join(scopes)}."
    )
    if len(scopes) > 1:
        caption += " Sensors that see different parts of a device must not be compared."
    rows = [
        (
            label,
            numbers.quantity(joules, "J"),
            f"{numbers.quantity(low / 1000, 'J')} to {numbers.quantity(high / 1000, 'J')}",
            numbers.UNMEASURED if r.energy.above_idle is None else numbers.quantity(r.energy.above_idle, "J"),
            numbers.UNMEASURED if r.energy.watts is None else numbers.quantity(r.energy.watts, "W"),
            f"{r.energy.meter} {r.energy.rail}, {names.scope(r.energy.scope)}",
        )
        for (label, r, joules), (low, high) in zip(measured, ends, strict=True)
    ]
    heads = ("run", "a sample", "95 % interval", "above idle", "power", "sensor")
    return Chart("Energy of each run", caption, [trace], drawn, _height(len(measured)), heads, rows)


def stages(results: Sequence[Result]) -> Chart | None:
    """Draw the parts of a query for every run, one after another.

    Args:
        results: of the report.

    Returns:
        The picture; None for fewer than two runs whose queries have parts.
    """
    pairs = [(label, r) for label, r in zip(names.labels(results), results, strict=True) if len(r.stages) > 1]
    if len(pairs) < 2:
        return None
    parts = list(dict.fromkeys(name for _, r in pairs for name in r.stages))
    ticks = _ticks([r for _, r in pairs], [label for label, _ in pairs])
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": plain(part),
            "x": [r.stages[part].p50 if part in r.stages else 0.0 for _, r in pairs],
            "y": ticks,
            "marker": {"color": COLOURS[i % len(COLOURS)], "line": {"color": "var(--bg)", "width": 1}},
            "hovertemplate": "%{y}: %{x:.4g} ms<extra>" + plain(part) + "</extra>",
        }
        for i, part in enumerate(parts)
    ]
    drawn = _lying(ticks, {"title": titled("ms, medians of the parts")})
    drawn |= {"barmode": "stack", "showlegend": True}
    drawn["legend"]["traceorder"] = "normal"
    shares = [(r.stages["inference"].share, label) for label, r in pairs if "inference" in r.stages]
    caption = "Medians of each part of a query, one after another."
    if shares:
        (least, where), (most, there) = min(shares), max(shares)
        if f"{least:.2f}" == f"{most:.2f}":
            caption += f" Inference is {least * 100:.0f} % of a query in every run."
        else:
            caption += f" Inference is {least * 100:.0f} % of a query ({where}) to {most * 100:.0f} % ({there})."
    heads = ("run", *(f"{part}, ms" for part in parts))
    rows = [
        (label, *(numbers.number(r.stages[part].p50) if part in r.stages else "" for part in parts))
        for label, r in pairs
    ]
    return Chart("Where the time goes in each run", caption, data, drawn, _height(len(pairs)), heads, rows)


def _ratio(worst: float, best: float) -> str:
    return f", {worst / best:.3g} times as long" if best > 0 else ""


def _points(name: str, ticks: list[str], found: list[Estimate], colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [estimate.value for estimate in found],
        "y": ticks,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [estimate.high - estimate.value for estimate in found],
            "arrayminus": [estimate.value - estimate.low for estimate in found],
            "color": colour,
        },
        "hovertemplate": f"%{{y}}: {name} %{{x:.4g}} ms<extra></extra>",
    }


def _ticks(results: Sequence[Result], labels: Sequence[str]) -> list[str]:
    """Return names for an axis; shortened ones that became alike get their number."""
    shown = [
        legend(label) + (_INVALID if r.verdict == "INVALID" else "") for r, label in zip(results, labels, strict=True)
    ]
    return [text if shown.count(text) == 1 else f"{i + 1}: {text}" for i, text in enumerate(shown)]


def _note(results: Sequence[Result]) -> str:
    count = sum(result.verdict == "INVALID" for result in results)
    return f" {count} marked ✗ {'is' if count == 1 else 'are'} INVALID." if count else ""


def _lying(ticks: list[str], x: dict[str, Any]) -> dict[str, Any]:
    """Return a layout of lying rows, each with its name above it: on a phone there is no room beside."""
    rows = {"type": "category", "showticklabels": False, "range": [len(ticks) - 0.5, -0.65], "showgrid": False}
    drawn = layout(x, rows)
    drawn["margin"]["l"] = 8
    drawn["bargap"] = 0.66
    above = {"x": 0, "xref": "paper", "xanchor": "left", "yshift": 17, "showarrow": False, "font": {"size": 12}}
    drawn["annotations"] = [{**above, "y": place, "text": text} for place, text in enumerate(ticks)]
    return drawn


def _height(count: int) -> int:
    return 110 + 44 * count
