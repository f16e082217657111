"""Power rails of a Jetson with JetPack 5 or later: the INA3221 as an hwmon chip."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import hwmon, rails, sysfs
from edgekit.benchmarks.meters.rail_meter import RailMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Datasheet SBOS576: gain error at most 0.25 % for the shunt voltage and 0.25 % for the bus voltage; their product adds
# them. The shunt resistor's own tolerance belongs to the board and is not in it.
ERROR = 0.005
# Channels 4 to 6 are shunt voltages and 7 their sum (Documentation/hwmon/ina3221.rst).
_RAILS = (1, 2, 3)
_MISSING = "hwmon has no ina3221 with a labelled rail (Jetson, JetPack 5 and later)"


class Ina3221(RailMeter):
    """Voltage times current of every connected rail; the meter ``ina3221``.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        super().__init__("ina3221", tuple(_rails(root)), _MISSING, ERROR)


def _rails(root: Path) -> Iterator[tuple[str, Callable[[], float | None]]]:
    for chip in hwmon.chips(root):
        if chip.name != "ina3221":
            continue
        for number in _RAILS:
            label = sysfs.text(chip.folder / f"in{number}_label")
            voltage, current = chip.folder / f"in{number}_input", chip.folder / f"curr{number}_input"
            if label and label != rails.UNUSED and voltage.exists() and current.exists():
                yield label, partial(_watts, voltage, current)


def _watts(voltage: Path, current: Path) -> float | None:
    millivolts, milliamperes = sysfs.number(voltage), sysfs.number(current)
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
