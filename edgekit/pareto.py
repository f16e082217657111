"""Which of several candidates no other beats in everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def front(points: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
    """Return the indices of the points that no other point dominates.

    One point dominates another when it is at most as large in every coordinate and smaller in one. Of equal points
    the first is kept.

    Args:
        points: each as long as the others; smaller is better; NaN is worse than anything.

    Returns:
        Indices in rising order.
    """
    clean = [tuple(float("inf") if value != value else value for value in point) for point in points]
    kept = []
    for i, point in enumerate(clean):
        beaten = any(
            all(b <= a for a, b in zip(point, other, strict=True)) and (other != point or j < i)
            for j, other in enumerate(clean)
            if j != i
        )
        if not beaten:
            kept.append(i)
    return tuple(kept)
