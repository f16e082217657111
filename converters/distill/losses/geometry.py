"""Distances between the rows of a batch, whatever the dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.distill.losses.terms import added

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


def geometry(given: Inputs) -> Tensor | None:
    """Return how far the distances between rows are from the teacher's, each over their mean (RKD-D).

    The mean Huber loss over pairs of rows of a tower, summed over the two towers (relational knowledge distillation,
    Park et al. 2019, arXiv 1904.05068, equations 4 to 7). It needs neither texts nor equal dimensions.

    Args:
        given: a batch.

    Returns:
        At least 0; None where neither tower has three rows in this batch.
    """
    pairs = [pair for pair in (given.image, given.text) if pair is not None and len(pair.student) > 2]
    terms = [functional.smooth_l1_loss(_distances(pair.student), _distances(pair.teacher)) for pair in pairs]
    return added(terms)


def _distances(rows: Tensor) -> Tensor:
    """Return (N (N - 1) / 2,) distances between different rows, divided by their mean."""
    first, second = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    # Unlike a square root of 0, this has a slope everywhere: two inputs of a batch may be the same.
    apart = ((rows[first] - rows[second]).square().sum(1) + 1e-12).sqrt()
    return apart / apart.mean().clamp_min(1e-6)
