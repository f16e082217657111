"""Power rails of a Jetson with JetPack 5 or later: the INA3221 as an hwmon chip."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import hwmon, rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence

# Datasheet SBOS576: gain error at most 0.25 % for the shunt voltage and 0.25 % for the bus voltage; their product adds
# them. The shunt resistor's own tolerance belongs to the board and is not in it.
ERROR = 0.005
# Channels 4 to 6 are shunt voltages and 7 their sum (Documentation/hwmon/ina3221.rst).
_RAILS = (1, 2, 3)


class Ina3221:
    """Voltage times current of every connected rail.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._rails = _rails(root)

    @property
    def name(self) -> str:
        """``ina3221``."""
        return "ina3221"

    def present(self) -> Presence:
        """Say whether hwmon has an INA3221 with a connected rail."""
        if self._rails:
            return rails.answering(self.read(), tuple(self._rails))
        return Presence(False, "hwmon has no ina3221 with a labelled rail (Jetson, JetPack 5 and later)")

    def channels(self) -> tuple[Channel, ...]:
        """Return the rails; see `rails.channels`."""
        return rails.channels(tuple(self._rails), ERROR)

    def read(self) -> dict[str, float]:
        """Read voltage (mV) and current (mA) of each rail and return watts."""
        found = {}
        for name, (voltage, current) in self._rails.items():
            millivolts, milliamperes = sysfs.number(voltage), sysfs.number(current)
            if millivolts is not None and milliamperes is not None:
                found[name] = millivolts * milliamperes / 1e6
        return rails.with_sum(found, tuple(self._rails))

    def period(self) -> float:
        """Return 0.01 s: NVIDIA's drivers average 16 conversions of 1.1 ms of up to three rails and twice a rail."""
        return 0.01


def _rails(root: Path) -> dict[str, tuple[Path, Path]]:
    names, files = [], []
    for chip in hwmon.chips(root):
        if chip.name != "ina3221":
            continue
        for number in _RAILS:
            label = sysfs.text(chip.folder / f"in{number}_label")
            voltage, current = chip.folder / f"in{number}_input", chip.folder / f"curr{number}_input"
            if label and label != rails.UNUSED and voltage.exists() and current.exists():
                names.append(label)
                files.append((voltage, current))
    return dict(zip(rails.unique(names), files, strict=True))
