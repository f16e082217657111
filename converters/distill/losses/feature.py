"""Row by row: the student's embedding beside the teacher's of the same input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgekit.converters.distill.losses.terms import added

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def feature(given: Inputs) -> Tensor | None:
    """Return the squared distance between the student's rows and the teacher's (feature distillation).

    The mean over rows of ``||s_i - t_i||^2``, for images and for texts, summed over the two towers (CLIP-KD, Yang et
    al. 2024, arXiv 2307.12732, section "Feature Distillation"; there the mean over dimensions too, times 2000). Where
    student and teacher have the same dimension it is twice `cosine`; else s_i is the mapped row, of any length.

    Args:
        given: a batch.

    Returns:
        At least 0; None where neither tower learns from this batch.
    """
    pairs = [pair for pair in (given.image, given.text) if pair is not None]
    terms = [(pair.mapped - pair.teacher).square().sum(1).mean() for pair in pairs]
    return added(terms)


def cosine(given: Inputs) -> Tensor | None:
    """Return 1 less the cosine between the student's rows and the teacher's.

    The mean over rows, for images and for texts, summed over the two towers. As `feature`, but blind to the length of
    mapped rows (as in the embedding loss of DistilBERT, Sanh et al. 2019, arXiv 1910.01108, section 2).

    Args:
        given: a batch.

    Returns:
        In 0..4; None where neither tower learns from this batch.
    """
    pairs = [pair for pair in (given.image, given.text) if pair is not None]
    terms = [1 - functional.cosine_similarity(pair.mapped, pair.teacher, dim=1).mean() for pair in pairs]
    return added(terms)
