"""From a student of the study to the recipe that `edgekit distill` would be given."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.benchmarks.distillation.subset import labelled_only
from edgekit.converters.distill.recipe import DataSpec, ImageStudent, Recipe, StudentSpec, TeacherSpec, Training

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.distillation.records import Arm, Setting

_EVALUATIONS = 8
_ALONE = "labelled"


def recipe_of(setting: Setting, arm: Arm, seed: int, folder: Path, cpu_seconds: float = 0.0) -> Recipe:
    """Write the recipe of one student.

    Args:
        setting: of the study.
        arm: the student.
        seed: of everything.
        folder: of the study, where embeddings are kept, and labelled images for those who learn from them alone.
        cpu_seconds: budget, for an arm that asks for it.

    Returns:
        The recipe.
    """
    data = DataSpec(
        images=setting.train,
        labelled=arm.labelled,
        validation=(setting.held_out,),
        views=setting.views,
        augmentation=setting.augmentation,
        store=str(folder / "embeddings"),
        seed=seed,
    )
    if arm.alone and arm.labelled < 1:
        where = labelled_only(data, folder / f"{_ALONE}-{arm.labelled:g}-{seed}-{_identity(data)}")
        data = replace(data, images=(str(where),), labelled=1.0)
    training = Training(
        steps=arm.steps if arm.budget == "steps" else 0,
        cpu_seconds=cpu_seconds if arm.budget == "cpu" else 0.0,
        batch=setting.batch,
        rate=setting.rate,
        seed=seed,
        evaluate=_EVALUATIONS,
    )
    image = ImageStudent(arch=setting.arch, width=setting.width, size=setting.size)
    student = StudentSpec(name=f"emoji-w{setting.width}", image=image)
    return Recipe((TeacherSpec(model=setting.teacher),), data, student, dict(arm.losses), training)


def _identity(data: DataSpec) -> str:
    """Return what tells the labelled images of these sets from those of others.

    A study that holds out another set may use the same folder; it must not go on with the images of this one.
    """
    facts = (data.images, data.validation, data.labelled, data.seed)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
