"""A small transformer for texts, whose token table may be factorized."""

from __future__ import annotations

import torch
from torch import nn

from edgekit.converters.distill.students.attention import Attention
from edgekit.converters.graph.masks import MASKED

WIDTH, LAYERS = 256, 4
HEAD_DIM = 64


def default_factor(vocabulary: int, width: int) -> int:
    """Return the columns of the token table: fewer than `width` where the table would outweigh the blocks.

    Args:
        vocabulary: tokens.
        width: channels of a token.

    Returns:
        `width` itself for up to 2,048 tokens, else a quarter of it, at least 32.
    """
    return width if vocabulary <= 2048 else min(width, max(32, width // 4))


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to its input; norms come first."""

    def __init__(self, width: int, heads: int) -> None:
        """Make a block of `width` channels."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, width // heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map float32 (N, L, width) to the same shape; `mask` is added to the logits."""
        tokens = tokens + self.attention(self.norm1(tokens), mask)
        result: torch.Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class TextTransformer(nn.Module):
    """Token ids to embeddings: learned positions, blocks that see the whole text, the mean over its tokens.

    The token table has `factor` columns and a linear map to `width` (ALBERT: Lan et al. 2020, arXiv 1909.11942), so
    that a large vocabulary does not outweigh the rest. Padding is masked out of attention and mean by a finite number.
    """

    def __init__(
        self,
        vocabulary: int,
        factor: int,
        width: int,
        layers: int,
        heads: int,
        context_length: int,
        dimension: int,
        pad_id: int,
    ) -> None:
        """Make a tower; `heads` divides `width`."""
        super().__init__()
        self.pad_id = pad_id
        self.table = nn.Embedding(vocabulary, factor)
        self.widen = nn.Identity() if factor == width else nn.Linear(factor, width, bias=False)
        self.positions = nn.Parameter(torch.randn(context_length, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, dimension)
        self.last = "head"
        nn.init.normal_(self.table.weight, std=0.02 if factor == width else 0.1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) padded ids to float32 (N, D)."""
        padded = ids == self.pad_id
        mask = padded.to(torch.float32)[:, None, None, :] * MASKED
        tokens = self.widen(self.table(ids)) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            tokens = block(tokens, mask)
        kept = (~padded).to(torch.float32).unsqueeze(-1)
        mean = (self.norm(tokens) * kept).sum(1) / kept.sum(1).clamp_min(1.0)
        rows: torch.Tensor = self.head(mean)
        return rows
