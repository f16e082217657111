"""The card's section about the frozen labels, and the figures as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.specialize.selection import FOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.bundle.manifest import Manifest
    from edgekit.converters.specialize.records import Report
    from edgekit.converters.specialize.selection import Selection, Trial
    from edgekit.evaluation.metrics import McNemar

_MOST_LISTED = 200
_MOST_NAMED = 10
_LEAST_P = 0.001


def section(manifest: Manifest, selection: Selection | None, sizes: Mapping[str, int], arrays: int) -> str:
    """Return the section as Markdown.

    Args:
        manifest: of the specialized bundle, complete but for ``files``.
        selection: which head was taken; None without examples.
        sizes: of the full bundle's members, in bytes.
        arrays: bytes of the labels' arrays.

    Returns:
        Markdown without a heading.
    """
    labels = manifest.labels
    if labels is None:
        return ""
    names, rest = ", ".join(map(_code, labels.names[:_MOST_LISTED])), len(labels.names) - _MOST_LISTED
    more, own = f" and {rest} more" if rest > 0 else "", len(labels.prompts)
    lines = [
        f"{len(labels.names)} labels are frozen into this bundle: {names}{more}.",
        "",
        f"Templates: {', '.join(map(_code, labels.templates))}; {own} labels have prompts of their own.",
        "",
    ]
    if manifest.text is None:
        left = "The text tower was left out: no other label can be scored. "
        lines += [left + "What this card says of that tower is about the bundle that this one was made from.", ""]
    for variant in manifest.variants:
        towers = ", ".join(
            f"{name} tower {sum(sizes[path] for path in (tower.artifact, *tower.sidecars)) / 1e6:.1f} MB"
            for name, tower in variant.towers.items()
        )
        lines.append(f"- `{variant.id}`: {towers}")
    lines.append(f"- the labels' arrays: {arrays / 1e6:.2f} MB")
    if selection is not None and selection.trials:
        taken = selection.choice.kind if selection.choice else "zero-shot"
        n = selection.trials[0].accuracy.n
        lines += [
            "",
            f"Examples: {n}; {FOLDS}-fold cross-validation, settings chosen inside each fold:",
            "",
            "| head | right | 95 % interval | won / lost against zero-shot | p |",
            "|---|---|---|---|---|",
            *(_row(trial, trial.kind == taken) for trial in selection.trials),
        ]
    return "\n".join(lines)


def table(report: Report) -> str:
    """Return a report as text for a person."""
    kept = "text tower kept" if report.text_kept else "text tower left out"
    names = ", ".join(report.labels[:_MOST_NAMED]) + (", …" if len(report.labels) > _MOST_NAMED else "")
    lines = [
        f"{report.out}  {report.size / 1e6:.1f} MB (was {report.size_before / 1e6:.1f} MB)  {report.seconds:.0f} s",
        f"labels     {len(report.labels)}: {names}",
        f"variants   {', '.join(report.variants)}; {kept}",
    ]
    if report.trials:
        lines += _trials(report)
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"now measure it on photos that it has not seen: edgekit eval {report.out} --data SET")
    return "\n".join(lines)


def _trials(report: Report) -> Sequence[str]:
    taken = report.choice.kind if report.choice else "zero-shot"
    lines = [f"examples   {report.examples} of {report.data}, {FOLDS}-fold cross-validation"]
    for trial in report.trials:
        found = trial.accuracy
        shown = f"{100 * found.value:5.1f} % right [{100 * found.low:.1f}, {100 * found.high:.1f}]"
        test = trial.against
        against = f"  won {test.only_second}, lost {test.only_first}, p {_p(test)}" if test else ""
        lines.append(f"  {trial.kind:<10}{shown}{against}{'  taken' if trial.kind == taken else ''}")
    return lines


def _row(trial: Trial, taken: bool) -> str:
    found, test = trial.accuracy, trial.against
    against = f"{test.only_second} / {test.only_first} | {_p(test)}" if test else " | "
    name = f"**{trial.kind}**, taken" if taken else trial.kind
    return f"| {name} | {found.value:.1%} | {found.low:.1%} to {found.high:.1%} | {against} |"


def _p(test: McNemar) -> str:
    return f"{test.mid_p:.3f}" if test.mid_p >= _LEAST_P else f"below {_LEAST_P}"


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else f"`` {text} ``"
