"""A report as one HTML file that needs nothing else: no network, no fonts, no other files."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from edgekit.benchmarks.report import limits, names, overview, sentences, table, tradeoff
from edgekit.benchmarks.report.chart import render as render_chart
from edgekit.benchmarks.report.markup import badge, bullets, element, escape, facts
from edgekit.benchmarks.report.markup import table as html_table
from edgekit.benchmarks.report.run_section import run_section
from edgekit.benchmarks.report.script import SCRIPT
from edgekit.benchmarks.report.side_by_side import sentence as versus_sentence
from edgekit.benchmarks.report.side_by_side import versus as versus_chart
from edgekit.benchmarks.report.style import CSS
from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.limits.records import Profile
    from edgekit.benchmarks.report.chart import Chart
    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.versus.records import Matrix, Row, Versus

_OPEN = 3  # runs whose details are shown without being asked for


def render(
    results: Sequence[Result],
    title: str = "Benchmark",
    *,
    versus: Sequence[Versus] = (),
    profiles: Sequence[Profile] = (),
    matrix: Matrix | None = None,
) -> str:
    """Write a report.

    The same arguments give the same text. Every name in it shows as it is, whatever characters it holds; a content
    security policy lets no script run but the report's own, and nothing be fetched.

    Args:
        results: runs to report, in the order to show them; may be empty where there is a side-by-side run.
        title: of the report.
        versus: side-by-side runs.
        profiles: of towers.
        matrix: of all variants; what it could not run is told with the reason.

    Returns:
        An HTML document of about 5 MB, nearly all of it plotly.js.

    Raises:
        InputError: there is nothing to report.
        MissingDependencyError: plotly is not installed.
    """
    if not results and not versus:
        raise InputError("a report needs at least one result")
    labels = names.labels(results)
    parts = [("summary", "Summary", _summary(results, labels, versus))]
    if results:
        parts.append(("runs", "Runs", _table(results)))
    refused = [row for row in matrix.rows if not row.result] if matrix else []
    if refused:
        parts.append(("not-run", "What could not be run", _refused(refused)))
    parts += _pictures(results, versus, profiles)
    if results:
        parts.append(("details", "Details of each run", _details(results, labels)))
    sections = "".join(f'<section><h2 id="{key}">{heading}</h2>{body}</section>' for key, heading, body in parts)
    links = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading, _ in parts)
    return _page(title, f'<nav aria-label="Contents"><ul>{links}</ul></nav>', _lead(results, versus), sections)


def _page(title: str, nav: str, lead: str, sections: str) -> str:
    library, shown = _library(), escape(title)
    allowed = " ".join(f"'sha256-{_hash(script)}'" for script in (library, SCRIPT))
    policy = f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        '<link rel="icon" href="data:,">'
        f"<style>{CSS}</style></head>\n<body><header><h1>{shown}</h1>{lead}{nav}"
        '<noscript><p class="note">Pictures need JavaScript; their figures are in the tables below them.</p></noscript>'
        f"</header>\n<main>{sections}</main>\n"
        "<footer>Made by edgekit from the result files alone. Pictures: plotly.js (MIT licence).</footer>\n"
        f"<script>{library}</script>\n<script>{SCRIPT}</script>\n</body></html>\n"
    )


def _library() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingDependencyError("an HTML report needs plotly: pip install 'edgekit[bench]'") from error
    return str(get_plotlyjs())


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _lead(results: Sequence[Result], versus: Sequence[Versus]) -> str:
    found: list[Result | Versus] = [*results, *versus]
    verdicts = [one.verdict for one in found]
    devices = list(dict.fromkeys(names.device(one.context.device) for one in found))
    dates = sorted(one.date for one in found)
    runs = f"{len(verdicts)} run{'s' if len(verdicts) > 1 else ''}"
    days = dates[0][:10] if dates[0][:10] == dates[-1][:10] else f"{dates[0][:10]} to {dates[-1][:10]}"
    counts = f"{verdicts.count('VALID')} VALID, {verdicts.count('INVALID')} INVALID"
    return element("p", f"{runs} on {', '.join(devices)}; {counts}; {days}", "lead")


def _summary(results: Sequence[Result], labels: Sequence[str], versus: Sequence[Versus]) -> str:
    items = [
        _item(result.verdict, label, sentences.findings(result), f"run-{index}", result.reasons)
        for index, (label, result) in enumerate(zip(labels, results, strict=True), 1)
    ]
    items += [
        _item(found.verdict, "side by side", versus_sentence(found), f"versus-{i}", ())
        for i, found in enumerate(versus)
    ]
    return f'<ul class="runs">{"".join(items)}</ul>'


def _item(verdict: str, label: str, sentence: str, key: str, reasons: Sequence[str]) -> str:
    css = "fine" if verdict == "VALID" else "bad"
    why = f'<div class="why">Why INVALID:{bullets(reasons)}</div>' if reasons else ""
    return (
        f'<li class="{css}">{badge(verdict)} <a href="#{key}"><strong>{escape(label)}</strong></a>'
        f"{element('p', sentence)}{why}</li>"
    )


def _table(results: Sequence[Result]) -> str:
    return html_table("Runs", table.HEADS, table.rows(results)) + element("p", table.NOTE, "note")


def _refused(rows: Sequence[Row]) -> str:
    return bullets(f"{row.variant} on {row.runtime} ({row.device}): {'; '.join(row.reasons)}" for row in rows)


def _pictures(
    results: Sequence[Result], versus: Sequence[Versus], profiles: Sequence[Profile]
) -> list[tuple[str, str, str]]:
    beside = [(f"versus-{i}", versus_chart(found)) for i, found in enumerate(versus)]
    compared = _keyed("compared", overview.latency(results), overview.stages(results), overview.energy(results))
    traded = _keyed("traded", *tradeoff.pareto(results), tradeoff.curve(results))
    bounds = _keyed("limit", limits.roofline(results), *map(limits.profile, profiles))
    told = bullets(f"{p.bundle} {p.variant}, {p.tower} tower: no profile: {p.reason}" for p in profiles if p.reason)
    parts = [
        ("side-by-side", "Side by side", _grid(beside) + "".join(map(_repeat, versus))),
        ("comparison", "All runs in pictures", _grid(compared)),
        ("tradeoff", "What is given for what", _grid(traded)),
        ("limits", "Limits of the device, and where the time goes", _grid(bounds) + (told if "<li>" in told else "")),
    ]
    return [part for part in parts if part[2]]


def _repeat(found: Versus) -> str:
    device = names.device(found.context.device)
    told = [("Device", device), ("Began", found.date), ("edgekit", found.edgekit), ("Ended by", found.ended)]
    return f"<h3>How to repeat it</h3>{element('pre', found.command)}{facts(told)}"


def _keyed(name: str, *charts: Chart | None) -> list[tuple[str, Chart]]:
    return [(f"{name}-{i}", chart) for i, chart in enumerate(charts) if chart]


def _grid(charts: Sequence[tuple[str, Chart]]) -> str:
    if not charts:
        return ""
    shown = "".join(render_chart(chart, key) for key, chart in charts)
    return f'<div class="pictures{" wide" if len(charts) == 1 else ""}">{shown}</div>'


def _details(results: Sequence[Result], labels: Sequence[str]) -> str:
    few = len(results) <= _OPEN
    return "".join(
        run_section(result, label, f"run-{index}", few or index == 1)
        for index, (label, result) in enumerate(zip(labels, results, strict=True), 1)
    )
