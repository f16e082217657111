"""How far a training is, and the learning rate that belongs to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe import Training

# Of the peak; a rate of exactly 0 would waste the first step.
_LEAST = 0.01
# Steps divided and multiplied again must reach their whole number.
_ROUNDING = 1e-9


def share_done(training: Training, step: int, cpu_seconds: float) -> float:
    """Return how much of the training is done.

    Args:
        training: bounded by steps, CPU seconds, or both: then whichever comes first.
        step: steps made.
        cpu_seconds: CPU time they took, in seconds.

    Returns:
        In 0..1.
    """
    shares = [0.0]
    if training.steps:
        shares.append(step / training.steps)
    if training.cpu_seconds:
        shares.append(cpu_seconds / training.cpu_seconds)
    return min(1.0, max(shares))


def rate_at(share: float, peak: float, warmup: float) -> float:
    """Return the learning rate: a straight rise, then half a cosine down to 0 (Loshchilov & Hutter, arXiv 1608.03983).

    Args:
        share: of the training that is done, in 0..1.
        peak: the largest rate.
        warmup: share of the training in which it rises.

    Returns:
        In 0..peak, at least a hundredth of the peak while it rises.
    """
    if share < warmup:
        return peak * max(share / warmup, _LEAST)
    if warmup >= 1:
        return peak
    return peak * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) / 2


def marks_passed(share: float, marks: int) -> int:
    """Return how many of `marks` equal parts of the training are over."""
    return math.floor(share * marks + _ROUNDING)


def steps_expected(training: Training, step: int, share: float) -> int:
    """Return the steps in all, estimated from those made where CPU seconds bound the training."""
    if training.steps and not training.cpu_seconds:
        return training.steps
    expected = round(step / share) if share > 0 else training.steps
    return min(expected, training.steps) if training.steps else max(expected, step)
