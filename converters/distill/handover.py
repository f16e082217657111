"""What a distillation hands to the conversion: the facts that the source ``student:`` cannot read from the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.bundle.manifest import Scores, Step
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "source.json"


@dataclass(frozen=True)
class Handover:
    """Facts of a trained student.

    Attributes:
        name: of the bundle.
        license: of the weights: the teacher's.
        description: one line.
        teacher: bundle of the first teacher, which a kept tower is taken from; empty where both are new.
        dimension: D.
        logit_scale: factor on the cosine.
        logit_bias: added after scaling.
        scores: how the scores were trained.
        templates: prompt templates.
        space: id of the embedding space; empty derives it from the weights.
        history: the steps that made the student.
        attachments: files for the bundle by their path in it, relative to the student's folder.
    """

    name: str
    license: str
    description: str
    teacher: str
    dimension: int
    logit_scale: float
    logit_bias: float
    scores: Scores
    templates: tuple[str, ...]
    space: str
    history: tuple[Step, ...]
    attachments: dict[str, str]


def read(folder: Path) -> Handover:
    """Return the facts in a student's folder.

    Args:
        folder: of the student.

    Returns:
        The facts.

    Raises:
        InputError: there are none.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {FILE}; it is no folder of a student that 'edgekit distill' has trained")
    return schema.loads(Handover, path.read_bytes(), str(path))
