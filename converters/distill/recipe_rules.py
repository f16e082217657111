"""What must hold in a recipe beyond the types of its fields, told before anything runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgekit.errors import TextError
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.converters.distill.recipe import (
        Augmentation,
        DataSpec,
        ImageStudent,
        Recipe,
        StudentSpec,
        TeacherSpec,
        TextStudent,
        Training,
    )

INHERIT, TEACHER = "inherit", "teacher"
_LIBRARIES = ("timm:", "open_clip:")
_IMAGE_ARCHS = ("conv", "hybrid", "vit-tiny", "vit-small", INHERIT, TEACHER)
_TEXT_ARCHS = ("static", "transformer", INHERIT, TEACHER)
Problem = tuple[str, str]


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Find what is wrong.

    Args:
        recipe: its paths absolute.

    Yields:
        The path of a field, such as ``student.image.arch``, and what is wrong with it and what to write instead.
    """
    yield from _teachers(recipe.teachers, recipe.student)
    yield from _student(recipe.student)
    yield from _data(recipe.data, recipe.student)
    yield from _augmentation(recipe.data.augmentation)
    yield from _training(recipe.training)
    for name, weight in recipe.losses.items():
        if weight < 0:
            yield f"losses.{name}", f"{weight} is negative; give 0 or more"
    if not any(weight > 0 for weight in recipe.losses.values()):
        yield "losses", "none has a weight above 0; 'feature: 1' is a good first one"


def _teachers(teachers: tuple[TeacherSpec, ...], student: StudentSpec) -> Iterator[Problem]:
    if not teachers:
        yield "teachers", "is empty; name a bundle, as in 'teacher: TEACHER.edge'"
    # By os.path here and below: unlike Path, it takes no offence at a name that no file can have.
    for i, teacher in enumerate(teachers):
        where = f"teachers[{i}]"
        if teacher.weight <= 0:
            yield f"{where}.weight", f"{teacher.weight} is not above 0; leave out a teacher that shall not teach"
        if not teacher.model and not teacher.embeddings:
            yield where, "has neither a model nor embeddings; give the path of a bundle as model"
        if teacher.embeddings and not os.path.isdir(teacher.embeddings):  # noqa: PTH112
            made = "edgekit distill RECIPE.yaml --embed-only FOLDER"
            yield f"{where}.embeddings", f"{teacher.embeddings} is no folder; '{made}' makes one"
        if teacher.tokenizer and (":" not in teacher.model or not os.path.exists(teacher.tokenizer)):  # noqa: PTH110
            yield f"{where}.tokenizer", f"{teacher.tokenizer} is missing, or the model is a bundle, which has its own"
    if teachers and not teachers[0].model:
        yield from _needs_first_teacher(student)


def _needs_first_teacher(student: StudentSpec) -> Iterator[Problem]:
    for name, tower in (("image", student.image), ("text", student.text)):
        if tower is None:
            yield (
                f"student.{name}",
                "is kept from the first teacher, which has no model; make it new, or give one",
            )
        elif tower.arch in (INHERIT, TEACHER):
            yield f"student.{name}.arch", f"{tower.arch} takes the first teacher's weights; give teachers[0].model"


def _student(student: StudentSpec) -> Iterator[Problem]:
    if student.image is None and student.text is None:
        yield "student", "both towers are kept, so that there is nothing to train; give image, text or both"
    if not student.name.isprintable():
        yield "student.name", "holds a control character"
    if student.dimension < 0:
        yield "student.dimension", f"{student.dimension} is negative; 0 is the teacher's"
    if student.dimension and (student.image is None or student.text is None):
        yield "student.dimension", "must be left out where a tower is kept: both write into the teacher's space"
    if student.space == "teacher" and student.image is not None:
        yield "student.space", "'teacher' needs the teacher's image tower: leave student.image out, or space"
    if student.image is not None:
        yield from _image(student.image)
    if student.text is not None:
        yield from _text(student.text)


def _image(tower: ImageStudent) -> Iterator[Problem]:
    yield from _tower("student.image", tower, _IMAGE_ARCHS, _LIBRARIES)
    for name in ("size", "patch"):
        if getattr(tower, name) < 0:
            yield f"student.image.{name}", f"{getattr(tower, name)} is negative; 0 is the default"


def _text(tower: TextStudent) -> Iterator[Problem]:
    yield from _tower("student.text", tower, _TEXT_ARCHS, _LIBRARIES[1:])
    for name in ("context_length", "vocabulary"):
        if getattr(tower, name) < 0:
            yield f"student.text.{name}", f"{getattr(tower, name)} is negative; 0 is the default"


def _tower(
    where: str, tower: ImageStudent | TextStudent, archs: tuple[str, ...], libraries: tuple[str, ...]
) -> Iterator[Problem]:
    library = next((prefix for prefix in libraries if tower.arch.startswith(prefix)), "")
    if tower.arch not in archs and (not library or tower.arch == library):
        known = ", ".join([*archs, *(f"{prefix}NAME" for prefix in libraries)])
        yield f"{where}.arch", f"{tower.arch!r} is not known; there are {known}"
    if tower.weights and not library:
        yield f"{where}.weights", f"are for {' and '.join(libraries)} only, the arch is {tower.arch}; leave it out"
    if tower.weights and not os.path.isfile(tower.weights):  # noqa: PTH113
        yield f"{where}.weights", f"{tower.weights}: no such file"
    for name in ("width", "layers", "heads"):
        if getattr(tower, name) < 0:
            yield f"{where}.{name}", f"{getattr(tower, name)} is negative; 0 is the default"
    if tower.rank < 1:
        yield f"{where}.rank", f"{tower.rank} is not at least 1"
    if tower.train != "all" and tower.arch not in (INHERIT, TEACHER) and not tower.weights:
        yield (
            f"{where}.train",
            f"'{tower.train}' adapts a trained tower, the weights of {tower.arch} are random; write all",
        )


def _data(data: DataSpec, student: StudentSpec) -> Iterator[Problem]:
    if not data.images and not data.texts:
        yield "data", "has neither images nor texts; name at least one set"
    if student.image is not None and not data.images:
        yield "data.images", "is empty, but the image tower is to be trained; name a folder of pictures"
    yield from _shares(data)
    for name in ("images", "texts", "validation"):
        if any(not text for text in getattr(data, name)):
            yield f"data.{name}", "holds an empty name"
    for template in data.templates:
        try:
            fill_templates("label", (template,))
        except TextError as error:
            yield "data.templates", str(error)
    if data.views < 1:
        yield "data.views", f"{data.views} is not at least 1"
    if data.resolution < 0:
        yield "data.resolution", f"{data.resolution} is negative; 0 takes the largest that a tower needs"
    if data.memory <= 0:
        yield "data.memory", f"{data.memory} is not above 0; it is in gigabytes"


def _shares(data: DataSpec) -> Iterator[Problem]:
    if not 0 <= data.labelled <= 1:
        yield "data.labelled", f"{data.labelled} is not in 0..1; 0.1 uses the texts of a tenth of the images"
    if data.images and not data.validation and not 0 < data.held_out < 1:
        yield "data.held_out", f"{data.held_out} leaves nothing to train or to judge on; give a share such as 0.1"
    if data.validation and not data.images:
        yield "data.validation", "judges images, but data.images is empty; leave it out"


def _augmentation(found: Augmentation) -> Iterator[Problem]:
    for name in ("flip", "grey", "erase"):
        if not 0 <= getattr(found, name) <= 1:
            yield f"data.augmentation.{name}", f"{getattr(found, name)} is no probability; give 0..1"
    for name in ("zoom", "stretch", "shift", "brightness", "contrast"):
        if not 0 <= getattr(found, name) < 1:
            yield f"data.augmentation.{name}", f"{getattr(found, name)} is not at least 0 and below 1"
    if not 0 <= found.turn <= 180:
        yield "data.augmentation.turn", f"{found.turn} is not in 0..180 degrees"


def _training(found: Training) -> Iterator[Problem]:
    if (found.steps > 0) == (found.cpu_seconds > 0):
        yield "training.steps", "give either steps or cpu_seconds, above 0, and not both"
    for name in ("steps", "cpu_seconds", "decay", "clip", "patience", "checkpoint"):
        if getattr(found, name) < 0:
            yield f"training.{name}", f"{getattr(found, name)} is negative"
    if found.batch < 2:
        yield "training.batch", f"{found.batch} is not at least 2"
    if found.rate <= 0:
        yield "training.rate", f"{found.rate} is not above 0"
    for name in ("warmup", "quantize"):
        if not 0 <= getattr(found, name) <= 1:
            yield f"training.{name}", f"{getattr(found, name)} is not a share in 0..1"
    if found.evaluate < 1:
        yield "training.evaluate", f"{found.evaluate} is not at least 1; the last one is at the end"
