"""Train a part of a tower: low-rank additions to its matrices, or a linear map behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe import Part

ALPHA_OVER_RANK = 2.0
"""LoRA's alpha / r: additions are multiplied by it, so that the learning rate need not change with the rank."""


class LowRank(nn.Module):
    """W + (alpha / r) B A (Hu et al. 2021, arXiv 2106.09685); B starts at zero, so that the tower starts unchanged."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        """Make an addition to a weight whose first axis is its outputs; the rank is at most what the weight has."""
        super().__init__()
        outputs = weight.shape[0]
        inputs = weight.numel() // outputs
        rank = min(rank, outputs, inputs)
        self.down = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with the addition."""
        return weight + ALPHA_OVER_RANK * (self.up @ self.down).view_as(weight)


class Frozen(nn.Module):
    """A tower whose own weights stay: its normalizations keep their statistics, whatever the mode."""

    def __init__(self, base: nn.Module) -> None:
        """Wrap `base`; parameters that are to learn are added afterwards."""
        super().__init__()
        self.base = base.requires_grad_(False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Map what the tower maps."""
        rows: torch.Tensor = self.base(given)
        return rows

    def train(self, mode: bool = True) -> Frozen:
        """Switch the mode of everything but the tower, which stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self


class Probe(Frozen):
    """A frozen tower and a linear map of its embedding, which starts as the identity."""

    def __init__(self, base: nn.Module, dimension: int) -> None:
        """Wrap `base`, whose embeddings have `dimension` numbers."""
        super().__init__(base)
        self.map = nn.Linear(dimension, dimension)
        with torch.no_grad():
            nn.init.eye_(self.map.weight)
            nn.init.zeros_(self.map.bias)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Map what the tower maps; no gradient reaches the tower."""
        with torch.no_grad():
            rows = self.base(given)
        mapped: torch.Tensor = self.map(rows)
        return mapped


def adapted(module: nn.Module, train: Part, rank: int, dimension: int) -> nn.Module:
    """Make a tower trainable in the way that the recipe asks for.

    Args:
        module: the tower; changed in place.
        train: ``all``, ``lora`` or ``probe``.
        rank: of LoRA.
        dimension: D.

    Returns:
        The module to train, with `requires_grad` set on what learns.
    """
    if train == "probe":
        return Probe(module, dimension)
    if train == "all":
        return module.requires_grad_(True)
    frozen = Frozen(module)
    for part in list(module.modules()):
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            parametrize.register_parametrization(part, "weight", LowRank(part.weight, rank))
        elif isinstance(part, nn.MultiheadAttention) and part.in_proj_weight is not None:
            parametrize.register_parametrization(part, "in_proj_weight", LowRank(part.in_proj_weight, rank))
    return frozen


def merged(module: nn.Module) -> nn.Module:
    """Undo `adapted`: write low-rank additions into the weights, and a probe into the last linear layer.

    Args:
        module: what `adapted` returned; changed in place.

    Returns:
        A plain module that computes the same. A probe whose tower does not end in a linear layer stays as one more.
    """
    if not isinstance(module, Frozen):
        return module
    base = module.base
    for part in list(base.modules()):
        for name in list(getattr(part, "parametrizations", {})):
            parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    if not isinstance(module, Probe):
        return base
    last = last_linear(base)
    if last is None:
        return Mapped(base, module.map)
    _fold(last, module.map)
    return base


class Mapped(nn.Module):
    """A tower and a linear map."""

    def __init__(self, base: nn.Module, last: nn.Linear) -> None:
        """Put `last` behind `base`."""
        super().__init__()
        self.base, self.map = base, last
        self.last = "map"

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Map what the tower maps."""
        rows: torch.Tensor = self.map(self.base(given))
        return rows


def last_linear(module: nn.Module) -> nn.Linear | None:
    """Return the linear layer whose result is the tower's, where the tower says so.

    Args:
        module: a tower; those of this package have the layer's path in `last`.

    Returns:
        The layer, or None.
    """
    path = getattr(module, "last", "")
    found = module.get_submodule(path) if path else None
    return found if isinstance(found, nn.Linear) else None


def _fold(last: nn.Linear, following: nn.Linear) -> None:
    with torch.no_grad():
        weight, bias = following.weight.double(), following.bias.double()
        if last.bias is None:
            last.bias = nn.Parameter(torch.zeros(last.out_features))
        last.bias.copy_(weight @ last.bias.double() + bias)
        last.weight.copy_(weight @ last.weight.double())
