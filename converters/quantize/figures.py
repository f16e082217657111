"""How far rows of embeddings are from the float tower's: what the search minimizes, and what it promises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import Share
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True)
class Metric:
    """The task's own metric.

    Attributes:
        name: ``top-1`` of a classification, ``recall@1`` of a retrieval, image to text.
        float32: of the float towers.
        value: of the candidate.
        drop: by how much the candidate is worse, in points of 100; negative where it is better.
        error: standard error of `drop`, over the same images, in points.
    """

    name: str
    float32: Share
    value: Share
    drop: float
    error: float


def loss(rows: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> float:
    """Return 1 - mean centred cosine, at least 0; see `edgekit.fidelity.agreement`.

    Args:
        rows: (N, D), finite.
        reference: (N, D), of the float tower.

    Returns:
        0 where the rows are equal; small losses of different groups add up.
    """
    return max(0.0, 1.0 - agreement(rows, reference).centred_mean)


def flips(
    rows: npt.NDArray[np.floating], reference: npt.NDArray[np.floating], others: npt.NDArray[np.floating]
) -> float:
    """Return the share of rows whose best match among `others` is not the reference's.

    Args:
        rows: (N, D), of one tower.
        reference: (N, D), of the same tower in float.
        others: (M, D), of the other tower in float.

    Returns:
        In 0..1.
    """
    return float((np.argmax(rows @ others.T, axis=1) != np.argmax(reference @ others.T, axis=1)).mean())


def pool(rows: npt.NDArray[np.float32], prompts: int) -> npt.NDArray[np.float32]:
    """Average the rows of each text's prompts, as classification does.

    Args:
        rows: (M * prompts, D) float32 unit rows, a text's prompts one after the other.
        prompts: of each text.

    Returns:
        (M, D) float32 unit rows.
    """
    if prompts == 1:
        return rows
    means = rows.reshape(-1, prompts, rows.shape[1]).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def metric(
    name: str,
    found: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    reference: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    targets: Sequence[tuple[int, ...]],
) -> Metric:
    """Compare the share of images whose best text is a right one.

    Args:
        name: of the metric.
        found: (N, D) image rows and (M, D) text rows of the candidate.
        reference: the same of the float towers.
        targets: for each image, the indices of its right texts.

    Returns:
        Both shares with their binomial standard errors, and their difference with that of a paired comparison.
    """
    ours, theirs = _right(*found, targets), _right(*reference, targets)
    n = len(ours)
    differences = theirs.astype(float) - ours.astype(float)
    error = float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Metric(name, _share(theirs), _share(ours), 100 * float(differences.mean()), 100 * error)


def _right(
    image: npt.NDArray[np.float32], text: npt.NDArray[np.float32], targets: Sequence[tuple[int, ...]]
) -> npt.NDArray[np.bool_]:
    best = np.argmax(image @ text.T, axis=1)
    return np.array([int(index) in right for index, right in zip(best, targets, strict=True)])


def _share(right: npt.NDArray[np.bool_]) -> Share:
    value = float(right.mean())
    return Share(value, math.sqrt(value * (1 - value) / len(right)), len(right))
