"""Power rails of a Jetson with JetPack 4: NVIDIA's own driver of the INA3221, which gives milliwatts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import rails, sysfs
from edgekit.benchmarks.meters.ina3221 import ERROR
from edgekit.benchmarks.meters.rail_meter import RailMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRIVER = "sys/bus/i2c/drivers/ina3221x"
_MISSING = f"no rail under /{_DRIVER} (Jetson, JetPack 4; later ones have the meter ina3221)"


class Ina3221Iio(RailMeter):
    """Power of every connected rail; the meter ``ina3221-iio``.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        super().__init__("ina3221-iio", tuple(_rails(root)), _MISSING, ERROR)


def _rails(root: Path) -> Iterator[tuple[str, Callable[[], float | None]]]:
    for chip in sysfs.entries(root / _DRIVER, "*-*"):
        for device in sysfs.entries(chip, "iio:device*"):
            for labelled in sysfs.entries(device, "rail_name_*"):
                label = sysfs.text(labelled)
                power = device / f"in_power{labelled.name.removeprefix('rail_name_')}_input"
                if label and label != rails.UNUSED and power.exists():
                    yield label, partial(_watts, power)


def _watts(power: Path) -> float | None:
    milliwatts = sysfs.number(power)
    return None if milliwatts is None else milliwatts / 1000
