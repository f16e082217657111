"""Chips of the kernel's hardware monitoring, as ``/sys/class/hwmon`` lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import sysfs

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Chip:
    """One monitoring chip.

    Attributes:
        folder: its files.
        name: of its driver, such as ``ina3221``.
    """

    folder: Path
    name: str

    def label(self, item: str) -> str:
        """Return what the board calls a channel such as ``power1``: its own label, else the chip's; else empty."""
        for name in (f"{item}_label", "label"):
            found = sysfs.text(self.folder / name)
            if found:
                return found
        return ""


def chips(root: Path) -> tuple[Chip, ...]:
    """Return the chips under a root folder, by their numbers."""
    found = []
    for folder in sysfs.entries(root / "sys/class/hwmon", "hwmon*"):
        # Drivers older than Linux 3.13 have their files beside the parent device.
        for place in (folder, folder / "device"):
            name = sysfs.text(place / "name")
            if name:
                found.append(Chip(place, name))
                break
    return tuple(found)


def inputs(chip: Chip, kind: str, suffix: str = "input") -> dict[int, Path]:
    """Return the files ``{kind}N_{suffix}`` of a chip by their number N, in order."""
    pattern = re.compile(rf"{kind}(\d+)_{suffix}")
    found = {}
    for path in sysfs.entries(chip.folder, f"{kind}*_{suffix}"):
        match = pattern.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return found
