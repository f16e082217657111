"""Pictures of a device's limits and of where a tower's time goes: the roofline, and the profile by part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import names, numbers
from edgekit.benchmarks.report.chart import COLOURS, DASHES, MUTED, SYMBOLS, TEXT, Chart, layout, legend, plain, titled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeGuard

    from edgekit.benchmarks.limits.records import Profile
    from edgekit.benchmarks.results.records import Result, Roofline

_NODES = 15  # of a profile's table


def roofline(results: Sequence[Result]) -> Chart | None:
    """Draw how far the runs are from what the device can do.

    Args:
        results: of the report; those without a roofline are left out.

    Returns:
        The picture (Williams, Waterman and Patterson 2009): operations a second over operations a byte; None where no
        run has a roofline.
    """
    found = [
        (label, r.roofline) for label, r in zip(names.labels(results), results, strict=True) if _drawable(r.roofline)
    ]
    if not found:
        return None
    intensities = [roof.flops / roof.bytes for _, roof in found]
    ridges = [roof.peak_gflops / roof.bandwidth_gbs for _, roof in found]
    low = min(*intensities, *ridges) / 4
    high = max(*intensities, *ridges) * 4
    roofs = {
        (r.roofline.kind, r.roofline.peak_gflops, r.roofline.bandwidth_gbs): r for r in results if _drawable(r.roofline)
    }
    several = len({names.device(r.context.device) for r in roofs.values()}) > 1
    where = [f", {names.device(r.context.device)}" if several else "" for r in roofs.values()]
    data = [_roof(*roof, low, high, i, where[i]) for i, roof in enumerate(roofs)]
    data += [_achieved(label, roof, i) for i, (label, roof) in enumerate(found)]
    heights = [y for trace in data for y in trace["y"]]
    drawn = layout(
        {"title": titled("operations a byte"), **_logarithmic(low, high)},
        {"title": titled("10⁹ operations a second"), **_logarithmic(0.6 * min(heights), 1.6 * max(heights))},
    )
    drawn["showlegend"] = True
    nearest = max(found, key=lambda entry: entry[1].share)
    caption = (
        f"Nearest to its limit: {nearest[0]}, {numbers.percent(nearest[1].share)} of what"
        f" {_side(nearest[1])} allows here. " + "; ".join(map(_limit, roofs, where)) + "."
    )
    rows = [_roofline_row(label, roof) for label, roof in found]
    heads = (
        "run",
        "operations",
        "bytes",
        "achieved, 10⁹/s",
        "peak, 10⁹/s",
        "bandwidth, GB/s",
        "of the limit",
        "bound by",
    )
    return Chart("How far from the device's limits", caption, data, drawn, 320 + 18 * len(data), heads, rows)


def _drawable(roof: Roofline | None) -> TypeGuard[Roofline]:
    """Say whether there is a roofline whose figures have logarithms."""
    return (
        roof is not None and min(roof.flops, roof.bytes, roof.peak_gflops, roof.bandwidth_gbs, roof.achieved_gflops) > 0
    )


def profile(found: Profile) -> Chart | None:
    """Draw where the time of a tower goes, by part of the model.

    Args:
        found: the profile.

    Returns:
        The picture, with the nodes that take most in its table; None where there is no profile.
    """
    if found.reason or not found.parts:
        return None
    texts = [f"{numbers.number(part.ms)} ms, {part.share * 100:.0f} %" for part in found.parts]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [part.share * 100 for part in found.parts],
        "y": [plain(part.name) for part in found.parts],
        "text": texts,
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": TEXT},
        "marker": {"color": COLOURS[5]},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    largest = max(part.share for part in found.parts) * 100
    drawn = layout(
        {"title": titled("% of an inference"), "range": [0, largest * 1.3]},
        {"autorange": "reversed", "showgrid": False, "type": "category"},
    )
    top = found.parts[0]
    caption = (
        f"{found.bundle} {found.variant} on {found.runtime}: {top.name} takes {numbers.percent(top.share)} of"
        f" {numbers.number(found.ms)} ms (median of {found.runs:,} inferences of {found.batch} with the profiler on);"
        f" {numbers.number(found.overhead)} ms belong to no node."
    )
    rows = [(p.name, "part", "", f"{p.nodes:,}", numbers.number(p.ms), numbers.percent(p.share)) for p in found.parts]
    rows += [
        (o.name, "operator", "", f"{o.nodes:,}", numbers.number(o.ms), numbers.percent(o.share)) for o in found.ops
    ]
    rows += [
        (n.name, "node", " ".join((n.op, n.part, n.block)).strip(), "1", numbers.number(n.ms), numbers.percent(n.share))
        for n in found.nodes[:_NODES]
    ]
    title = f"Profile of the {found.tower} tower"
    heads = ("name", "is", "of", "nodes", "ms", "share")
    return Chart(title, caption, [trace], drawn, 70 + 36 * len(found.parts), heads, rows)


def _roof(kind: str, peak: float, bandwidth: float, low: float, high: float, number: int, where: str) -> dict[str, Any]:
    ridge = peak / bandwidth
    return {
        "type": "scatter",
        "mode": "lines",
        "name": legend(f"limit, {kind}{where}"),
        "x": [low, ridge, high],
        "y": [low * bandwidth, peak, peak],
        "line": {"color": MUTED, "width": 2, "dash": DASHES[number % len(DASHES)]},
        "hovertemplate": "%{y:.4g}·10⁹ a second at %{x:.3g} a byte<extra></extra>",
    }


def _achieved(label: str, roof: Roofline, number: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": legend(label),
        "x": [roof.flops / roof.bytes],
        "y": [roof.achieved_gflops],
        "marker": {
            "color": COLOURS[number % len(COLOURS)],
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "size": 12,
        },
        "hovertemplate": f"%{{y:.4g}}·10⁹ a second, {numbers.percent(roof.share)}<extra>{legend(label)}</extra>",
    }


def _logarithmic(low: float, high: float) -> dict[str, Any]:
    """Return an axis whose marks are written out: plotly.js would write single digits between the powers of ten."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [step * 10.0**power for power in powers for step in steps]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": marks,
        "ticktext": [f"{mark:g}" for mark in marks],
    }


def _side(roof: Roofline) -> str:
    return "arithmetic" if roof.bound == "compute" else "memory"


def _limit(roof: tuple[str, float, float], where: str) -> str:
    kind, peak, bandwidth = roof
    return f"{kind}{where}: {numbers.number(peak)}·10⁹ operations and {numbers.number(bandwidth)} GB a second, measured"


def _roofline_row(label: str, roof: Roofline) -> tuple[str, ...]:
    return (
        label,
        f"{numbers.number(roof.flops / 1e9)}·10⁹",
        numbers.size(int(roof.bytes)),
        numbers.number(roof.achieved_gflops),
        f"{numbers.number(roof.peak_gflops)} ({roof.kind})",
        numbers.number(roof.bandwidth_gbs),
        numbers.percent(roof.share),
        _side(roof),
    )
