"""Ridge regression in closed form, and what it predicts for each example when that one is left out.

With P the ridge solution's matrix of predictions, an example's prediction without it is (p - h t) / (1 - h), where p is
its prediction, t its target and h its place on P's diagonal (Cook 1977; Hastie, Tibshirani, Friedman, The Elements of
Statistical Learning, section 7.10). The constant is not penalized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# An example that alone decides its own prediction has no prediction without it: zero, the mean of what is regressed.
_ALONE = 1e-9


@dataclass(frozen=True)
class Ridge:
    """Rows decomposed once, for any number of penalties and targets.

    Attributes:
        mean: (D,) of the rows.
        left: (n, r), orthonormal columns.
        values: (r,) singular values of the centred rows.
        right: (r, D), orthonormal rows.
    """

    mean: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]

    @property
    def scale(self) -> float:
        """The mean of the squared singular values, above 0: a penalty of this size halves an average direction."""
        return float((self.values**2).mean()) or 1.0

    def left_out(self, targets: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
        """Return (n, K) predictions, each without its own example.

        Args:
            targets: (n, K).
            penalty: above 0.

        Returns:
            (n, K) float64.
        """
        shrunk = self.values**2 / (self.values**2 + penalty)
        mean = targets.mean(axis=0)
        fitted = mean + self.left @ (shrunk[:, None] * (self.left.T @ (targets - mean)))
        own = (1 / len(targets) + (self.left**2 @ shrunk))[:, None]
        free = np.maximum(1 - own, _ALONE)
        return np.where(1 - own > _ALONE, (fitted - own * targets) / free, 0.0)

    def solve(self, targets: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.float64]:
        """Return (K, D + 1): coefficients, and the constant last.

        Args:
            targets: (n, K).
            penalty: above 0.

        Returns:
            (K, D + 1) float64.
        """
        mean = targets.mean(axis=0)
        inverse = self.values / (self.values**2 + penalty)
        weights = (self.right.T @ (inverse[:, None] * (self.left.T @ (targets - mean)))).T
        return np.concatenate([weights, (mean - weights @ self.mean)[:, None]], axis=1)


def decompose(rows: npt.NDArray[np.float64]) -> Ridge:
    """Decompose rows (n, D), n at least 1."""
    mean = rows.mean(axis=0)
    left, values, right = np.linalg.svd(rows - mean, full_matrices=False)
    return Ridge(mean, left, values, right)
