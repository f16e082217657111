"""Which supply rail of a board stands for the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.meters.protocol import Channel, Presence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# NVIDIA's names of the rail that feeds a Jetson module or board, most of it first (Jetson Linux Developer Guide,
# "Power monitors"); a module without any of them has only disjoint rails, which add up.
TOTALS = ("VIN", "POM_5V_IN", "VDD_IN")
SUM = "sum of rails"
# A rail's label where nothing is connected.
UNUSED = "NC"


def total(names: Sequence[str]) -> str:
    """Return the rail that feeds all others; `SUM` when none of them does."""
    return next((name for name in TOTALS if name in names), SUM)


def channels(names: Sequence[str], error: float | None) -> tuple[Channel, ...]:
    """Describe a board's rails.

    Args:
        names: of the rails.
        error: relative error of the sensor.

    Returns:
        One channel a rail, in watts: the total with scope ``device``, the others ``rail``. Without a total, a last
        channel `SUM` has scope ``device``.
    """
    if not names:
        return ()
    whole = total(names)
    every = [Channel(n, "power", "W", scope="device" if n == whole else "rail", error=error) for n in names]
    if whole == SUM:
        every.append(Channel(SUM, "power", "W", scope="device", error=error))
    return tuple(every)


def with_sum(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Add the sum to readings of the rails `names`, where no rail is the total and every one was read."""
    found = dict(values)
    if names and total(names) == SUM and all(name in found for name in names):
        found[SUM] = sum(found[name] for name in names)
    return found


def answering(values: Mapping[str, float], names: Sequence[str]) -> Presence:
    """Say whether any of the rails `names` gave a value."""
    if values:
        return Presence(True, "")
    return Presence(False, f"the kernel lists {', '.join(names)}, but none of them can be read; try as root")


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names made distinct: the second ``VDD`` becomes ``VDD 2``, or the next number that no rail has."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        # Another rail's own label may end in the number.
        while free in found or (number > 1 and free in names):
            number += 1
            free = f"{name} {number}"
        found.append(free)
    return tuple(found)
