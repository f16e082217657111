"""Which of several sensors a run's energy comes from. They overlap, so two scopes are never added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.results.energy_records import Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.meters.protocol import Channel
    from edgekit.benchmarks.meters.samples import Key

# What sees most comes first; a single rail is never taken for the energy of a run.
_SCOPES = ("device", "package", "accelerator")
_KINDS = ("energy", "power")


@dataclass(frozen=True)
class Chosen:
    """Series that together are one scope: one, or the disjoint sockets of one processor meter.

    Attributes:
        scope: of all of them.
        rail: what they see.
        meter: that read them.
        keys: of their channels.
        series: as many.
        error: greatest relative error that their documentation states; None where none is stated.
    """

    scope: str
    rail: str
    meter: str
    keys: tuple[Key, ...]
    series: tuple[Series, ...]
    error: float | None


def sees(scope: str, device: str) -> bool:
    """Say whether a sensor of `scope` sees a runtime's device (``cpu``, else an accelerator)."""
    return scope == "device" or scope == ("package" if device == "cpu" else "accelerator")


def choose(series: Sequence[Series], channels: Mapping[Key, Channel], device: str) -> Chosen | None:
    """Choose the sensor that sees most of the device in use.

    Args:
        series: everything that was sampled.
        channels: of the series.
        device: of the runtime, such as ``cpu`` or ``cuda``.

    Returns:
        Sensors that see `device` before those that do not, those that gave values before silent ones, then ``device``
        before ``package`` before ``accelerator``; of equals, counters of energy before power, then the order of
        `series`. The sockets of a processor (channels of scope ``package`` of the same meter and kind) are disjoint and
        belong together. None without any such sensor.
    """
    electric = []
    for one in series:
        channel = channels.get((one.meter, one.name))
        if channel is not None and channel.kind in _KINDS and channel.scope in _SCOPES:
            electric.append((one, channel))
    if not electric:
        return None

    def order(pair: tuple[Series, Channel]) -> tuple[bool, bool, int, int]:
        one, channel = pair
        silent = not one.times
        return not sees(channel.scope, device), silent, _SCOPES.index(channel.scope), _KINDS.index(channel.kind)

    first, best = min(electric, key=order)
    group = [(first, best)]
    if best.scope == "package":
        group = [(s, c) for s, c in electric if s.meter == first.meter and (c.scope, c.kind) == (best.scope, best.kind)]
    errors = [c.error for _, c in group if c.error is not None]
    return Chosen(
        best.scope,
        " + ".join(c.name for _, c in group),
        first.meter,
        tuple((s.meter, s.name) for s, _ in group),
        tuple(s for s, _ in group),
        max(errors, default=None),
    )
