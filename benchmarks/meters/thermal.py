"""Temperatures: the kernel's thermal zones, and the sensors of hwmon chips that are no zone."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import hwmon, rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence


class Thermal:
    """Every temperature that the kernel tells, in °C; both interfaces give thousandths of one.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = _files(root)

    @property
    def name(self) -> str:
        """``thermal``."""
        return "thermal"

    def present(self) -> Presence:
        """Say whether any sensor can be read."""
        if self.read():
            return Presence(True, "")
        return Presence(False, "the kernel lists no temperature sensor that can be read (usual in virtual machines)")

    def channels(self) -> tuple[Channel, ...]:
        """Return the sensors."""
        return tuple(Channel(name, "temperature", "°C") for name in self._files)

    def read(self) -> dict[str, float]:
        """Read every sensor; one that is switched off (a zone of a sleeping accelerator) is left out."""
        found = {name: sysfs.number(path) for name, path in self._files.items()}
        return {name: value / 1000 for name, value in found.items() if value is not None}

    def period(self) -> float:
        """Return 0.5 s: temperatures of boards move slowly."""
        return 0.5


def _files(root: Path) -> dict[str, Path]:
    names, files = [], []
    for zone in sysfs.entries(root / "sys/class/thermal", "thermal_zone*"):
        names.append(sysfs.text(zone / "type") or zone.name)
        files.append(zone / "temp")
    zones = {name.replace("-", "_") for name in names}
    for chip in hwmon.chips(root):
        # The kernel registers most zones as chips too, with dashes turned into underscores.
        if chip.name.replace("-", "_") in zones:
            continue
        for number, path in hwmon.inputs(chip, "temp").items():
            label = sysfs.text(chip.folder / f"temp{number}_label") or f"temp{number}"
            names.append(f"{chip.name} {label}")
            files.append(path)
    return dict(zip(rails.unique(names), files, strict=True))
