"""What is to be fast, and which of the measured candidates that makes the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgekit.tower import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.results import Candidate

Objective = Literal["pair", "photo", "photos"]
BATCH = MAX_BATCH
OBJECTIVES: dict[Objective, str] = {
    "pair": "one photo and one text",
    "photo": "one photo, its texts embedded before",
    "photos": f"each photo of a batch of {BATCH}",
}
# Two medians this near each other are the same; then fewer threads and less memory decide.
_TIE = 1.03


def score(objective: Objective, times: dict[str, float]) -> float:
    """Return what an objective makes of each tower's milliseconds; for ``photos`` they are those of a whole batch."""
    if objective == "pair":
        return sum(times.values())
    return times["image"] / (BATCH if objective == "photos" else 1)


def best(candidates: Sequence[Candidate], final: frozenset[int]) -> int | None:
    """Choose the candidate to use.

    Args:
        candidates: as they were judged.
        final: indices of those timed in the last rounds; only they may win when one of them was accepted.

    Returns:
        The index of the fastest; among those within 3 % of it, of that with fewest threads, then the smallest peak
        memory. None when none was accepted.
    """
    accepted = [i for i, candidate in enumerate(candidates) if candidate.accepted]
    running = [i for i in accepted if i in final] or accepted
    if not running:
        return None
    fastest = min(candidates[i].milliseconds or 0.0 for i in running)
    tied = [i for i in running if (candidates[i].milliseconds or 0.0) <= _TIE * fastest]

    def thrift(i: int) -> tuple[int, float]:
        cost = candidates[i].cost
        return candidates[i].threads, (cost and cost.peak) or 0.0

    return min(tied, key=thrift)
