"""Two tiny towers with everything that makes a LiteRT conversion hard, exported as real ones are.

The image tower convolves (unequal padding, depthwise, ReLU6, a residual add) and ends in a transformer layer; the text
tower has a table, positions, a causal mask of minus infinity and takes the embedding at the largest token id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters import towers

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SIZE, LENGTH, WIDTH, VOCABULARY, DIMENSION = 32, 10, 32, 100, 16
SPEC = ImageSpec(SIZE, SIZE, "squash", 0, "bicubic", (0, 0, 0), (0.48, 0.45, 0.40), (0.27, 0.26, 0.28))


def _layer() -> nn.Module:
    # Exported in its plain form: linear layers, split heads, softmax, erf GELU.
    return nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.patches = nn.Conv2d(16, WIDTH, 4, 4)
        self.layer = _layer()
        self.head = nn.Linear(WIDTH, DIMENSION, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.stem(nn.functional.pad(x, (0, 1, 0, 1))))
        x = x + self.pointwise(nn.functional.relu6(self.depthwise(x)))
        x = self.layer(self.patches(x).flatten(2).transpose(1, 2))
        return self.head(x.mean(1))


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.layer = _layer()
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Parameter(torch.randn(WIDTH, DIMENSION))
        self.register_buffer("mask", torch.full((LENGTH, LENGTH), -torch.inf).triu(1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids) + self.positions[: ids.shape[1]]
        x = self.norm(self.layer(x, src_mask=self.mask[: ids.shape[1], : ids.shape[1]]))
        return x[torch.arange(ids.shape[0]), ids.argmax(dim=-1)] @ self.head


def save(path: Path, name: str) -> Path:
    """Export ``image`` or ``text`` to `path`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        encode = Image() if name == "image" else Text()
    tower = towers.image_tower(encode, SPEC) if name == "image" else towers.text_tower(encode, LENGTH, 0)
    tower.export(path)
    return path


def samples(name: str, count: int = 6) -> npt.NDArray[np.generic]:
    """Contract inputs: smooth random pixels, or ids that end in the largest one and are padded."""
    random = np.random.default_rng(3)
    if name == "image":
        coarse = random.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
        return np.ascontiguousarray(coarse.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2))
    ids = random.integers(3, VOCABULARY - 1, (count, LENGTH), dtype=np.int32)
    for row, used in zip(ids, random.integers(2, LENGTH, count), strict=True):
        row[used:] = 0
        row[used - 1] = VOCABULARY - 1
    return ids
