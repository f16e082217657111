"""The teacher's answers over all texts, for a closed vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill.losses.terms import divergence, log_shares

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def bank(given: Inputs) -> Tensor | None:
    """Return how far the student's probabilities over the whole bank are from the teacher's; needs no label.

    ``KL(softmax(scale_t * x_t . B_t^T) || softmax(scale * x . B^T))``, the mean over images (Hinton et al. 2015, arXiv
    1503.02531, section 2; the soft targets of MobileCLIP, Vasu et al. 2024, arXiv 2311.17049, with the bank in place of
    the batch). Each side has its own temperature: the teacher's is the one it was trained with.

    Args:
        given: a batch.

    Returns:
        In nats, at least 0; None without images or without at least two texts.
    """
    if given.images is None or given.bank is None or given.teacher_images is None or given.teacher_bank is None:
        return None
    if len(given.bank) < 2 or len(given.images) == 0:
        return None
    teacher = log_shares(given.teacher_images, given.teacher_bank, given.teacher_scale)
    return divergence(log_shares(given.images, given.bank, given.scale), teacher)
