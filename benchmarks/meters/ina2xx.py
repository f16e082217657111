"""Power monitors of the INA2xx family on hwmon: Jetson Thor's INA238, and modules that people wire into a supply."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.benchmarks.meters import boards, hwmon, rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence

# Greatest errors that Texas Instruments' datasheets state; the shunt resistor's tolerance belongs to the board.
# INA226 (SBOS547): gain 0.1 % of the shunt voltage and 0.1 % of the bus voltage. INA238 (SLYS025): power, total 0.7 %.
_ERRORS = {"ina226": 0.002, "ina238": 0.007}
_FAMILY = re.compile(r"ina[27]\d\d")
_OTHERS = frozenset({"ina3221"})
# The module's INA238 is on its input (Jetson Linux Developer Guide, "Jetson Thor", power monitors).
_JETSON, _JETSON_INPUT = "nvidia,tegra", "ina238"


class Ina2xx:
    """``power1_input`` of every chip, in µW.

    Args:
        root: folder that holds ``sys``.
        setting: name of the channel that feeds the whole board, or ``device`` where there is only one; empty where
            nobody knows, and then only a Jetson's INA238 or a label such as ``VIN`` is taken for the whole.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        self._sensors, self._setting = _sensors(root), setting

    @property
    def name(self) -> str:
        """``ina2xx``."""
        return "ina2xx"

    def present(self) -> Presence:
        """Say whether hwmon has such a chip, and the setting names one of its channels."""
        if not self._sensors:
            return Presence(False, "hwmon has no INA2xx; load its driver, or tell the kernel the chip's I2C address")
        wrong = boards.misnamed(self._sensors, self._setting)
        return Presence(False, wrong) if wrong else rails.answering(self.read(), [s.name for s in self._sensors])

    def channels(self) -> tuple[Channel, ...]:
        """Return one channel a chip."""
        return boards.channels(self._sensors, self._setting)

    def read(self) -> dict[str, float]:
        """Read every chip and return watts."""
        return boards.read(self._sensors)

    def period(self) -> float:
        """Return 0.01 s; the drivers' default is one conversion of each voltage in 2.2 ms, some average 16."""
        return 0.01


def _sensors(root: Path) -> tuple[boards.Sensor, ...]:
    compatible = sysfs.text(root / "proc/device-tree/compatible") or ""
    found = []
    for chip in hwmon.chips(root):
        power = chip.folder / "power1_input"
        if not _FAMILY.fullmatch(chip.name) or chip.name in _OTHERS or not power.exists():
            continue
        scope = "device" if chip.name == _JETSON_INPUT and _JETSON in compatible else "rail"
        name = chip.label("power1") or chip.label("in1") or chip.name
        found.append(boards.Sensor(name, power, "power", scope, _ERRORS.get(chip.name)))
    return boards.renamed(found)
