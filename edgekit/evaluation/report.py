"""What an evaluation found: typed records, and the table that a person reads."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bundle.manifest import Fidelity, Share
from edgekit.evaluation.metrics import Interval, McNemar
from edgekit.evaluation.records import Task

# More candidates than this do not fit beside each other on a terminal.
_COLUMNS = 4


@dataclass(frozen=True)
class Metric:
    """One figure of the task.

    Attributes:
        name: ``top1``, ``top5``, ``mean_per_class``, or ``image_to_text_recall@1`` and the like.
        found: its value with the interval that covers 95 %.
        against: McNemar's test with the reference as first and this candidate as second; None for the reference
            itself, and for figures that are not a share of cases that are right at the first place.
    """

    name: str
    found: Interval
    against: McNemar | None


@dataclass(frozen=True)
class Outcome:
    """One variant on one runtime and device.

    Attributes:
        variant: the variant's id.
        runtime: the runtime's name and version.
        device: the device.
        refused: why it was not evaluated; empty when it was.
        metrics: the task's figures; empty when refused, or when the set has no labels.
        fidelity: agreement with the reference; None for the reference itself and when refused.
        images_per_second: of the image tower alone in batches, as information only: nothing was done to steady the
            machine. None when refused.
    """

    variant: str
    runtime: str
    device: str
    refused: str
    metrics: tuple[Metric, ...] = ()
    fidelity: Fidelity | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class Report:
    """What a bundle scores on a set.

    Attributes:
        edgekit: version.
        bundle: the bundle's path.
        bundle_sha256: its digest.
        data: name of the set.
        digest: SHA-256 of the images that could be decoded, with their texts.
        task: what the texts are.
        images: number of images evaluated.
        texts: number of distinct texts.
        templates: that class names were put into; empty for other tasks.
        outcomes: every candidate, the refused ones last; the first is the reference that the others are compared with.
        skipped: the images that could not be decoded, each with the reason.
        labels: what scored, where the bundle's frozen labels did; else empty.
    """

    edgekit: str
    bundle: str
    bundle_sha256: str
    data: str
    digest: str
    task: Task
    images: int
    texts: int
    templates: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    skipped: tuple[str, ...]
    labels: str = ""

    @property
    def evaluated(self) -> tuple[Outcome, ...]:
        """The candidates that were not refused."""
        return tuple(outcome for outcome in self.outcomes if not outcome.refused)

    def __str__(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        lines = [
            f"{self.bundle} (sha256:{self.bundle_sha256[:12]})",
            f"{self.data} (sha256:{self.digest[:12]}): {self.task}, {self.images} images, {self.texts} texts{skipped}",
        ]
        if self.labels:
            lines.append(f"labels: {self.labels}")
        if self.templates:
            lines.append("templates: " + ", ".join(self.templates[:3]) + (", …" if len(self.templates) > 3 else ""))
        shown = self.evaluated
        for start in range(0, len(shown), _COLUMNS):
            lines += ["", *_table(shown[start : start + _COLUMNS])]
        if shown:
            compared = f"  ± standard error  compared with {_name(shown[0])}" if len(shown) > 1 else ""
            lines += ["", f"[95 % bootstrap interval]{compared}"]
        lines += [f"refused: {_name(outcome)}: {outcome.refused}" for outcome in self.outcomes if outcome.refused]
        return "\n".join(lines)


def _name(outcome: Outcome) -> str:
    return f"{outcome.variant} on {outcome.runtime} ({outcome.device})"


def _table(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Return one column for each outcome, one line for each figure that any of them has."""
    columns = [_cells(outcome) for outcome in outcomes]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [[name, *(column.get(name, "-") for column in columns)] for name in names]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns) + 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(outcome: Outcome) -> dict[str, str]:
    cells = {"": outcome.variant, "runtime": outcome.runtime, "device": outcome.device}
    for metric in outcome.metrics:
        found = metric.found
        cells[f"{_shown(metric.name)} %"] = f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    for metric in outcome.metrics:
        if metric.against is not None:
            test = metric.against
            cells[f"p, {_shown(metric.name)}"] = f"{test.mid_p:.3f} ({test.only_first} lost, {test.only_second} won)"
    if outcome.fidelity is not None:
        cells |= _agreement(outcome.fidelity)
    if outcome.images_per_second is not None:
        cells["images/s (information only)"] = f"{outcome.images_per_second:.1f}"
    return cells


def _agreement(found: Fidelity) -> dict[str, str]:
    return {
        "agreement image→text top-1 %": _percent(found.image_to_text.top1),
        "agreement image→text top-5 %": _percent(found.image_to_text.top5),
        "agreement text→image top-1 %": _percent(found.text_to_image.top1),
        "agreement text→image top-5 %": _percent(found.text_to_image.top5),
        "centred cosine images, mean (min)": f"{found.image.centred_mean:.4f} ({found.image.centred_min:.4f})",
        "centred cosine texts, mean (min)": f"{found.text.centred_mean:.4f} ({found.text.centred_min:.4f})",
    }


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} ± {100 * share.error:.1f} (n={share.n})"


def _shown(name: str) -> str:
    return name.replace("_to_", "→").replace("_", " ")
