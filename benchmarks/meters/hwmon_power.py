"""Power and energy of any other hwmon chip: graphics cards, server power meters, power supplies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.benchmarks.meters import boards, hwmon, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence


@dataclass(frozen=True)
class _Known:
    """What a driver's documentation says its channels see: chip, part of the label, scope."""

    chip: str
    label: str
    scope: str


# From Documentation/hwmon/*.rst and the drivers. Whatever is not here sees an unknown part.
_KNOWN = (
    _Known("power_meter", "", "device"),
    _Known("corsairpsu", "power total", "device"),
    _Known("macsmc_hwmon", "Total System Power", "device"),
    _Known("fam15h_power", "", "package"),
    _Known("amd_energy", "Esocket", "package"),
    _Known("amdgpu", "", "accelerator"),
    _Known("nouveau", "", "accelerator"),
    _Known("i915", "", "accelerator"),
    _Known("xe", "card", "accelerator"),
)
# They have meters of their own, or are batteries, which `battery` reads by their status.
_OTHERS = re.compile(r"ina[237]\d+|BAT\d|.*battery.*|bq2\w+|ucsi_.*")


class HwmonPower:
    """``powerN_input`` (else ``powerN_average``) in µW, and ``energyN_input`` in µJ.

    Args:
        root: folder that holds ``sys``.
        setting: name of the channel that feeds the whole board, or ``device`` where there is only one; empty where
            nobody knows.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        self._sensors, self._setting, self._period = _sensors(root), setting, _period(root)

    @property
    def name(self) -> str:
        """``hwmon-power``."""
        return "hwmon-power"

    def present(self) -> Presence:
        """Say whether any other chip has power or energy that can be read."""
        if not boards.read(self._sensors):
            return Presence(False, "no hwmon chip here gives power or energy that can be read")
        wrong = boards.misnamed(self._sensors, self._setting)
        return Presence(not wrong, wrong)

    def channels(self) -> tuple[Channel, ...]:
        """Return one channel a file."""
        return boards.channels(self._sensors, self._setting)

    def read(self) -> dict[str, float]:
        """Read every file and return watts or joules."""
        return boards.read(self._sensors)

    def period(self) -> float:
        """Return the longest averaging interval that a chip tells, at least 0.02 s."""
        return self._period


def _chips(root: Path) -> tuple[hwmon.Chip, ...]:
    return tuple(chip for chip in hwmon.chips(root) if not _OTHERS.fullmatch(chip.name))


def _sensors(root: Path) -> tuple[boards.Sensor, ...]:
    found = []
    for chip in _chips(root):
        power = {**hwmon.inputs(chip, "power", "average"), **hwmon.inputs(chip, "power")}
        for kind, files in (("power", power), ("energy", hwmon.inputs(chip, "energy"))):
            for number, path in sorted(files.items()):
                label = sysfs.text(chip.folder / f"{kind}{number}_label") or chip.label(f"{kind}{number}")
                name = f"{chip.name} {label or f'{kind}{number}'}"
                found.append(boards.Sensor(name, path, kind, _scope(chip, label), None))
    return boards.renamed(found)


def _scope(chip: hwmon.Chip, label: str) -> str:
    # An ACPI meter that lists what it measures does not see the rest.
    if chip.name == "power_meter" and sysfs.entries(chip.folder / "measures", "*"):
        return "rail"
    return next((k.scope for k in _KNOWN if k.chip == chip.name and label.startswith(k.label)), "rail")


def _period(root: Path) -> float:
    found = [
        milliseconds
        for chip in _chips(root)
        for path in hwmon.inputs(chip, "power", "average_interval").values()
        if (milliseconds := sysfs.number(path)) is not None
    ]
    return max([0.02, *(value / 1000 for value in found)])
