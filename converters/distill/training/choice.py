"""Which texts the images of a batch are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.batches import Bank

# A bank of more texts is cut down to those of the batch.
WHOLE_BANK = 4096
# Of a text with more prompts, each step takes the next ones: all of OpenAI's eighty would cost more than the images.
PROMPTS_AT_ONCE = 4


@dataclass(frozen=True)
class Choice:
    """Texts for one step.

    Attributes:
        labels: int64 (N,) of the global batch, indices into the chosen texts, or -1.
        texts: int64 (K,) indices of the chosen texts in the bank; None takes the whole bank as it is.
        token_ids: int64 (K, prompts, L) where the text tower learns; None else.
    """

    labels: Tensor
    texts: Tensor | None
    token_ids: Tensor | None


def choose(bank: Bank, labels: Tensor, step: int, pad_id: int | None) -> Choice | None:
    """Choose the texts of a step.

    Args:
        bank: of the training images; on any device.
        labels: int64 (N,) of the global batch, on the bank's device.
        step: number of the step, which chooses among many prompts.
        pad_id: of the text tower that learns; None where it is kept.

    Returns:
        The whole bank where the text tower is kept and the bank is small, else the distinct texts of the labels; None
        where there are none.
    """
    learns = pad_id is not None and bank.token_ids is not None
    if not bank.texts:
        return None
    if not learns and len(bank.texts) <= WHOLE_BANK:
        return Choice(labels, None, None)
    known = labels >= 0
    texts = torch.unique(labels[known])
    if not len(texts):
        return None
    places = torch.where(known, torch.searchsorted(texts, labels.clamp(min=0)), -1)
    if not learns or bank.token_ids is None or pad_id is None:
        return Choice(places, texts, None)
    every = bank.token_ids.reshape(len(bank.texts), bank.prompts, -1)
    ids = every[texts][:, prompts_of(step, bank.prompts)]
    return Choice(places, texts, trimmed(ids, pad_id))


def prompts_of(step: int, prompts: int) -> list[int]:
    """Return which prompts a step uses."""
    if prompts <= PROMPTS_AT_ONCE:
        return list(range(prompts))
    return [(step * PROMPTS_AT_ONCE + index) % prompts for index in range(PROMPTS_AT_ONCE)]


def trimmed(token_ids: Tensor, pad_id: int) -> Tensor:
    """Cut off the last columns that hold only padding; at least one column stays."""
    used = (token_ids != pad_id).flatten(0, -2).any(0).nonzero()
    return token_ids[..., : int(used.max()) + 1 if len(used) else 1]
