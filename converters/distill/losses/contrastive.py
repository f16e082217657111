"""The loss that CLIP itself is trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill.losses.matched import labelled
from edgekit.converters.distill.losses.terms import log_shares, positives

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def contrastive(given: Inputs) -> Tensor | None:
    """Return how badly labelled images and their texts find each other within the batch (InfoNCE).

    The mean of two cross-entropies, image to text and text to image (CLIP, Radford et al. 2021, arXiv 2103.00020,
    figure 3). A text that several images of the batch share is there once; it shares its probability equally among
    them (SupCon's L_out, Khosla et al. 2020, arXiv 2004.11362, equation 2), so that none of them is a negative.

    Args:
        given: a batch.

    Returns:
        In nats, at least 0; None where fewer than two different texts are among the labelled images.
    """
    match = labelled(given)
    if match is None:
        return None
    to_texts = log_shares(match.images, match.texts, given.scale)[match.right].mean()
    to_images = log_shares(match.texts, match.images, given.scale)
    return -(to_texts + (to_images * positives(match.right, to_images.dtype)).sum(1).mean()) / 2
