"""Rebuild a student from its folder, without the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.converters.distill.students import weights
from edgekit.converters.distill.students.adapt import adapted
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.image_kinds import build_image
from edgekit.converters.distill.students.plan import PLAN, TOKENIZER, VERSION, StudentPlan
from edgekit.converters.distill.students.records import ImageTower, Student, TextTower
from edgekit.converters.distill.students.text_kinds import build_text
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from edgekit.converters.distill.students.plan import ImagePlan, TextPlan


def open_student(folder: Path, *, trained: bool) -> Student:
    """Rebuild a student.

    Args:
        folder: what `create` wrote; several processes may open it.
        trained: take the weights that the training left, in plain modules as `finish` returns them. Else the first
            ones, in modules to train: low-rank additions and probes in place, `requires_grad` set on what learns.

    Returns:
        The towers; trained ones in evaluation mode.

    Raises:
        InputError: a file is missing, damaged or of another version.
        ConversionError: a graph is.
    """
    plan = read_plan(folder)
    with weights.seeded(plan.seed):
        image = None if plan.image is None else _image(plan.image, folder, trained)
        text = None if plan.text is None else _text(plan.text, folder, trained)
    return Student(image, text)


def read_plan(folder: Path) -> StudentPlan:
    """Read what a student is made of.

    Args:
        folder: the student's.

    Returns:
        The record.

    Raises:
        InputError: it is missing or of another version.
        BundleError: it is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        raise InputError(f"{path}: there is no student; run edgekit distill again")
    found = schema.parse(path.read_bytes(), str(path))
    if isinstance(found, dict) and found.get("version") != VERSION:
        raise InputError(f"{path}: is of version {found.get('version')}, this edgekit reads {VERSION}")
    return schema.loads(StudentPlan, path.read_bytes(), str(path))


def _image(plan: ImagePlan, folder: Path, trained: bool) -> ImageTower:
    return ImageTower(_filled(build_image(plan, folder), plan, folder, "image", trained), plan.spec)


def _text(plan: TextPlan, folder: Path, trained: bool) -> TextTower:
    module = _filled(build_text(plan, folder), plan, folder, "text", trained)
    return TextTower(module, _tokenizer(folder / TOKENIZER), plan.context_length, plan.pad_id, plan.cleaning)


def _tokenizer(path: Path) -> str:
    from tokenizers import Tokenizer

    try:
        text = path.read_text(encoding="utf-8")
        Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(
            f"{path}: is missing or damaged ({error}); run edgekit distill again with --restart"
        ) from error
    return text


def _filled(base: nn.Module, plan: ImagePlan | TextPlan, folder: Path, tower: str, trained: bool) -> nn.Module:
    module = adapted(base, plan.train, plan.rank, plan.dimension)
    if trained:
        # The same steps as after the training give the same structure.
        module = finish(module)
    weights.load(module, weights.trained(folder, tower) if trained else weights.initial(folder, tower))
    return module
