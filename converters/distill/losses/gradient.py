"""What a contrastive loss would change in each row: the student's change beside the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgekit.converters.distill.losses.matched import taught
from edgekit.converters.distill.losses.terms import log_shares, positives

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.matched import Matched
    from edgekit.converters.distill.losses.records import Inputs


def gradient(given: Inputs) -> Tensor | None:
    """Return the squared difference of the contrastive loss's gradients (gradient distillation).

    The mean over rows and dimensions of ``(dL/dv - dL_t/dv_t)^2`` for images, plus that for their distinct texts
    (CLIP-KD, Yang et al. 2024, arXiv 2307.12732, section "Gradient Distillation"), where L is the sum over the batch of
    the two cross-entropies of `contrastive`, halved; `slopes` has them in closed form. An image without a label stands
    with the text that the teacher finds nearest. Gradients can be compared in one dimension only.

    Args:
        given: a batch.

    Returns:
        At least 0; None without at least two texts, or where student and teacher have different dimensions.
    """
    pair = taught(given)
    if pair is None or pair[0].images.shape[1] != pair[1].images.shape[1]:
        return None
    images, texts = slopes(pair[0], given.scale)
    teacher_images, teacher_texts = slopes(pair[1], given.teacher_scale)
    return functional.mse_loss(images, teacher_images) + functional.mse_loss(texts, teacher_texts)


def slopes(rows: Matched, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the gradients of half the summed cross-entropies, image to text and text to image.

    With images V, texts T, P = softmax(scale V T^T) over texts, Q = softmax(scale T V^T) over images, and their targets
    Y and W: ``E = (P - Y + (Q - W)^T) / 2``, dL/dV = scale E T, dL/dT = scale E^T V.

    Args:
        rows: images (M, D) and texts (K, D).
        scale: factor on the products.

    Returns:
        (M, D) and (K, D).
    """
    images, texts = rows.images, rows.texts
    over_texts = log_shares(images, texts, scale).exp() - rows.right.to(images.dtype)
    over_images = log_shares(texts, images, scale).exp() - positives(rows.right, images.dtype)
    error = (over_texts + over_images.T) / 2
    return scale * error @ texts, scale * error.T @ images
