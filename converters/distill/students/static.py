"""A text tower of microseconds: a vector for each token, their sum, and one small perceptron.

It starts as model2vec does (a sentence encoder's own vector of each token alone, principal components, weights that
fall with a token's frequency), and is trained from there. The weight of a token is the length of its vector: only the
direction of the sum counts, so that weights, mask and mean need no operators of their own. Without mixing layers the
tower sees a bag of tokens: it cannot know their order, nor what a negation belongs to.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from edgekit.converters.distill.students.transformer import Block
from edgekit.converters.graph.masks import MASKED
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

WIDTH, HEADS, HIDDEN = 128, 4, 512
"""Defaults: numbers of a token's vector, heads of a mixing layer, and neurons of the perceptron."""

_SMOOTHING = 1e-3
_BATCH = 256


class StaticText(nn.Module):
    """Token ids to embeddings: looked-up vectors, mixing layers if any, their sum, its normalization, a perceptron.

    The perceptron's input stands beside its neurons in the last matrix, so that a linear map is within reach.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        dimension: int,
        pad_id: int,
        context_length: int,
    ) -> None:
        """Make a tower with random weights; `heads` divides `width` where there are layers."""
        super().__init__()
        self.pad_id = pad_id
        # The row of the padding is zero and stays zero.
        self.table = nn.Embedding(vocabulary, width, padding_idx=pad_id)
        nn.init.normal_(self.table.weight, std=0.05)
        with torch.no_grad():
            self.table.weight[pad_id].zero_()
        self.positions = nn.Parameter(torch.zeros(context_length, width)) if layers else None
        self.blocks = nn.ModuleList(_unmixed(Block(width, heads)) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, HIDDEN)
        self.head = nn.Linear(width + HIDDEN, dimension)
        self.last = "head"

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) padded ids to float32 (N, D)."""
        tokens = self.table(ids)
        if self.positions is not None:
            tokens = self._mixed(tokens, self.positions, ids == self.pad_id)
        pooled = self.norm(tokens.sum(1))
        rows: torch.Tensor = self.head(torch.cat([pooled, torch.relu(self.hidden(pooled))], dim=1))
        return rows

    def _mixed(self, tokens: torch.Tensor, positions: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
        mask = padded.to(torch.float32)[:, None, None, :] * MASKED
        tokens = tokens + positions[: tokens.shape[1]]
        for block in self.blocks:
            tokens = block(tokens, mask)
        return tokens * (~padded).to(torch.float32).unsqueeze(-1)


def make_static(
    vocabulary: int,
    *,
    dimension: int,
    pad_id: int,
    context_length: int,
    width: int = 0,
    layers: int = 0,
    heads: int = 0,
) -> StaticText:
    """Make a static text tower with random weights of torch's current seed.

    Args:
        vocabulary: tokens.
        dimension: D.
        pad_id: id of the padding token.
        context_length: longest L.
        width: of a token's vector; 0 is `WIDTH`.
        layers: of attention that mix tokens before they are summed; 0 is none.
        heads: attention heads of a layer; 0 is `HEADS`.

    Returns:
        The tower: int64 (N, L) to float32 (N, D).

    Raises:
        InputError: the heads do not divide the width.
    """
    width, heads = width or WIDTH, heads or HEADS
    if layers and width % heads:
        raise InputError(f"student.text.heads: {heads} do not divide the width {width}; give another number")
    return StaticText(vocabulary, width, layers, heads, dimension, pad_id, context_length)


def initialize(module: StaticText, rows: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]) -> None:
    """Start from the teacher's vectors, in place: the tower then maps a text to a weighted sum of them.

    Each vector's part along the principal axes of all used tokens is kept (Minish's model2vec), times a / (a + p) with
    p the token's share of the texts and a = 0.001 (smooth inverse frequency, Arora et al. 2017). Mixing layers start as
    the identity, the perceptron's neurons without a say.

    Args:
        module: the tower.
        rows: float32 (vocabulary, D_t), the teacher's embedding of each token alone; `token_rows` makes them.
        counts: int64 (vocabulary,), how often the texts use each token.

    Raises:
        InputError: they are not one for each token.
    """
    size, width = module.table.weight.shape
    if len(rows) != size or len(counts) != size:
        raise InputError(
            f"static tower: {len(rows)} rows and {len(counts)} counts for {size} tokens; give one for each"
        )
    axes = _principal_axes(rows[counts > 0] if (counts > 0).any() else rows, width)
    weights = _SMOOTHING / (_SMOOTHING + counts / max(1, counts.sum()))
    vectors = (rows @ axes.T) * weights[:, None]
    vectors[module.pad_id] = 0
    with torch.no_grad():
        module.table.weight.copy_(torch.from_numpy(vectors.astype(np.float32)))
        module.head.bias.zero_()
        module.head.weight.zero_()
        dimension = min(rows.shape[1], module.head.weight.shape[0])
        module.head.weight[:dimension, :width] = torch.from_numpy(axes.T[:dimension].astype(np.float32))


def token_rows(
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    tokenizer_json: str,
    vocabulary: int,
    on_progress: Callable[[int, int], None],
) -> npt.NDArray[np.float32]:
    """Embed each token of a tokenizer as if it were a text.

    Args:
        embed: texts to float32 (N, D_t) unit rows: a loaded teacher's `embed_texts`.
        tokenizer_json: of the `tokenizers` library.
        vocabulary: tokens.
        on_progress: called with tokens done and in all.

    Returns:
        float32 (vocabulary, D_t), less their mean; 0 for special tokens and those that stand for no text of their own.
    """
    written = _written(tokenizer_json, vocabulary)
    distinct = sorted(set(written) - {""}, key=lambda text: (len(text), text))
    found: dict[str, npt.NDArray[np.float32]] = {}
    for start in range(0, len(distinct), _BATCH):
        part = distinct[start : start + _BATCH]
        found.update(zip(part, embed(part), strict=True))
        on_progress(min(start + _BATCH, len(distinct)), len(distinct))
    if not found:
        raise InputError("tokenizer: none of its tokens stands for a text of its own; the teacher cannot embed them")
    mean = np.mean(list(found.values()), axis=0)
    nothing = np.zeros_like(mean)
    return np.stack([found[text] - mean if text else nothing for text in written]).astype(np.float32)


def _written(tokenizer_json: str, vocabulary: int) -> list[str]:
    """Return what each token stands for, without the marks of a piece; nothing for special tokens."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    prefix = json.loads(tokenizer_json)["model"].get("continuing_subword_prefix") or ""
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    texts = []
    for i in range(vocabulary):
        text = "" if i in special else tokenizer.decode([i]).strip()
        texts.append(text.removeprefix(prefix) if prefix and text != prefix else text)
    return texts


def _principal_axes(rows: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Return (count, D_t) orthonormal rows along which the given ones vary most; 0 where there are fewer axes."""
    # The second moment, not the covariance: the mean was taken off already, over all tokens.
    _, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows.astype(np.float64))
    axes = np.zeros((count, rows.shape[1]), np.float32)
    found = vectors[:, ::-1].T[:count]
    axes[: len(found)] = found
    return axes


def _unmixed(block: Block) -> Block:
    """Let a block start as the identity."""
    for layer in (block.attention.out, block.mlp[2]):
        nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return block
