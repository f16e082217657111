"""Raspberry Pi 5: the rails behind its power chip (PMIC), by the firmware's command."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.benchmarks.meters.vcgencmd import Command

SUM = "PMIC rails, without 5 V and USB loads"
"""The sum: processor, memory and 3.3 V and 1.8 V parts. What hangs on 5 V (USB, fan, HATs, an M.2 accelerator) and the
losses of the conversion are not in it."""

_LINE = re.compile(r"(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([-+]?\d+(?:\.\d+)?)([AV])")


class RaspberryPiPmic:
    """Current times voltage of each rail that has both, paired by name.

    Args:
        root: folder that holds ``usr/bin/vcgencmd``; for the running system the search path counts.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._command = Command(root)
        said, self._reason = self._command.ask("pmic_read_adc")
        self._rails = tuple(watts(said))
        if not self._rails and not self._reason:
            self._reason = "this board's power chip tells no currents (Raspberry Pi 5 and CM5 only)"

    @property
    def name(self) -> str:
        """``raspberry-pi-pmic``."""
        return "raspberry-pi-pmic"

    def present(self) -> Presence:
        """Say whether the firmware tells rails with both current and voltage."""
        return Presence(bool(self._rails), "" if self._rails else self._reason)

    def channels(self) -> tuple[Channel, ...]:
        """Return each rail, and their sum with scope ``package``: it does not see the whole board."""
        if not self._rails:
            return ()
        return (*(Channel(n, "power", "W", scope="rail") for n in self._rails), Channel(SUM, "power", "W", "package"))

    def read(self) -> dict[str, float]:
        """Ask the firmware and return watts; without the sum where a rail is missing."""
        found = watts(self._command.ask("pmic_read_adc")[0])
        if self._rails and all(name in found for name in self._rails):
            found[SUM] = sum(found[name] for name in self._rails)
        return found

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the command has taken so far."""
        return self._command.cpu_seconds

    def period(self) -> float:
        """Return 0.1 s: each reading starts a command and takes the firmware some milliseconds."""
        return 0.1


def watts(said: str) -> dict[str, float]:
    """Read the answer of ``vcgencmd pmic_read_adc``.

    Args:
        said: lines such as ``VDD_CORE_A current(7)=1.3680000A`` and ``VDD_CORE_V volt(15)=0.7212310V``.

    Returns:
        Watts of each rail that has both, by its name without the ending, in the order of the currents.
    """
    currents: dict[str, float] = {}
    voltages: dict[str, float] = {}
    for name, kind, value, unit in _LINE.findall(said):
        if kind == unit:
            (currents if kind == "A" else voltages)[name] = float(value)
    return {name: current * voltages[name] for name, current in currents.items() if name in voltages}
