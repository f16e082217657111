"""Clocks and loads of devices other than processors: GPUs, NPUs, memory controllers."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence


class Devfreq:
    """Everything under ``/sys/class/devfreq``: clocks from Hz in MHz, and loads in percent where the driver tells.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._folders = {folder.name: folder for folder in sysfs.entries(root / "sys/class/devfreq", "*")}

    @property
    def name(self) -> str:
        """``devfreq``."""
        return "devfreq"

    def present(self) -> Presence:
        """Say whether a device tells its clock."""
        if self.read():
            return Presence(True, "")
        return Presence(False, "no GPU, NPU or memory controller tells its clock under /sys/class/devfreq")

    def channels(self) -> tuple[Channel, ...]:
        """Return one clock a device, and one load where its driver tells it."""
        clocks = [Channel(name, "clock", "MHz") for name in self._folders]
        loads = [f"{name} load" for name, folder in self._folders.items() if _load(folder) is not None]
        return (*clocks, *(Channel(name, "load", "%") for name in loads))

    def read(self) -> dict[str, float]:
        """Read every clock and load."""
        found = {}
        for name, folder in self._folders.items():
            clock, load = sysfs.number(folder / "cur_freq"), _load(folder)
            if clock is not None:
                found[name] = clock / 1e6
            if load is not None:
                found[f"{name} load"] = load
        return found

    def period(self) -> float:
        """Return 0.2 s; governors of devfreq poll every 50 to 100 ms."""
        return 0.2


def _load(folder: Path) -> float | None:
    # Rockchip's and Arm's Mali drivers write "37@800000000Hz".
    percent = (sysfs.text(folder / "load") or "").partition("@")[0].removesuffix("%")
    return float(percent) if percent.isdecimal() else None
