"""Pictures of what is given for what: fidelity or size for time, and latency for throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.report import names, numbers
from edgekit.benchmarks.report.chart import COLOURS, MUTED, SYMBOLS, TEXT, Chart, layout, legend, plain, titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of points that no other beats.

    Args:
        points: pairs of which less is better in both.

    Returns:
        Indices in rising order of the first number; of equal points, all.
    """
    return sorted(
        (i for i, p in enumerate(points) if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)),
        key=lambda i: points[i],
    )


def pareto(results: Sequence[Result]) -> list[Chart]:
    """Draw, for each device and kind of work, time against fidelity, or against size where fidelity is unknown.

    Args:
        results: of the report.

    Returns:
        A picture for each device and work with at least two variants or runtimes.
    """
    charts = []
    for place, members in _groups(results, _place).items():
        kinds = {(results[i].subject.variant, results[i].subject.runtime) for i in members}
        if len(kinds) > 1:
            runs = [results[i] for i in members]
            charts.append(_pareto(place, list(zip(names.labels(runs), runs, strict=True))))
    return charts


def curve(results: Sequence[Result]) -> Chart | None:
    """Draw throughput against latency of what was run with several batches, threads, streams or rates.

    Args:
        results: of the report.

    Returns:
        The picture; None where nothing was run at more than one setting.
    """
    groups = {k: g for k, g in _groups(results, _series).items() if len({_setting(results[i]) for i in g}) > 1}
    if not groups:
        return None
    data: list[dict[str, Any]] = []
    rows = []
    best: list[str] = []
    for number, (name, members) in enumerate(groups.items()):
        runs = sorted((results[i] for i in members), key=lambda r: r.throughput.value)
        data += _curve(name if len(groups) > 1 else "", runs, number)
        rows += [_curve_row(name, run) for run in runs]
        top = runs[-1]
        best.append(
            f"{name}: at most {numbers.number(top.throughput.value)} samples a second with {_varied(runs)[-1]}, where"
            f" the median is {numbers.number(top.p50)} ms and p99 {numbers.number(top.p99)} ms"
        )
    drawn = layout({"title": titled("samples a second")}, {"title": titled("ms"), "rangemode": "tozero"})
    drawn["showlegend"] = True
    heads = ("run", "setting", "throughput, /s", "p50, ms", "p99, ms", "verdict")
    return Chart("Throughput and latency", f"{'; '.join(best)}.", data, drawn, 360, heads, rows)


def _pareto(place: str, members: list[tuple[str, Result]]) -> Chart:
    known = [(label, r) for label, r in members if r.accuracy.agreement is not None]
    by_fidelity = len(known) > 1
    shown = known if by_fidelity else members
    heights = [_height(r, by_fidelity) for _, r in shown]
    valid = [i for i, (_, r) in enumerate(shown) if r.verdict == "VALID"]
    points = [(shown[i][1].p50, -heights[i] if by_fidelity else heights[i]) for i in valid]
    best = [valid[i] for i in front(points)]
    order = sorted(range(len(shown)), key=lambda i: (shown[i][1].p50, i))
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [shown[i][1].p50 for i in best],
            "y": [heights[i] for i in best],
            "line": {"color": MUTED, "dash": "dot", "width": 1.5},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    for i, (label, result) in enumerate(shown):
        # Above and below in turns, so that names of neighbours do not lie on each other.
        side = "bottom center" if order.index(i) % 2 else "top center"
        data.append(_point(label, result, heights[i], i, i in best) | {"textposition": side})
    what = "first answer as the float model's, %" if by_fidelity else "size, MB"
    drawn = layout({"title": titled("p50, ms")}, {"title": titled(what)})
    least, most = min(r.p50 for _, r in shown), max(r.p50 for _, r in shown)
    pad = max((most - least) * 0.18, most * 0.04)
    drawn["xaxis"]["range"] = [max(0.0, least - pad), most + 1.4 * pad]
    names_of_best = ", ".join(f"{shown[i][0]} ({numbers.number(shown[i][1].p50)} ms)" for i in best) or "none"
    caption = f"{place}. No other run is both faster and {'truer' if by_fidelity else 'smaller'} than: {names_of_best}."
    left_out = len(members) - len(shown)
    caption += f" {left_out} without a fidelity record are not drawn." if left_out else ""
    caption += " Hollow points are INVALID and beat nothing." if len(valid) < len(shown) else ""
    rows = [
        (
            label,
            numbers.number(r.p50),
            _fidelity(r),
            numbers.size(r.subject.size),
            "yes" if i in best else "",
            r.verdict,
        )
        for i, (label, r) in enumerate(shown)
    ]
    title = "Time and fidelity" if by_fidelity else "Time and size"
    return Chart(title, caption, data, drawn, 340, ("run", "p50, ms", "fidelity", "size", "front", "verdict"), rows)


def _point(label: str, result: Result, height: float, number: int, best: bool) -> dict[str, Any]:
    colour, symbol = COLOURS[number % len(COLOURS)], SYMBOLS[number % len(SYMBOLS)]
    valid, size = result.verdict == "VALID", numbers.size(result.subject.size)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": legend(label),
        "x": [result.p50],
        "y": [height],
        "text": [legend(label)],
        "textfont": {"size": 12, "color": TEXT},
        "cliponaxis": False,
        "marker": {
            "color": colour,
            "symbol": symbol if valid else f"{symbol}-open",
            "size": 15 if best else 11,
            "line": {"color": TEXT if best else colour, "width": 2 if best or not valid else 0},
        },
        "hovertemplate": f"%{{x:.4g}} ms, %{{y:.4g}}, {size}<extra>{legend(label)}</extra>",
    }


def _curve(name: str, runs: Sequence[Result], number: int) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    told = [plain(text) for text in _varied(runs)]
    for offset, (percentile, dash) in enumerate((("p50", "solid"), ("p99", "dash"))):
        colour = COLOURS[(2 * number + offset) % len(COLOURS)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if offset else "lines+markers+text",
                "textposition": "bottom center",
                "textfont": {"size": 11, "color": MUTED},
                "cliponaxis": False,
                "name": f"{legend(name)} {percentile}".strip(),
                "x": [run.throughput.value for run in runs],
                "y": [getattr(run, percentile) for run in runs],
                "text": told,
                "line": {"color": colour, "dash": dash, "width": 2},
                "marker": {"color": colour, "size": 9, "symbol": SYMBOLS[number % len(SYMBOLS)]},
                "hovertemplate": f"%{{text}}: %{{x:.4g}} a second, {percentile} %{{y:.4g}} ms<extra></extra>",
            }
        )
    return traces


def _curve_row(name: str, run: Result) -> tuple[str, ...]:
    figures = (run.throughput.value, run.p50, run.p99)
    return (name, _setting(run), *map(numbers.number, figures), run.verdict)


def _groups(results: Sequence[Result], key: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, result in enumerate(results):
        found.setdefault(key(result), []).append(index)
    return found


def _place(result: Result) -> str:
    mode = result.context.device.power_mode
    where = f"{names.device(result.context.device)}{f', {mode}' if mode else ''}"
    return f"{where}, {names.work(result.plan)}, {names.settings(result.plan)}"


def _series(result: Result) -> str:
    subject = result.subject
    who = f"{subject.bundle} {subject.variant} on {subject.runtime}, {names.device(result.context.device)}"
    return f"{who}, {result.plan.scenario}, {names.work(result.plan)}"


def _setting(result: Result) -> str:
    return ", ".join(_settings(result))


def _settings(result: Result) -> tuple[str, str, str, str]:
    plan = result.plan
    threads = f"{plan.threads} thread{'s' if plan.threads > 1 else ''}" if plan.threads else "the engine's threads"
    rate = f"{plan.target_qps:.4g} queries/s" if plan.target_qps else "queries as they end"
    return f"batch {plan.batch}", threads, f"{plan.streams} stream{'s' if plan.streams > 1 else ''}", rate


def _varied(runs: Sequence[Result]) -> list[str]:
    """Name each run's settings, but for those that all runs share."""
    columns = [_settings(run) for run in runs]
    told = [i for i, values in enumerate(zip(*columns, strict=True)) if len(set(values)) > 1]
    return [", ".join(parts[i] for i in told) for parts in columns]


def _height(result: Result, by_fidelity: bool) -> float:
    return (result.accuracy.agreement or 0.0) * 100 if by_fidelity else result.subject.size / 1e6


def _fidelity(result: Result) -> str:
    agreement = result.accuracy.agreement
    return numbers.UNMEASURED if agreement is None else numbers.percent(agreement)
