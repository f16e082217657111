"""Contrast across student and teacher: the one's rows among the other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.distill.losses.matched import taught
from edgekit.converters.distill.losses.terms import added, log_shares, positives

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs, Pair


def interactive(given: Inputs) -> Tensor | None:
    """Return how badly the student's rows find their counterparts among the teacher's.

    Interactive contrastive learning, the mean of two InfoNCE terms: the student's images against the teacher's texts,
    and the student's texts against the teacher's images (CLIP-KD, Yang et al. 2024, arXiv 2307.12732, section
    "Interactive Contrastive Learning"). Images of one text share it: in the second term each has an equal part. An
    image without a label stands with the text that the teacher finds nearest. A tower that is kept has no term, nor
    have texts of another dimension than the teacher's. Where there are no texts to the images, and for texts alone,
    each of the student's rows looks for its own among the teacher's of the same tower.

    Args:
        given: a batch.

    Returns:
        In nats, at least 0; None where nothing is there to tell apart.
    """
    terms = _across(given) or _within(given, given.image)
    mean = [sum(terms[1:], terms[0]) / len(terms)] if terms else []
    return added(mean + _within(given, given.text))


def _across(given: Inputs) -> list[Tensor]:
    pair = taught(given)
    if pair is None:
        return []
    (student, teacher), terms = pair, []
    if given.image is not None:
        rows = functional.normalize(given.image.mapped, dim=1)
        terms.append(-log_shares(rows, teacher.texts, given.scale)[teacher.right].mean())
    if student.texts.requires_grad and student.texts.shape[1] == teacher.images.shape[1]:
        shares = log_shares(student.texts, teacher.images, given.scale)
        terms.append(-(shares * positives(student.right, shares.dtype)).sum(1).mean())
    return terms


def _within(given: Inputs, pair: Pair | None) -> list[Tensor]:
    if pair is None or len(pair.student) < 2:
        return []
    shares = log_shares(functional.normalize(pair.mapped, dim=1), pair.teacher, given.scale)
    return [-torch.diagonal(shares).mean()]
