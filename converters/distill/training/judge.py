"""Figures of a student, or of a teacher, on rows of embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.distill.training.records import Figure
from edgekit.evaluation.metrics import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Cases = npt.NDArray[np.float64]

_RECALLS = (1, 5, 10)
# Neighbours are looked for among so many rows; more would cost their square.
_NEIGHBOURS = 2000


@dataclass(frozen=True)
class Scores:
    """Figures and the cases behind the first of them.

    Attributes:
        figures: at least one.
        cases: float64 (n,), whose mean is the first figure's value.
    """

    figures: tuple[Figure, ...]
    cases: Cases


def by_labels(images: Rows, texts: Rows, targets: Sequence[Sequence[int]]) -> Scores:
    """Rank texts for each image that has a right one.

    Args:
        images: float32 (N, D) unit rows.
        texts: float32 (K, D) unit rows, K at least 1.
        targets: for each image, the indices of its right texts; at least one image has some.

    Returns:
        ``recall@1``, ``recall@5`` and ``recall@10``, as far as there are more texts than that.
    """
    known = [index for index, right in enumerate(targets) if right]
    found = places(images[known], texts, [targets[index] for index in known], max(_RECALLS))
    hits = {k: (found < k).astype(np.float64) for k in _RECALLS if k == 1 or k < len(texts)}
    return Scores(tuple(_figure(f"recall@{k}", cases) for k, cases in hits.items()), hits[1])


def by_teacher(student: Rows, teacher: Rows) -> Scores:
    """Compare rows with the teacher's of the same inputs.

    Args:
        student: float32 (N, D) unit rows, N at least 2.
        teacher: float32 (N, D_t) unit rows.

    Returns:
        ``centred_cosine`` where D = D_t, and ``agreement@1`` over at most the first 2000 rows.
    """
    found = []
    if student.shape == teacher.shape:
        found.append(("centred_cosine", _centred(student, teacher)))
    own, other = (_nearest(rows[:_NEIGHBOURS]) for rows in (student, teacher))
    found.append(("agreement@1", (own == other).astype(np.float64)))
    return Scores(tuple(_figure(name, cases) for name, cases in found), found[0][1])


def gain(new: Cases, old: Cases) -> tuple[float, float]:
    """Compare two students on the same cases.

    Args:
        new: float64 (n,).
        old: float64 (n,).

    Returns:
        The mean of the paired differences ``d_i = new_i - old_i``, and its standard error ``sd(d) / sqrt(n)``, the
        standard deviation with n - 1.
    """
    difference = new - old
    return float(difference.mean()), _error(difference)


def _figure(name: str, cases: Cases) -> Figure:
    return Figure(name, float(cases.mean()), _error(cases), len(cases))


def _error(cases: Cases) -> float:
    return float(cases.std(ddof=1) / np.sqrt(len(cases))) if len(cases) > 1 else 0.0


def _centred(student: Rows, teacher: Rows) -> Cases:
    own, other = student.astype(np.float64), teacher.astype(np.float64)
    mean = other.mean(0)
    own, other = own - mean, other - mean
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
    cosines: Cases = (own * other).sum(1) / np.where(lengths > 0, lengths, 1)
    return cosines


def _nearest(rows: Rows) -> npt.NDArray[np.int64]:
    products = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(products, -np.inf)
    nearest: npt.NDArray[np.int64] = products.argmax(1)
    return nearest
