"""Which students are compared to answer which question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.distillation.records import Arm
from edgekit.converters.distill.losses.table import LOSSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.distillation.records import Setting

DISTILLED, ALONE = "distilled", "labels alone"
_LABELS = (("labels", 1.0),)


def distilled(setting: Setting) -> list[Arm]:
    """Return the distilled students; the CPU time they take is the budget of others.

    Args:
        setting: of the study.

    Returns:
        One for each question but the losses'.
    """
    return [
        Arm("all labels", DISTILLED, setting.full_losses, 1.0, alone=False, budget="steps", steps=setting.steps),
        Arm("few labels", DISTILLED, setting.losses, setting.few, alone=False, budget="steps", steps=setting.few_steps),
    ]


def baselines(setting: Setting) -> list[Arm]:
    """Return the students that learn from labels alone, at equal steps and at equal CPU time.

    Args:
        setting: of the study.

    Returns:
        Two for each question but the losses'; those of few labels learn from the labelled images only, since a batch of
        all images would be mostly waste.
    """
    found = []
    for arm in distilled(setting):
        few = arm.labelled < 1
        found.append(Arm(arm.question, ALONE, _LABELS, arm.labelled, alone=few, budget="steps", steps=arm.steps))
        found.append(Arm(arm.question, ALONE, _LABELS, arm.labelled, alone=few, budget="cpu", steps=0))
    return found


def losses(setting: Setting) -> list[Arm]:
    """Return one student for each loss alone, and for the setting's combination.

    All are given few labels: that is where a teacher is for, and where the losses differ. Those without a teacher learn
    from the labelled images only.

    Args:
        setting: of the study.

    Returns:
        As many as there are losses, and one.
    """
    named: list[tuple[str, tuple[tuple[str, float], ...]]] = [(name, ((name, 1.0),)) for name in LOSSES]
    combination = written(setting.losses)
    if len(setting.losses) > 1 or setting.losses[0][1] != 1:
        named.append((combination, setting.losses))
    return [
        Arm(
            "losses",
            name,
            weights,
            setting.few,
            alone=not any(LOSSES[loss].teacher for loss, _ in weights),
            budget="steps",
            steps=setting.loss_steps,
        )
        for name, weights in named
    ]


def written(weights: Sequence[tuple[str, float]]) -> str:
    """Return losses with their weights, such as ``labels + 0.5 bank``."""
    return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights)
