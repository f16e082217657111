"""Two small image encoders: one of convolutions, one of attention, since the two quantize differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Architecture = Literal["conv", "vit"]


@dataclass(frozen=True)
class Net:
    """An architecture.

    Attributes:
        size: height and width of its input, in pixels.
        rate: peak learning rate it trains well at.
        make: output dimension D to a module, float32 (N, 3, size, size) planes in -1..1 to (N, D).
    """

    size: int
    rate: float
    make: Callable[[int], nn.Module]


class ConvEncoder(nn.Module):
    """Four convolutions with batch normalization; 358,392 parameters at D = 384."""

    def __init__(self, dimension: int) -> None:
        """Make a network with `dimension` outputs."""
        super().__init__()
        widths = ((3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 172, 1))
        self.body = nn.Sequential(*(_conv(given, taken, stride) for given, taken, stride in widths))
        self.head = nn.Linear(widths[-1][1], dimension)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, D) for float32 (N, 3, 32, 32)."""
        pooled = self.body(planes).mean((2, 3))
        rows: torch.Tensor = self.head(pooled)
        return rows


class Attention(nn.Module):
    """Self-attention of a pre-normalized transformer, written out in products that every exporter knows."""

    def __init__(self, width: int, heads: int) -> None:
        """Make `heads` heads of together `width` channels."""
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (N, T, C) for (N, T, C)."""
        n, t, c = tokens.shape
        parts = self.query_key_value(tokens).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        weights = (query @ key.transpose(-2, -1) * self.scale).softmax(-1)
        mixed: torch.Tensor = self.project((weights @ value).transpose(1, 2).reshape(n, t, c))
        return mixed


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to its input (Vaswani et al. 2017; pre-norm)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        """Make a block of `width` channels."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (N, T, C) for (N, T, C)."""
        tokens = tokens + self.attention(self.norm1(tokens))
        mixed: torch.Tensor = tokens + self.mlp(self.norm2(tokens))
        return mixed


class VitEncoder(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021) of 16 tokens, the mean in place of a class token.

    Four convolutions make the tokens in the place of one (Xiao et al. 2021, arXiv 2106.14881): a single one needs many
    more epochs than a benchmark has.
    """

    def __init__(self, dimension: int, width: int = 128, depth: int = 3) -> None:
        """Make a network with `dimension` outputs."""
        super().__init__()
        widths = ((3, 24, 2), (24, 48, 2), (48, 96, 2))
        stem = (_conv(given, taken, stride) for given, taken, stride in widths)
        self.patches = nn.Sequential(*stem, nn.Conv2d(widths[-1][1], width, 3, 2, 1))
        self.positions = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, 4, 2 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, dimension)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, D) for float32 (N, 3, 64, 64)."""
        tokens = self.patches(planes).flatten(2).transpose(1, 2) + self.positions
        rows: torch.Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return rows


def _conv(given: int, taken: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, taken, 3, stride, 1, bias=False), nn.BatchNorm2d(taken), nn.ReLU(inplace=True)
    )


NETS: Mapping[Architecture, Net] = {
    "conv": Net(size=32, rate=3e-3, make=ConvEncoder),
    "vit": Net(size=64, rate=2e-3, make=VitEncoder),
}
