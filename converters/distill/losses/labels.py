"""The labels alone, without a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def labels(given: Inputs) -> Tensor | None:
    """Return the cross-entropy of the labelled images over the whole bank.

    ``-log softmax(scale * x . B^T)[label]``, the mean over labelled images: the zero-shot classifier's own loss (CLIP,
    Radford et al. 2021, arXiv 2103.00020, section 3.1.2, trained; LiT, Zhai et al. 2022, arXiv 2111.07991, where the
    texts are locked).

    Args:
        given: a batch.

    Returns:
        In nats, at least 0; None where no image has a label, or the bank has fewer than two texts.
    """
    if given.images is None or given.bank is None or given.labels is None or len(given.bank) < 2:
        return None
    known = given.labels >= 0
    if not bool(known.any()):
        return None
    return functional.cross_entropy(given.scale * given.images[known] @ given.bank.T, given.labels[known])
