"""Sensors that hwmon lists without saying what they feed: the user may know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WHOLE = "device"
"""Setting that says: the only channel of the meter feeds the whole board."""


@dataclass(frozen=True)
class Sensor:
    """A file that holds power or energy.

    Attributes:
        name: unique in its meter.
        path: the file.
        kind: ``power`` in µW, or ``energy`` in µJ.
        scope: what it sees, as far as is known; ``rail`` otherwise.
        error: relative error that its documentation states.
    """

    name: str
    path: Path
    kind: str
    scope: str
    error: float | None

    def channel(self, scope: str) -> Channel:
        """Return the channel that the sensor is."""
        if self.kind == "energy":
            return Channel(self.name, "energy", "J", scope=scope, error=self.error)
        return Channel(self.name, "power", "W", scope=scope, error=self.error)


def channels(sensors: Sequence[Sensor], setting: str) -> tuple[Channel, ...]:
    """Describe sensors.

    Args:
        sensors: of one meter.
        setting: name of the one that feeds the whole board, or `WHOLE` where there is only one; empty for none.

    Returns:
        One channel a sensor. A name that is a total rail's (`rails.TOTALS`) sees the device too, unless another is
        named by the setting.
    """
    named = setting if setting != WHOLE else (sensors[0].name if len(sensors) == 1 else "")
    totals = [named] if named else [name for name in rails.TOTALS if any(s.name == name for s in sensors)][:1]
    return tuple(s.channel("device" if s.name in totals else s.scope) for s in sensors)


def misnamed(sensors: Sequence[Sensor], setting: str) -> str:
    """Return what is wrong with a setting; empty when nothing is."""
    names = [sensor.name for sensor in sensors]
    if not setting or setting in names or (setting == WHOLE and len(names) == 1):
        return ""
    return f"{setting!r} is none of its sensors: {', '.join(names)}"


def read(sensors: Sequence[Sensor]) -> dict[str, float]:
    """Read sensors: µW as watts, µJ as joules."""
    found = {sensor.name: sysfs.number(sensor.path) for sensor in sensors}
    return {name: value / 1e6 for name, value in found.items() if value is not None}


def renamed(sensors: Sequence[Sensor]) -> tuple[Sensor, ...]:
    """Return the sensors with names made distinct."""
    names = rails.unique([sensor.name for sensor in sensors])
    return tuple(Sensor(n, s.path, s.kind, s.scope, s.error) for n, s in zip(names, sensors, strict=True))
