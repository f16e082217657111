"""A plain training loop: images against the locked embeddings of their labels, for a stated CPU time."""

from __future__ import annotations

import math
import time

import torch
from torch import nn
from torch.nn import functional

SCALE = 30.0
"""Inverse softmax temperature of the loss."""

_BATCH = 64
_DECAY = 0.05
_WARM = 0.05
_CLIP = 1.0


def train(
    net: nn.Module,
    pixels: torch.Tensor,
    targets: torch.Tensor,
    labels: torch.Tensor,
    *,
    rate: float,
    seconds: float,
    seed: int,
) -> int:
    """Train in place: cross-entropy over all labels, AdamW, one cycle of the learning rate over the CPU time.

    Args:
        net: float32 (N, 3, S, S) planes in -1..1 to (N, D).
        pixels: uint8 (N, 3, S, S).
        targets: int64 (N,), a row of `labels` for each image.
        labels: float32 (K, D) unit rows; they are not trained.
        rate: peak learning rate.
        seconds: of this process's CPU time.
        seed: of shuffling and augmentation.

    Returns:
        Number of steps; it depends on the machine's speed, and so does the result a little.
    """
    generator = torch.Generator().manual_seed(seed)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=_DECAY)
    start, steps, order = time.process_time(), 0, torch.empty(0, dtype=torch.int64)
    while (done := (time.process_time() - start) / seconds) < 1:
        if len(order) < _BATCH:
            order = torch.randperm(len(pixels), generator=generator)
        chosen, order = order[:_BATCH], order[_BATCH:]
        optimizer.param_groups[0]["lr"] = rate * min(done / _WARM, 0.5 + 0.5 * math.cos(math.pi * done))
        rows = functional.normalize(net(augment(planes(pixels[chosen]), generator)), dim=-1)
        loss = functional.cross_entropy(SCALE * rows @ labels.T, targets[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), _CLIP)
        optimizer.step()
        steps += 1
    net.eval()
    return steps


def planes(pixels: torch.Tensor) -> torch.Tensor:
    """Return float32 planes in -1..1 for uint8 pixels."""
    return pixels.float() / 127.5 - 1


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn, scale, move and recolour each image a little, and take half of them nearly grey: vendors differ in all.

    Args:
        images: float32 (N, 3, S, S) in -1..1, on white.
        generator: of the amounts.

    Returns:
        The same shape, in about -1..1.
    """
    n = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    angle, size, stretch = uniform(-0.1, 0.1), uniform(0.88, 1.15), uniform(0.93, 1.07)
    cosine, sine = angle.cos() * size, angle.sin() * size
    top = torch.stack((cosine * stretch, -sine, uniform(-0.08, 0.08)), 1)
    matrix = torch.stack((top, torch.stack((sine, cosine / stretch, uniform(-0.08, 0.08)), 1)), 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    # White lies outside: sample the distance from white, which is zero there.
    moved = 1 + functional.grid_sample(images - 1, grid, align_corners=False)
    grey = moved.mean(1, keepdim=True)
    colour = (uniform(0.0, 1.0) * (uniform(0.0, 1.0) < 0.3))[:, None, None, None]
    mixed = moved + (grey - moved) * colour
    gain = torch.stack([uniform(0.85, 1.15) for _ in range(3)], 1)[:, :, None, None]
    return 1 + (mixed - 1) * gain
