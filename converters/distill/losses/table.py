"""Every loss by its name, and their weighted sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.converters.distill.losses.affinity import affinity
from edgekit.converters.distill.losses.bank import bank
from edgekit.converters.distill.losses.contrastive import contrastive
from edgekit.converters.distill.losses.feature import cosine, feature
from edgekit.converters.distill.losses.geometry import geometry
from edgekit.converters.distill.losses.gradient import gradient
from edgekit.converters.distill.losses.interactive import interactive
from edgekit.converters.distill.losses.labels import labels
from edgekit.converters.distill.losses.records import Loss
from edgekit.converters.distill.losses.relation import relation
from edgekit.converters.distill.losses.sigmoid import sigmoid
from edgekit.converters.distill.losses.terms import added
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs

LOSSES: Mapping[str, Loss] = {
    "feature": Loss(feature, True, "squared distance to the teacher's embeddings", "CLIP-KD, arXiv 2307.12732 (FD)"),
    "cosine": Loss(cosine, True, "angle to the teacher's embeddings", "DistilBERT, arXiv 1910.01108"),
    "relation": Loss(relation, True, "the teacher's similarities within the batch", "CLIP-KD, arXiv 2307.12732 (CRD)"),
    "affinity": Loss(
        affinity, True, "the teacher's image-text affinities, at its temperature", "TinyCLIP, arXiv 2309.12314"
    ),
    "interactive": Loss(interactive, True, "contrast with the teacher's embeddings", "CLIP-KD, arXiv 2307.12732 (ICL)"),
    "gradient": Loss(
        gradient, True, "the contrastive loss's gradients, as the teacher's", "CLIP-KD, arXiv 2307.12732 (GD)"
    ),
    "bank": Loss(bank, True, "the teacher's probabilities over all texts", "Hinton et al., arXiv 1503.02531"),
    "geometry": Loss(geometry, True, "the teacher's distances within the batch", "RKD, arXiv 1904.05068"),
    "labels": Loss(labels, False, "cross-entropy of the labels over all texts", "CLIP, arXiv 2103.00020"),
    "contrastive": Loss(contrastive, False, "images against texts of the batch", "CLIP, arXiv 2103.00020"),
    "sigmoid": Loss(sigmoid, False, "each pair of the batch by itself", "SigLIP, arXiv 2303.15343"),
}
"""The losses of a recipe."""


def total(given: Sequence[tuple[float, Inputs]], weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """Add up the losses of one batch.

    A loss that depends on the teacher is summed over the teachers, each with its weight; one that does not is counted
    once. A loss that has nothing to work on in this batch is left out.

    Args:
        given: each teacher's weight and the batch as it sees it; at least one.
        weights: of the losses, by name; one of weight 0 is not computed.

    Returns:
        The weighted sum, 0-dimensional, and each loss's own value, detached, before its weight.

    Raises:
        InputError: a loss is unknown, or none of them applies to this batch.
    """
    parts: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if name not in LOSSES:
            raise InputError(f"losses: {name} is not known; there are {', '.join(LOSSES)}")
        value = _value(LOSSES[name], given) if weight else None
        if value is not None:
            parts[name] = value
    if not parts:
        raise InputError(
            f"losses: none of {', '.join(weights) or '(no loss)'} applies to this batch of {_batch(given)}; add one"
            " that does, such as feature, or label more of the images"
        )
    terms = [weights[name] * value for name, value in parts.items()]
    return torch.stack(terms).sum(), {name: value.detach() for name, value in parts.items()}


def _value(loss: Loss, given: Sequence[tuple[float, Inputs]]) -> Tensor | None:
    found = [(factor, value) for factor, inputs in given if (value := loss.compute(inputs)) is not None]
    if not found:
        return None
    if not loss.teacher:
        return found[0][1]
    return added([factor * value for factor, value in found])


def _batch(given: Sequence[tuple[float, Inputs]]) -> str:
    first = given[0][1]
    images = 0 if first.images is None else len(first.images)
    labelled = 0 if first.labels is None else int((first.labels >= 0).sum())
    texts = 0 if first.text is None else len(first.text.student)
    return f"{images} images, {labelled} of them with a label, and {texts} texts"
