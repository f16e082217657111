"""The study's findings as Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.benchmarks.distillation.arms import ALONE, DISTILLED, written
from edgekit.benchmarks.distillation.intervals import apart, mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.distillation.intervals import Mean
    from edgekit.benchmarks.distillation.records import Arm, Question, Run, Study

_UNKNOWN = "–"
_QUESTIONS: tuple[Question, ...] = ("all labels", "few labels")


def report(study: Study) -> str:
    """Return the study as Markdown tables with a sentence before each."""
    parts = [_head(study), *(_question(study, question) for question in _QUESTIONS), _losses(study), _trials(study)]
    return "\n\n".join(part for part in parts if part)


def grouped(runs: Sequence[Run], question: Question) -> dict[Arm, list[Run]]:
    """Return the runs of each arm of a question, in the order they are in."""
    found: dict[Arm, list[Run]] = {}
    for run in runs:
        if run.arm.question == question:
            found.setdefault(run.arm, []).append(run)
    return found


def _head(study: Study) -> str:
    if not study.runs:
        return ""
    setting, first = study.setting, study.runs[0]
    taught = [run.embedding_cpu for run in study.runs if not run.arm.alone] or [0.0]
    cost = mean(taught)
    return (
        f"Teacher: R@1 {100 * first.teacher:.1f} % on {setting.held_out} (n = {first.n:,}, standard error of such a"
        f" figure {100 * first.error:.1f}); its embeddings of {setting.views} views of each training image cost"
        f" {cost.value:.0f} CPU seconds, once. Student: {setting.arch} of width {setting.width},"
        f" {first.parameters:,} parameters, batch {setting.batch}. ± is the 95 % interval of the mean over seeds"
        " (Student's t). The teacher was trained on the labels of the same training images."
    )


def _question(study: Study, question: Question) -> str:
    arms = grouped(study.runs, question)
    if not arms:
        return ""
    lines = [
        f"**{question}** ({next(iter(arms)).labelled:.0%} of the training images labelled)",
        "",
        "| student | equal | images (labelled) | steps | CPU s | R@1 % | best % | last quarter | of teacher |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(arm, runs) for arm, runs in arms.items()]
    verdicts = _verdicts(arms)
    if any(arm.alone for arm in arms):
        verdicts.append("- labels alone know the names of the labelled images only, the distilled those of all")
    return "\n".join([*lines, "", *verdicts])


def _row(arm: Arm, runs: Sequence[Run]) -> str:
    recall = mean([run.recall_at_1 for run in runs])
    best = mean([max(point.recall_at_1 for point in run.curve) for run in runs])
    late = mean([_late(run) for run in runs]).value
    # A teacher that finds nothing has no share of anything.
    share = mean([run.recall_at_1 / run.teacher if run.teacher else math.nan for run in runs]).value
    first = runs[0]
    name = f"{arm.name}: {written(arm.losses)}" if arm.name == DISTILLED else arm.name
    return (
        f"| {name} | {'CPU, embeddings included' if arm.budget == 'cpu' else 'steps'}"
        f" | {first.images:,} ({first.labelled:,}) | {mean([run.steps for run in runs]).value:,.0f}"
        f" | {mean([run.cpu_seconds for run in runs]).value:.0f} | {_percent(recall)} | {100 * best.value:.1f}"
        f" | {_UNKNOWN if math.isnan(late) else f'{100 * late:+.1f}'}"
        f" | {_UNKNOWN if math.isnan(share) else f'{share:.1%}'} |"
    )


def _late(run: Run) -> float:
    """How much R@1 changed over about the last quarter of the training: near 0 on a plateau."""
    return run.recall_at_1 - run.curve[-1 - max(1, len(run.curve) // 4)].recall_at_1 if len(run.curve) > 1 else math.nan


def _verdicts(arms: dict[Arm, list[Run]]) -> list[str]:
    taught = next((runs for arm, runs in arms.items() if arm.name == DISTILLED), None)
    if taught is None:
        return []
    own = mean([run.recall_at_1 for run in taught])
    lines = []
    for arm, runs in arms.items():
        if arm.name != ALONE:
            continue
        other = mean([run.recall_at_1 for run in runs])
        how = "the intervals do not overlap" if apart(own, other) or apart(other, own) else "the intervals overlap"
        if 1 in (own.n, other.n):
            how = "one seed has no interval"
        budget = "equal CPU time" if arm.budget == "cpu" else "equal steps"
        lines.append(f"- distilled less labels alone at {budget}: {100 * (own.value - other.value):+.1f} points; {how}")
    return lines


def _losses(study: Study) -> str:
    arms = grouped(study.runs, "losses")
    if not arms:
        return ""
    order = sorted(arms.items(), key=lambda pair: -mean([run.recall_at_1 for run in pair[1]]).value)
    some = order[0][1]
    seeds = "1 seed" if len(some) == 1 else f"{len(some)} seeds"
    lines = [
        f"**each loss alone** ({order[0][0].labelled:.0%} labelled, {some[0].steps:,} steps, {seeds})",
        "",
        "| loss | R@1 % | each seed | CPU ms a step |",
        "|---|---|---|---|",
    ]
    for arm, runs in order:
        each = ", ".join(f"{100 * run.recall_at_1:.1f}" for run in runs)
        cost = 1000 * mean([run.cpu_seconds / max(1, run.steps) for run in runs]).value
        alone = " (labelled images only)" if arm.alone else ""
        recall = _percent(mean([run.recall_at_1 for run in runs]))
        lines.append(f"| {arm.name}{alone} | {recall} | {each} | {cost:.1f} |")
    return "\n".join(lines)


def _trials(study: Study) -> str:
    lines = []
    if study.resumed is not None:
        found = study.resumed
        same = "the same weights, bit by bit" if found.same else "other weights"
        lines.append(
            f"- killed (SIGKILL) at step {found.killed_at:,} of {found.steps:,} and resumed: {same}, R@1"
            f" {100 * found.recall_at_1:.1f} % against {100 * found.uninterrupted:.1f} % uninterrupted"
        )
    if study.shared is not None:
        both = study.shared
        lines.append(
            f"- {both.processes} processes on {both.cores} cores: {both.many:.0f} images/s against {both.one:.0f}"
            f" ({both.many / both.one:.2f} x), R@1 {100 * both.recall_many:.1f} % against {100 * both.recall_one:.1f} %"
        )
    if study.bundled is not None:
        made = study.bundled
        lines.append(
            f"- packed by `edgekit distill`: {made.size / 1e6:.1f} MB, R@1 through the bundle"
            f" {100 * made.recall_at_1:.1f} %, image tower {made.parameters:,} parameters"
            + (f" of the teacher's {made.teacher_parameters:,}" if made.teacher_parameters else "")
        )
    return "\n".join(lines)


def _percent(found: Mean) -> str:
    return f"{100 * found.value:.1f}" + ("" if math.isinf(found.half) else f" ± {100 * found.half:.1f}")
