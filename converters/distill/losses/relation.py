"""How similar the rows of a batch are to one another, as the teacher sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.converters.distill.losses.matched import taught
from edgekit.converters.distill.losses.terms import added, divergence, log_shares

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs, Pair


def relation(given: Inputs) -> Tensor | None:
    """Return how far the student's softmaxed similarities are from the teacher's (contrastive relational distillation).

    ``KL(softmax(scale_t * V_t T_t^T) || softmax(scale * V T^T))``, the mean of both directions, with images V and the
    distinct texts T that they belong to (CLIP-KD, Yang et al. 2024, arXiv 2307.12732, section "Contrastive Relational
    Distillation"). An image without a label stands with the text that the teacher finds nearest. Where there are no
    texts to the images, and for texts alone, the similarities are those within the tower, each row's own left out
    (as in SEED, Fang et al. 2021, arXiv 2101.04731, with the batch for its queue). Each side has its own temperature.

    Args:
        given: a batch.

    Returns:
        In nats, at least 0; None where fewer than two texts, or three rows of a tower, are there to compare.
    """
    images = _across(given)
    if images is None:
        images = _within(given, given.image)
    return added([term for term in (images, _within(given, given.text)) if term is not None])


def _across(given: Inputs) -> Tensor | None:
    pair = taught(given)
    if pair is None:
        return None
    student, teacher = pair
    to_texts = divergence(
        log_shares(student.images, student.texts, given.scale),
        log_shares(teacher.images, teacher.texts, given.teacher_scale),
    )
    to_images = divergence(
        log_shares(student.texts, student.images, given.scale),
        log_shares(teacher.texts, teacher.images, given.teacher_scale),
    )
    return (to_texts + to_images) / 2


def _within(given: Inputs, pair: Pair | None) -> Tensor | None:
    if pair is None or len(pair.student) < 3:
        return None
    student = _others(given.scale * pair.student @ pair.student.T)
    teacher = _others(given.teacher_scale * pair.teacher @ pair.teacher.T)
    return divergence(student.log_softmax(1), teacher.log_softmax(1))


def _others(matrix: Tensor) -> Tensor:
    """Return (N, N - 1): each row without the entry on the diagonal."""
    count = len(matrix)
    return matrix[~torch.eye(count, dtype=torch.bool, device=matrix.device)].reshape(count, count - 1)
