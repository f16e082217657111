"""The modules that turn a classifier and a sentence encoder into two towers of one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH = 50


class ConseImageEncoder(nn.Module):
    """Planes to the average of class vectors, weighted by the class probabilities."""

    anchors: torch.Tensor

    def __init__(self, classifier: nn.Module, anchors: torch.Tensor) -> None:
        """Keep a classifier (N, 3, H, W) -> (N, K) logits, and one unit row for each class, (K, D)."""
        super().__init__()
        self.classifier = classifier
        self.register_buffer("anchors", anchors)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, D) for float32 (N, 3, H, W); rows are shorter than one."""
        logits: torch.Tensor = self.classifier(planes)
        return logits.softmax(dim=-1) @ self.anchors


class SentenceEncoder(nn.Module):
    """Token ids to a sentence embedding: the unit vector along the mean over real tokens."""

    def __init__(self, language: nn.Module, pad_id: int) -> None:
        """Keep a transformer encoder and the id its padding has."""
        super().__init__()
        self.language = language
        self.pad_id = pad_id

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, D) unit rows for int64 (N, L) ids with at least one that is not padding in a row."""
        mask = (token_ids != self.pad_id).to(torch.int64)
        hidden: torch.Tensor = self.language(input_ids=token_ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


class CentredTextEncoder(nn.Module):
    """Token ids to a sentence embedding minus a fixed vector."""

    mean: torch.Tensor

    def __init__(self, sentences: nn.Module, mean: torch.Tensor) -> None:
        """Keep a sentence encoder and the vector (D,) to subtract."""
        super().__init__()
        self.sentences = sentences
        self.register_buffer("mean", mean)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, D) for int64 (N, L)."""
        rows: torch.Tensor = self.sentences(token_ids)
        return rows - self.mean


class Prompts(nn.Module):
    """Texts as a buffer of bytes, so that they enter a digest of weights."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Keep the texts, in order."""
        super().__init__()
        content = bytearray("\n".join(texts).encode())
        self.register_buffer("content", torch.frombuffer(content, dtype=torch.uint8).clone())


def embed(sentences: nn.Module, tokenizer: Any, texts: Sequence[str], length: int) -> torch.Tensor:
    """Embed texts in batches.

    Args:
        sentences: int64 (N, L) ids to float32 (N, D).
        tokenizer: of transformers; pads each batch to its longest text.
        texts: the texts.
        length: longest number of ids; the rest of a text is cut.

    Returns:
        float32 (len(texts), D).
    """
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            tokens = tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )
            rows.append(sentences(tokens["input_ids"]))
    return torch.cat(rows).clone()
