"""Labelled examples as heads see them: embeddings, classes, and the logits that the labels alone give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Examples:
    """n labelled examples.

    Attributes:
        rows: (n, D) float64, unit rows: the photos' embeddings.
        classes: (n,) int64 in 0..K-1.
        logits: (n, K) float64, of the labels' embeddings alone.
    """

    rows: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> int:
        """Number K of labels."""
        return int(self.logits.shape[1])

    @property
    def wanted(self) -> npt.NDArray[np.float64]:
        """(n, K), one at each example's class, zero elsewhere."""
        return np.eye(self.labels)[self.classes]

    @property
    def spread(self) -> float:
        """By how much logits differ between the labels of one photo: the mean standard deviation, above 0."""
        return float(self.logits.std(axis=1).mean()) or 1.0

    def take(self, places: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Examples:
        """Return some of the examples, by their places or by a mask (n,)."""
        return Examples(self.rows[places], self.classes[places], self.logits[places])


def right(logits: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which examples are right: (n,) True where the class has the largest logit, the first of equal ones."""
    return np.asarray(logits.argmax(axis=1) == classes)


def log_loss(logits: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of the classes under a softmax, in nats."""
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((total - logits[np.arange(len(classes)), classes]).mean())
