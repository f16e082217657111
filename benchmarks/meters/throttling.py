"""Being slowed down, as the system itself says: flags for now, counters for what happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.benchmarks.meters import hwmon, rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.benchmarks.meters.vcgencmd import Command

Read = Callable[[], "float | None"]

# Raspberry Pi documentation, "vcgencmd get_throttled"; bits 16 to 19 say the same of any time since the start.
PI_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Cooling by slower clocks; other devices of the kind are fans and displays.
_SLOWING = ("cpufreq", "Processor", "cpu-", "thermal-cpufreq", "thermal-devfreq", "devfreq", "throttle", "gpu", "cpu_")


class Throttling:
    """Raspberry Pi's flags, the kernel's cooling devices, x86 counters, Jetson's over-current counters.

    Args:
        root: folder that holds ``sys`` and, for Raspberry Pi, ``usr/bin/vcgencmd``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root, self._command = root, Command(root)
        self._pi = tuple(_pi(root, self._command))
        self._flags = _cooling(root)
        self._counts: dict[str, Read] = {**_x86(root), **_over_current(root)}

    @property
    def name(self) -> str:
        """``throttling``."""
        return "throttling"

    def present(self) -> Presence:
        """Say whether the system tells at all."""
        if self.read():
            return Presence(True, "")
        return Presence(False, "the system does not tell when it is slowed down; clocks and latency over time have to")

    def channels(self) -> tuple[Channel, ...]:
        """Return flags (1 while slowed down) and counters (of events since the start)."""
        flags = [Channel(name, "throttle", "flag") for name in (*self._pi, *self._flags)]
        return (*flags, *(Channel(name, "throttle", "count") for name in self._counts))

    def read(self) -> dict[str, float]:
        """Read every flag and counter."""
        firmware = _pi(self._root, self._command) if self._pi else {}
        found = {name: read() for name, read in (*self._flags.items(), *self._counts.items())}
        return {**firmware, **{name: value for name, value in found.items() if value is not None}}

    @property
    def cpu_seconds(self) -> float:
        """CPU time that commands have taken so far."""
        return self._command.cpu_seconds

    def period(self) -> float:
        """Return 1 s; events between two readings stay in the counters, and last for seconds on a Raspberry Pi."""
        return 1.0


def now(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the names of the flags that are up at this moment."""
    flags = {**_pi(root, Command(root)), **{name: read() for name, read in _cooling(root).items()}}
    return tuple(name for name, up in flags.items() if up)


def _pi(root: Path, command: Command) -> dict[str, float]:
    """Ask a Raspberry Pi's firmware, by the kernel's file where there is one; empty on other boards."""
    said = sysfs.text(root / _PI_FILE)
    if said is None and command.installed:
        said = command.ask("get_throttled")[0].partition("=")[2]
    try:
        bits = int(said or "", 16)
    except ValueError:
        return {}
    return {f"firmware: {name}": float(bits >> bit & 1) for bit, name in PI_BITS.items()}


def _cooling(root: Path) -> dict[str, Read]:
    names, files = [], []
    for folder in sysfs.entries(root / "sys/class/thermal", "cooling_device*"):
        kind = sysfs.text(folder / "type") or ""
        if kind.startswith(_SLOWING):
            names.append(f"cooling: {kind}")
            files.append(folder / "cur_state")

    def reader(path: Path) -> Read:
        def read() -> float | None:
            state = sysfs.number(path)
            return None if state is None else float(state > 0)

        return read

    return {name: reader(path) for name, path in zip(rails.unique(names), files, strict=True)}


def _x86(root: Path) -> dict[str, Read]:
    cpu = root / "sys/devices/system/cpu"
    found: dict[str, Read] = {}
    for kind in ("core", "package"):
        files = sysfs.entries(cpu, f"cpu[0-9]*/thermal_throttle/{kind}_throttle_count")
        if files:
            found[f"x86 {kind} thermal"] = _sum(files)
    return found


def _over_current(root: Path) -> dict[str, Read]:
    found: dict[str, Read] = {}
    for chip in hwmon.chips(root):
        for number, path in hwmon.inputs(chip, "oc", "event_cnt").items():
            found[f"{chip.name} over-current {number}"] = _sum((path,))
    return found


def _sum(files: tuple[Path, ...]) -> Read:
    def read() -> float | None:
        values = [value for value in map(sysfs.number, files) if value is not None]
        return sum(values) if values else None

    return read
