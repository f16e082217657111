"""How alike contenders' embeddings of the same samples are: a fast contender that is wrong is no contender."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.versus.records import Agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.versus.records import Opened

    Row = Sequence[float]


def agreement(subject: Opened, rows: Sequence[Row], other: Opened, others: Sequence[Row]) -> Agreement:
    """Compare two contenders.

    Args:
        subject: the one.
        rows: its embeddings, any length above 0 each.
        other: the other.
        others: its embeddings of the same samples in the same order.

    Returns:
        Cosines; none where the two are of two embedding spaces, which have nothing in common.
    """
    reason = ""
    if subject.space and other.space and subject.space != other.space:
        reason = "another embedding space: the two are different models"
    elif len(rows[0]) != len(others[0]):
        reason = f"{len(others[0])} dimensions, not {len(rows[0])}: the two are different models"
    if reason:
        return Agreement(None, None, len(rows), reason)
    cosines = [_cosine(one, two) for one, two in zip(rows, others, strict=True)]
    return Agreement(min(cosines), float(np.mean(cosines)), len(cosines), "")


def problem(found: Agreement, name: str, least: float) -> str:
    """Say what is wrong with an agreement.

    Args:
        found: of another contender with the subject.
        name: of the other.
        least: cosine that the subject's own golden check demands.

    Returns:
        A sentence with the figure; empty where nothing is wrong, or nothing can be said.
    """
    if found.cosine_min is None or found.cosine_min >= least:
        return ""
    return (
        f"agreement: {name}'s embeddings are not the subject's (cosine {found.cosine_min:.4f}, at least {least:.4f} is"
        " needed): one of them is another model, or wrong"
    )


def _cosine(one: Row, two: Row) -> float:
    a, b = np.asarray(one, float), np.asarray(two, float)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    # What has no direction, or is no number, agrees with nothing.
    value = float(a @ b) / length if length > 0 else -1.0
    return value if np.isfinite(value) else -1.0
