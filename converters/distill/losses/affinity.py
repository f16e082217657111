"""The affinity of images and texts, at one temperature for both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill.losses.matched import taught
from edgekit.converters.distill.losses.terms import log_shares

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def affinity(given: Inputs) -> Tensor | None:
    """Return the cross-entropy between the teacher's and the student's affinities (affinity mimicking).

    ``CE(A_I2T, A'_I2T) + CE(A_T2I, A'_T2I)`` with ``A = softmax(V T^T / tau)`` of the images V and the distinct texts T
    that they belong to (TinyCLIP, Wu et al. 2023, arXiv 2309.12314, section "Affinity Mimicking"). tau is the
    teacher's on both sides, so that only equal cosines, up to a constant in each row, are best; `relation` leaves the
    student its own. An image without a label stands with the text that the teacher finds nearest.

    Args:
        given: a batch.

    Returns:
        In nats, at least the entropy of the teacher's affinities; None without at least two texts.
    """
    pair = taught(given)
    if pair is None:
        return None
    student, teacher = pair
    scale = given.teacher_scale
    to_texts = log_shares(student.images, student.texts, scale) * log_shares(teacher.images, teacher.texts, scale).exp()
    to_images = (
        log_shares(student.texts, student.images, scale) * log_shares(teacher.texts, teacher.images, scale).exp()
    )
    return -to_texts.sum(1).mean() - to_images.sum(1).mean()
