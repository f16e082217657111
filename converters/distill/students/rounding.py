"""Training that sees int8: weights and activations rounded as edgekit's int8 methods do, gradients passed through.

What is imitated: `quantize.dynamic_int8` (weights of products with one symmetric scale for each output, activations in
uint8 with one scale and zero point for the whole tensor, found anew for each batch), `quantize.static_int8` (the same
for convolutions; a scale for each output channel makes rounding before or after folding a batch normalization the same)
and `compress.int8_weights` (a token table with one scale a row).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

LEVELS = 63
"""Largest weight code of a file for any processor: seven bits, since sums of two u8 x s8 products saturate on some."""

_ROUNDED = "_rounded_activations"


class RoundWeight(nn.Module):
    """A weight as it is after being stored in int8, one scale for each index of its first axis."""

    def __init__(self, levels: int) -> None:
        """Round to codes in -levels..levels."""
        super().__init__()
        self.levels = levels
        self.active = True

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the rounded weight; its gradient is the weight's (Bengio et al. 2013, arXiv 1308.3432)."""
        return weight + (symmetric(weight.detach(), self.levels) - weight.detach()) if self.active else weight


class RoundInput:
    """A forward pre-hook that rounds a layer's input to uint8."""

    def __call__(self, _module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Return the inputs, the first one rounded."""
        x = given[0]
        return (x + (affine(x.detach()) - x.detach()), *given[1:])


class RoundRows:
    """A forward hook that rounds what was looked up in a token table, as a table of int8 rows gives it."""

    def __call__(self, _module: nn.Module, _given: tuple[torch.Tensor, ...], rows: torch.Tensor) -> torch.Tensor:
        """Return the rows, each rounded with its own scale."""
        flat = rows.detach().reshape(-1, rows.shape[-1])
        return rows + (symmetric(flat, 127).view_as(rows) - rows.detach())


def symmetric(value: torch.Tensor, levels: int) -> torch.Tensor:
    """Round with one scale for each index of the first axis; see `compress.int8_weights.quantize`.

    Args:
        value: float, two or more axes.
        levels: the largest code.

    Returns:
        The value after rounding, of the same shape.
    """
    largest = value.abs().amax(dim=tuple(range(1, value.ndim)), keepdim=True)
    scale = largest / levels
    # Of a row of subnormal numbers the scale may be 0 though the numbers are not.
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.clamp(torch.round(value / scale), -levels, levels) * scale


def affine(value: torch.Tensor) -> torch.Tensor:
    """Round to uint8 with one scale and zero point, as ONNX's DynamicQuantizeLinear.

    Args:
        value: float; its range is widened to hold 0.

    Returns:
        The value after rounding, of the same shape.
    """
    low, high = value.amin().clamp(max=0.0), value.amax().clamp(min=0.0)
    scale = (high - low) / 255
    scale = torch.where(scale > torch.finfo(torch.float32).tiny, scale, torch.ones_like(scale))
    zero = torch.clamp(torch.round(-low / scale), 0, 255)
    return (torch.clamp(torch.round(value / scale) + zero, 0, 255) - zero) * scale


def add_rounding(module: nn.Module, *, levels: int = LEVELS) -> None:
    """Make a module compute as its int8 file will, from now on, in training and evaluation alike.

    Linear layers and convolutions round their weights and inputs, token tables the rows that are looked up. Parameters
    stay the same objects, so that an optimizer goes on; weights found so keep full precision until `finish`.

    Args:
        module: changed in place; one that rounds already stays as it is.
        levels: the largest weight code: 63 for files for any processor, 127 where it has an int8 dot product.
    """
    for part in list(module.modules()):
        if getattr(part, _ROUNDED, False):
            continue
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            parametrize.register_parametrization(part, "weight", RoundWeight(levels))
            part.register_forward_pre_hook(RoundInput())
        elif isinstance(part, nn.Embedding):
            part.register_forward_hook(RoundRows())
        elif isinstance(part, nn.EmbeddingBag):
            parametrize.register_parametrization(part, "weight", RoundWeight(127))
        else:
            continue
        setattr(part, _ROUNDED, True)


def remove_rounding(module: nn.Module) -> None:
    """Undo `add_rounding`: the module computes in float, with the weights that were trained.

    Args:
        module: changed in place; one that does not round stays as it is.
    """
    for part in list(module.modules()):
        if not getattr(part, _ROUNDED, False):
            continue
        # By kind and not by handle: handles do not survive a copy of the module.
        for hooks in (part._forward_pre_hooks, part._forward_hooks):
            for key in [key for key, hook in hooks.items() if isinstance(hook, (RoundInput, RoundRows))]:
                del hooks[key]
        if parametrize.is_parametrized(part, "weight"):
            _restore(part)
        delattr(part, _ROUNDED)


def _restore(part: nn.Module) -> None:
    steps: nn.ModuleList = part.parametrizations["weight"]  # type: ignore[index, assignment]
    others = [step for step in steps if not isinstance(step, RoundWeight)]
    for step in steps:
        if isinstance(step, RoundWeight):
            step.active = False
    if not others:
        parametrize.remove_parametrizations(part, "weight", leave_parametrized=False)
        return
    # A low-rank addition stays: only the rounding after it goes.
    for index in reversed([i for i, step in enumerate(steps) if isinstance(step, RoundWeight)]):
        del steps[index]
