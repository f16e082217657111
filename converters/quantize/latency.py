"""Compare the speed of two ways to do the same thing, taking turns, so that a drift of the machine hits both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WARM_UP = 2


def take_turns(
    candidate: Callable[[], object], reference: Callable[[], object], rounds: int, seconds: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Time two calls one after the other, in changing order.

    Args:
        candidate: what is compared.
        reference: what it is compared with.
        rounds: at most this many rounds, after some that are not counted.
        seconds: no further round begins after this time, but three are always made.

    Returns:
        Seconds per round of the candidate and of the reference.
    """
    for _ in range(_WARM_UP):
        candidate()
        reference()
    ours: list[float] = []
    theirs: list[float] = []
    begin = time.perf_counter()
    while len(ours) < rounds and (len(ours) < 3 or time.perf_counter() - begin < seconds):
        # Whoever comes second finds the caches as the first left them.
        for call, times in ((candidate, ours), (reference, theirs))[:: 1 if len(ours) % 2 else -1]:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return tuple(ours), tuple(theirs)
