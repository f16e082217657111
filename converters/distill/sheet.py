"""The card's section about a distillation: figures beside the teacher's, how it was done, and the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill import report as reporting
from edgekit.converters.distill.students import limits

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.records import Report

TITLE = "Distilled"


def section(report: Report, recipe: Recipe, picture: str, attached: str) -> str:
    """Return the section as Markdown.

    Args:
        report: what was measured.
        recipe: what was done.
        picture: path of the curves, relative to the card.
        attached: path of the recipe, likewise.

    Returns:
        Markdown without a heading.
    """
    losses = ", ".join(f"{name} × {weight:g}" for name, weight in recipe.losses.items() if weight)
    teachers = ", ".join(
        f"`{_name(model)}` ({digest[:19]}…)" if digest.startswith("sha256:") else f"`{_name(model)}`"
        for model, digest in zip(report.teachers, report.teacher_digests, strict=True)
    )
    labelled = f"{recipe.data.labelled:.0%} of the images with their texts" if recipe.data.images else "no images"
    data = f"{labelled}, {recipe.data.views} stored views of each image; seed {recipe.training.seed}"
    return "\n".join(
        [
            f"Teachers: {teachers}. Losses: {losses}. Data: {data}. The recipe is in `{attached}`.",
            "",
            *reporting.markdown(report),
            "",
            *(f"- {line}" for line in [*reporting.sentences(report), *limits.of_text(recipe.student.text)]),
            "",
            f"![loss and score over the training]({picture})",
        ]
    )


def _name(model: str) -> str:
    return model.rpartition("/")[2] or model or "embeddings"
