"""A distillation's report for a person: a short table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill.display import clock
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from edgekit.converters.distill.records import Report, Score, TowerFigures

_ENDINGS = {
    "finished": "finished",
    "plateau": "ended early, on a plateau",
    "stopped": "stopped",
}


def table(report: Report) -> str:
    """Return a report as text for a terminal."""
    cells = rows(report)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*lines, "", *sentences(report), f"{report.bundle}  {report.size / 1e6:.1f} MB"])


def rows(report: Report) -> list[tuple[str, str, str]]:
    """Return the head and a row for each figure: its name, the student's, the first teacher's."""
    found = [("", "student", "teacher")]
    others = {score.name: score for score in report.teacher_scores}
    for score in report.scores:
        found.append((score.name, _score(score), _score(others.get(score.name))))
    towers = {"image": report.image, "text": report.text}
    for tower in TOWERS:
        found.append((f"{tower} parameters", *_pair(towers[tower], "parameters")))
        found.append((f"{tower} MB", *_pair(towers[tower], "size")))
    return found


def markdown(report: Report) -> list[str]:
    """Return the same rows as lines of Markdown."""
    head, *body = rows(report)
    return [f"| {' | '.join(head)} |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in body)]


def sentences(report: Report) -> list[str]:
    """Return what else there is to say, a line each."""
    found, cost = report.training, report.embedding
    where = f"{found.processes} process{'' if found.processes == 1 else 'es'} on {found.device}, {found.precision}"
    spent = f"{clock(found.wall_seconds)} ({found.cpu_seconds:.0f} CPU s of the first process)"
    lines = [f"{found.steps} steps in {spent}, {found.images_per_second:.0f}/s; {where}; {_ENDINGS[found.ended]}"]
    if cost.items:
        lines.append(
            f"the teachers' embeddings: {cost.items} rows in {clock(cost.seconds)} ({cost.cpu_seconds:.0f} CPU s), "
            f"{cost.size / 1e6:.1f} MB, kept for the next recipe"
        )
    if found.delivered != "last":
        lines.append(f"weights: {found.delivered}, of step {found.delivered_step} ({found.reason})")
    if report.scores:
        on = f"images of {report.validation}" if report.validation else "texts that were held out"
        lines.append(f"judged on {report.scores[0].n} {on}; intervals cover 95 %")
    lines += [f"note: {note}" for note in (*report.notes, *found.notices)]
    return lines


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    if "cosine" in score.name:
        return f"{score.value:.4f} ({score.low:.4f}–{score.high:.4f})"
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f}–{100 * score.high:.1f})"


def _pair(tower: TowerFigures, field: str) -> tuple[str, str]:
    own, other = getattr(tower, field), getattr(tower, f"teacher_{field}")
    shown = _number(own, field) + (" (kept)" if tower.kept else _ratio(own, other))
    return shown, "–" if other is None else _number(other, field)


def _ratio(own: int, other: int | None) -> str:
    return f" (÷ {other / own:.1f})" if other and own and other > own else ""


def _number(value: int, field: str) -> str:
    return f"{value:,}" if field == "parameters" else f"{value / 1e6:.2f}"
