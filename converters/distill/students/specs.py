"""The preprocessing of a student's pictures: as the teacher frames them, at the student's size and scale of values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgekit.bundle.manifest import ImageSpec
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Interpolation

HALVES = (0.5, 0.5, 0.5)
_INTERPOLATIONS: dict[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic"}


def framed(teacher: ImageSpec | None, size: int) -> ImageSpec:
    """Return the teacher's preprocessing at another size, with mean and standard deviation 0.5.

    Args:
        teacher: the first teacher's; None where there is only its embeddings.
        size: side in pixels; 0 is the teacher's.

    Returns:
        The record.

    Raises:
        InputError: neither a size nor a teacher is there.
    """
    if teacher is None:
        if not size:
            raise InputError("student.image.size: must be given where the first teacher has no bundle")
        return ImageSpec(size, size, "shortest", size, "bicubic", (0, 0, 0), HALVES, HALVES)
    if not size:
        return replace(teacher, mean=HALVES, std=HALVES)
    edge = round(teacher.shortest_edge * size / teacher.height)
    if teacher.resize_mode == "shortest" and not edge:
        edge = size  # the teacher's pictures are not square, the student's are
    return replace(teacher, height=size, width=size, shortest_edge=edge, mean=HALVES, std=HALVES)


def scaled_as(spec: ImageSpec, settings: dict[str, Any]) -> ImageSpec:
    """Return a preprocessing with the values and the filter that a timm model was trained with.

    Args:
        spec: framing.
        settings: timm's record; what it lacks stays.

    Returns:
        The record.
    """
    mean, std = settings.get("mean") or spec.mean, settings.get("std") or spec.std
    filtered = _INTERPOLATIONS.get(str(settings.get("interpolation")), spec.interpolation)
    return replace(spec, mean=_three(mean), std=_three(std), interpolation=filtered)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
