"""Means over seeds with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Student's t, two-sided 95 %, by degrees of freedom from 1 on; beyond, its expansion around the normal quantile.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_NORMAL = 1.959964


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        half: half the width of its 95 % interval, Student's t over the seeds; infinite for one seed.
        n: seeds.
    """

    value: float
    half: float
    n: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half


def mean(values: Sequence[float]) -> Mean:
    """Return the mean and ``t * sd / sqrt(n)``, the standard deviation with n - 1.

    Args:
        values: one of each seed.

    Returns:
        The mean.

    Raises:
        InputError: there are none.
    """
    if not values:
        raise InputError("no run to average over; give at least one seed")
    count = len(values)
    if count == 1:
        return Mean(float(values[0]), math.inf, 1)
    half = _quantile(count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return Mean(float(np.mean(values)), float(half), count)


def apart(higher: Mean, lower: Mean) -> bool:
    """Tell whether the one interval lies above the other."""
    return higher.low > lower.high


def _quantile(freedom: int) -> float:
    """Return Student's t, two-sided 95 % (beyond the table by Abramowitz and Stegun, 26.7.5)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
