"""A picture of what the sensors said during a run: power, temperature, clocks, load, one band below the other."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.report.chart import COLOURS, DASHES, LINE, MUTED, Chart, axis, layout, legend, plain, titled
from edgekit.benchmarks.report.distribution import time_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.energy_records import Series
    from edgekit.benchmarks.results.records import Result

# A counter of joules only ever rises: its picture tells nothing that power and the energy of a sample do not.
_KINDS = ("power", "temperature", "clock", "load", "fan", "throttle", "memory")
_BAND, _GAP = 150, 34  # CSS pixels
POINTS = 400
"""Of a series that a picture holds: about as many as a phone's screen has pixels across."""


def sensors(result: Result) -> Chart | None:
    """Draw the series of a run over time.

    Args:
        result: of the run.

    Returns:
        The picture; None where nothing was sampled.
    """
    merged = _merged([s for s in result.series if len(s.times) > 1 and s.kind in _KINDS])
    kinds = [kind for kind in _KINDS if any(series.kind == kind for _, series in merged)]
    if not kinds:
        return None
    unit, scale = time_unit(max(series.times[-1] for _, series in merged))
    height = len(kinds) * (_BAND + _GAP) + 60
    drawn = layout({"title": titled(unit), "anchor": f"y{len(kinds) if len(kinds) > 1 else ''}"}, {})
    drawn["showlegend"] = True
    del drawn["yaxis"]
    data: list[dict[str, Any]] = []
    for place, kind in enumerate(kinds):
        band = [(name, series) for name, series in merged if series.kind == kind]
        key = "" if place == 0 else str(place + 1)
        top = 1 - place * (_BAND + _GAP) / (len(kinds) * (_BAND + _GAP) - _GAP)
        bottom = max(0.0, top - _BAND / (len(kinds) * (_BAND + _GAP) - _GAP))
        title = titled(plain(f"{kind}, {band[0][1].unit}"))
        band_axis = axis({"title": title, "domain": [round(bottom, 4), round(top, 4)]})
        # Of a temperature, 0 means nothing; elsewhere a picture from 0 on shows what is large and what is not.
        drawn[f"yaxis{key}"] = band_axis if kind == "temperature" else {**band_axis, "rangemode": "tozero"}
        for index, (name, series) in enumerate(band):
            data.append(_trace(name, series, f"y{key}", scale, len(data), index))
    if any(series.times[0] < 0 for _, series in merged):
        first = min(series.times[0] for _, series in merged) / scale
        drawn["shapes"] = [_before(first)]
    rows = [_row(series) for series in result.series if series.values]
    heads = ("series", "unit", "meter", "samples", "before", "least", "mean", "greatest", "last")
    return Chart("Sensors over time", _caption(merged), data, drawn, height, heads, rows)


def thinned(times: Sequence[float], values: Sequence[float], points: int = POINTS) -> tuple[list[float], list[float]]:
    """Leave the least and the greatest of each stretch of a long series, so that its picture stays the same.

    Args:
        times: in rising order.
        values: as many.
        points: to leave at most, at least 4.

    Returns:
        Times and values; the first and the last of each are always among them.
    """
    if len(times) <= points:
        return list(times), list(values)
    kept = {0, len(times) - 1}
    stretches = points // 2 - 1
    for stretch in range(stretches):
        part = range(len(times) * stretch // stretches, len(times) * (stretch + 1) // stretches)
        kept |= {min(part, key=values.__getitem__), max(part, key=values.__getitem__)}
    return [times[i] for i in sorted(kept)], [values[i] for i in sorted(kept)]


def _merged(found: Sequence[Series]) -> list[tuple[str, Series]]:
    """Name each series, one name for all those that are alike: eight cores have one clock more often than not."""
    groups: dict[tuple[object, ...], list[Series]] = {}
    for series in found:
        groups.setdefault((series.kind, series.unit, series.values), []).append(series)
    return [(g[0].name if len(g) == 1 else f"{g[0].name} and {len(g) - 1} like it", g[0]) for g in groups.values()]


def _trace(name: str, series: Series, band: str, scale: float, number: int, index: int) -> dict[str, Any]:
    times, values = thinned(series.times, series.values)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": legend(name),
        "x": [round(time / scale, 4) for time in times],
        "y": values,
        "xaxis": "x",
        "yaxis": band,
        "line": {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[index % len(DASHES)], "width": 1.5},
        "hovertemplate": f"%{{y:.4g}} {plain(series.unit)}<extra>{legend(name)}</extra>",
    }


def _before(first: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": first,
        "x1": 0,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": LINE,
        "opacity": 0.4,
        "line": {"width": 0},
        "layer": "below",
        "label": {"text": "before", "textposition": "top left", "font": {"size": 11, "color": MUTED}},
    }


def _caption(merged: Sequence[tuple[str, Series]]) -> str:
    parts = []
    for kind in _KINDS:
        values = [
            value
            for _, s in merged
            if s.kind == kind
            for time, value in zip(s.times, s.values, strict=True)
            if time >= 0
        ]
        unit = next((series.unit for _, series in merged if series.kind == kind), "")
        if values:
            least, greatest = numbers.number(min(values)), numbers.number(max(values))
            parts.append(f"{kind} {least} {unit}" if least == greatest else f"{kind} {least} to {greatest} {unit}")
    return f"During the measured part: {', '.join(parts)}." if parts else "All samples are from before."


def _row(series: Series) -> tuple[str, ...]:
    pairs = list(zip(series.times, series.values, strict=True))
    before = [value for time, value in pairs if time < 0]
    during = [value for time, value in pairs if time >= 0]
    cells = (
        series.name,
        series.unit,
        series.meter,
        f"{len(during):,}",
        numbers.number(fmean(before)) if before else "",
    )
    if not during:
        return (*cells, "", "", "", "")
    return (*cells, *map(numbers.number, (min(during), fmean(during), max(during), during[-1])))
