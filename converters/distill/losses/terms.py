"""Pieces that several losses are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor


def added(terms: Sequence[Tensor]) -> Tensor | None:
    """Return the sum of 0-dimensional terms, None of none."""
    return sum(terms[1:], terms[0]) if terms else None


def log_shares(rows: Tensor, others: Tensor, scale: Tensor | float) -> Tensor:
    """Return the logarithm of the softmax of scaled cosines.

    Args:
        rows: float32 (M, D) unit rows.
        others: float32 (T, D) unit rows.
        scale: factor on the cosines.

    Returns:
        float32 (M, T); the exponentials of each row sum to 1.
    """
    return functional.log_softmax(scale * rows @ others.T, dim=1)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over rows of the Kullback-Leibler divergence KL(teacher || student), in nats.

    Args:
        student: float32 (M, T) log-probabilities.
        teacher: float32 (M, T) log-probabilities.

    Returns:
        0-dimensional, 0 where both agree.
    """
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def positives(right: Tensor, dtype: torch.dtype) -> Tensor:
    """Return each text's images as a distribution.

    Args:
        right: bool (M, T), at least one True in each column.
        dtype: of the result.

    Returns:
        (T, M), equal shares for the images of each text; rows sum to 1.
    """
    shares = right.T.to(dtype)
    return shares / shares.sum(1, keepdim=True)
