"""Which texts of the bank the images of a batch belong to, with repeated texts counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs


@dataclass(frozen=True)
class Matched:
    """Images of a batch and the distinct texts they belong to, at least two.

    Attributes:
        images: float32 (M, D), unit rows.
        texts: float32 (T, D), unit rows, in the bank's order.
        right: bool (M, T), one True in each row and at least one in each column.
    """

    images: Tensor
    texts: Tensor
    right: Tensor


def labelled(given: Inputs) -> Matched | None:
    """Match the images that have a label.

    Args:
        given: a batch.

    Returns:
        None where fewer than two different texts are among them: there is nothing to tell apart.
    """
    if given.images is None or given.bank is None or given.labels is None:
        return None
    known = given.labels >= 0
    distinct, right = _distinct(given.labels[known])
    return Matched(given.images[known], given.bank[distinct], right) if len(distinct) > 1 else None


def taught(given: Inputs) -> tuple[Matched, Matched] | None:
    """Match every image; the bank's text that the teacher finds nearest stands for a label that is missing.

    Args:
        given: a batch.

    Returns:
        The student's and the teacher's rows, in the same order; None where images, bank or teacher are missing, or all
        images belong to one text.
    """
    if given.images is None or given.bank is None or given.teacher_images is None or given.teacher_bank is None:
        return None
    if len(given.images) == 0 or len(given.teacher_bank) < 2:
        return None
    own = (given.teacher_images @ given.teacher_bank.T).argmax(1)
    if given.labels is not None:
        own = torch.where(given.labels >= 0, given.labels, own)
    distinct, right = _distinct(own)
    if len(distinct) < 2:
        return None
    student = Matched(given.images, given.bank[distinct], right)
    return student, Matched(given.teacher_images, given.teacher_bank[distinct], right)


def _distinct(own: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct texts, ascending, and which of them is each image's."""
    distinct, place = torch.unique(own, return_inverse=True)
    return distinct, functional.one_hot(place, len(distinct)).bool() if len(distinct) else own.new_zeros(0, 0).bool()
