"""The loss that SigLIP is trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.distill.losses.matched import labelled

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def sigmoid(given: Inputs) -> Tensor | None:
    """Return the binary cross-entropy of every pair of a labelled image and a text of the batch.

    ``-1/N sum_ij log sigmoid(z_ij (scale * x_i . y_j + bias))``, z_ij being 1 where text j is image i's and -1 else
    (SigLIP, Zhai et al. 2023, arXiv 2303.15343, equation in section 3.2). A text that several images share is there
    once.

    Args:
        given: a batch.

    Returns:
        In nats per image, at least 0; None where fewer than two different texts are among the labelled images.
    """
    match = labelled(given)
    if match is None:
        return None
    logits = given.scale * match.images @ match.texts.T + given.bias
    signed = torch.where(match.right, logits, -logits)
    return -functional.logsigmoid(signed).sum(1).mean()
