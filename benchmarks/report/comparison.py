"""A comparison of two results for a terminal, and as Markdown for a comment of a CI system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.report.cells import aligned, markdown_table, printable
from edgekit.benchmarks.report.cells import markdown as markdown_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.compare import Change, Comparison
    from edgekit.benchmarks.results.pairs import Pairs

_HEADS = ("metric", "old", "new", "change", "")
_NO_INTERVAL = "no interval"


def text(comparison: Comparison) -> str:
    """Write a comparison for a terminal.

    Args:
        comparison: as `results.compare.compare` made it.

    Returns:
        Lines without a final newline: what differs, a table of the metrics, the rules, and the outcome.
    """
    lines = [f"old  {comparison.old}  {comparison.verdicts[0]}", f"new  {comparison.new}  {comparison.verdicts[1]}"]
    lines += [f"differs  {d.field}: {d.old} → {d.new}" for d in comparison.differences]
    lines += aligned([_HEADS, *(_row(change) for change in comparison.changes)], left=1)
    for judgement in comparison.judgements:
        lines.append(f"rule {judgement.rule}  {'FAILED' if judgement.failed else 'ok'}  {judgement.reason}")
    lines += [*comparison.invalid, "FAILED" if comparison.failed else "passed"]
    return "\n".join(map(printable, lines))


def markdown(comparison: Comparison) -> str:
    """Write a comparison as Markdown.

    Args:
        comparison: as `results.compare.compare` made it.

    Returns:
        A heading with the outcome, tables of metrics and rules, what differs in a folded part; ends with a newline.
    """
    outcome = "FAILED" if comparison.failed else "passed"
    parts = [f"### edgekit compare: {outcome}", markdown_table([_HEADS, *map(_row, comparison.changes)], left=1)]
    if comparison.judgements:
        rules = [(j.rule, "**FAILED**" if j.failed else "ok", j.reason) for j in comparison.judgements]
        parts.append(markdown_table([("rule", "", "why"), *rules], left=3, raw=(1,)))
    if comparison.invalid:
        parts.append("\n".join(f"- {markdown_text(reason)}" for reason in comparison.invalid))
    if comparison.differences:
        rows = [(d.field, d.old, d.new) for d in comparison.differences]
        table = markdown_table([("differs", "old", "new"), *rows], left=3)
        parts.append(f"<details><summary>What differs</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _row(change: Change) -> tuple[str, ...]:
    unit = change.metric.unit
    cells = (change.metric.name, numbers.figure(change.old, unit), numbers.figure(change.new, unit))
    if change.ratio is None:
        return (*cells, "", change.outcome)
    shown = numbers.change(change.ratio - 1) if change.ratio != 1 else "0 %"
    if change.low is None or change.high is None:
        remark = "" if change.outcome == "same" else f" ({_NO_INTERVAL})"
        return (*cells, shown, change.outcome + remark)
    interval = f"{numbers.change(change.low - 1)} to {numbers.change(change.high - 1)}"
    return (*cells, f"{shown} ({interval})", change.outcome)


def leftovers(pairs: Pairs) -> list[str]:
    """Name the results that have no partner.

    Args:
        pairs: as `results.pairs.pair` made them.

    Returns:
        One line each, plain text.
    """
    missing = [f"missing in NEW: {name}" for name in pairs.missing]
    return [printable(line) for line in (*missing, *(f"only in NEW: {name}" for name in pairs.added))]


def outcome(comparisons: Sequence[Comparison], pairs: Pairs) -> str:
    """Say how several comparisons came out.

    Args:
        comparisons: of every pair.
        pairs: as `results.pairs.pair` made them.

    Returns:
        One line, plain text.
    """
    failed = sum(comparison.failed for comparison in comparisons)
    lost = f", {len(pairs.missing)} missing in NEW" if pairs.missing else ""
    return f"{'FAILED' if failed or lost else 'passed'}: {failed} of {len(comparisons)} comparisons failed{lost}"
