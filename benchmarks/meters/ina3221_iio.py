"""Power rails of a Jetson with JetPack 4: NVIDIA's own driver of the INA3221, which gives milliwatts."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import rails, sysfs
from edgekit.benchmarks.meters.ina3221 import ERROR
from edgekit.benchmarks.meters.protocol import Channel, Presence

_DRIVER = "sys/bus/i2c/drivers/ina3221x"


class Ina3221Iio:
    """Power of every connected rail.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._rails = _rails(root)

    @property
    def name(self) -> str:
        """``ina3221-iio``."""
        return "ina3221-iio"

    def present(self) -> Presence:
        """Say whether the driver ``ina3221x`` has a connected rail."""
        if self._rails:
            return rails.answering(self.read(), tuple(self._rails))
        return Presence(False, f"no rail under /{_DRIVER} (Jetson, JetPack 4; later ones have the meter ina3221)")

    def channels(self) -> tuple[Channel, ...]:
        """Return the rails; see `rails.channels`."""
        return rails.channels(tuple(self._rails), ERROR)

    def read(self) -> dict[str, float]:
        """Read every rail's power (mW) and return watts."""
        found = {}
        for name, path in self._rails.items():
            milliwatts = sysfs.number(path)
            if milliwatts is not None:
                found[name] = milliwatts / 1000
        return rails.with_sum(found, tuple(self._rails))

    def period(self) -> float:
        """Return 0.01 s; see `edgekit.benchmarks.meters.ina3221.Ina3221.period`."""
        return 0.01


def _rails(root: Path) -> dict[str, Path]:
    names, files = [], []
    for chip in sysfs.entries(root / _DRIVER, "*-*"):
        for device in sysfs.entries(chip, "iio:device*"):
            for labelled in sysfs.entries(device, "rail_name_*"):
                label = sysfs.text(labelled)
                power = device / f"in_power{labelled.name.removeprefix('rail_name_')}_input"
                if label and label != rails.UNUSED and power.exists():
                    names.append(label)
                    files.append(power)
    return dict(zip(rails.unique(names), files, strict=True))
