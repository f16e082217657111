"""Energy counters that begin again at 0 when they are full."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A counter that was reset looks like one that wrapped, but then the device seems to have taken far more power than at
# any other time.
_IMPLAUSIBLE = 20.0


def unwrapped(times: Sequence[float], values: Sequence[float], wraps: float | None) -> tuple[float, ...]:
    """Turn a counter's readings into joules since the first of them.

    Args:
        times: seconds, increasing.
        values: joules as the counter showed them.
        wraps: joules at which it begins again at 0; None for a counter that does not.

    Returns:
        As many values. Where the counter fell and did not wrap, or where the wrap would mean more than half of its
        range at once or 20 times the greatest power seen elsewhere, the result falls too: the caller must refuse it.
    """
    if not values:
        return ()
    powers = [(b - a) / (u - t) for (t, a), (u, b) in pairwise(zip(times, values, strict=True)) if b >= a and u > t]
    most = _IMPLAUSIBLE * max(powers, default=float("inf"))
    found, offset = [0.0], 0.0
    for (t, a), (u, b) in pairwise(zip(times, values, strict=True)):
        if b < a and wraps is not None:
            step = b - a + wraps
            if step <= wraps / 2 and (most == 0 or step <= most * (u - t)):
                offset += wraps
        found.append(b + offset - values[0])
    return tuple(found)


def fell(values: Sequence[float]) -> bool:
    """Say whether a counter went backwards anywhere."""
    return any(b < a for a, b in pairwise(values))
