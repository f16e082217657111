"""A picture of contenders in one interleaved run: ratios of time with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.report.chart import COLOURS, MUTED, Chart, layout, legend, titled

if TYPE_CHECKING:
    from edgekit.benchmarks.versus.records import Agreement, Comparison, Side, Versus


def versus(found: Versus) -> Chart:
    """Draw how many times as long the others take.

    Args:
        found: the side-by-side run.

    Returns:
        The picture; a table with each contender's time, memory and agreement.
    """
    ratios = [comparison.ratio for comparison in found.comparisons]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [ratio.value for ratio in ratios],
        "y": [legend(comparison.other) for comparison in found.comparisons],
        "marker": {"color": COLOURS[0], "size": 12, "symbol": "square"},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [ratio.high - ratio.value for ratio in ratios],
            "arrayminus": [ratio.value - ratio.low for ratio in ratios],
            "color": COLOURS[0],
            "thickness": 2,
        },
        "hovertemplate": "%{y}: %{x:.3f} times as long<extra></extra>",
    }
    low = min(1.0, *(ratio.low for ratio in ratios), 1.0)
    high = max(1.0, *(ratio.high for ratio in ratios), 1.0)
    pad = 0.08 * (high - low) + 0.02
    drawn = layout(
        {"title": titled("times as long"), "range": [max(0.0, low - pad), high + pad]},
        {"type": "category", "range": [len(ratios) - 0.5, -0.5]},
    )
    drawn["shapes"] = [
        {"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": MUTED, "dash": "dash"}}
    ]
    heads = ("contender", "p50, ms", "times as long", "first query, ms", "memory, MiB", "engine", "same embeddings")
    rows = [_row(found.subject, "1", "")]
    rows += [
        _row(side, numbers.spread(c.ratio.value, c.ratio.low, c.ratio.high), _agreement(c.agreement))
        for side, c in zip(found.others, found.comparisons, strict=True)
    ]
    name = f"{found.subject.name} beside {', '.join(side.name for side in found.others)}"
    return Chart(name, sentence(found), [trace], drawn, 110 + 44 * len(ratios), heads, rows)


def sentence(found: Versus) -> str:
    """Say how a side-by-side run came out, in plain words with intervals."""
    parts = [_said(comparison) for comparison in found.comparisons]
    work = {"photo": "photo to embedding", "image": "pixels to embedding", "text": "text to embedding"}[found.pipeline]
    verdict = f"INVALID: {'; '.join(found.reasons)}" if found.verdict == "INVALID" else found.verdict
    return (
        f"{found.subject.name} ({found.subject.opened.model}), {work}: {numbers.estimate(found.subject.p50, 'ms')} in"
        f" the median; {'; '.join(parts)}. Interleaved, {found.rounds:,} rounds of {found.queries:,} queries each on"
        f" {found.data}; {verdict}."
    )


def _said(comparison: Comparison) -> str:
    ratio = comparison.ratio
    shown = numbers.spread(ratio.value, ratio.low, ratio.high)
    if ratio.low <= 1 <= ratio.high:
        return f"{comparison.other} takes {shown} times as long, no difference that can be told from noise"
    return f"{comparison.other} takes {shown} times as long"


def _row(side: Side, ratio: str, agreement: str) -> tuple[str, ...]:
    return (
        side.name,
        numbers.spread(side.p50.value, side.p50.low, side.p50.high),
        ratio,
        numbers.number(side.first_ms),
        numbers.UNMEASURED if side.rss_peak is None else numbers.number(side.rss_peak),
        f"{side.opened.engine} ({side.opened.device})",
        agreement,
    )


def _agreement(found: Agreement) -> str:
    if found.cosine_min is None:
        return found.reason
    return f"cosine {found.cosine_min:.4f} at least (n={found.n})"
