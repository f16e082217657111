"""Clocks of the processors, by group of processors that share one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.benchmarks.meters import sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence


@dataclass(frozen=True)
class Policy:
    """Processors that share a clock.

    Attributes:
        name: such as ``policy0``.
        folder: its files.
        processors: how many.
        governor: that chooses the clock, with the driver where that changes what the name means.
        most: MHz that the hardware can reach; None where it is not told.
    """

    name: str
    folder: Path
    processors: int
    governor: str
    most: float | None


class Cpufreq:
    """The clock of each policy, in MHz; the files hold kHz.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = {policy.name: policy.folder / "scaling_cur_freq" for policy in policies(root)}

    @property
    def name(self) -> str:
        """``cpufreq``."""
        return "cpufreq"

    def present(self) -> Presence:
        """Say whether a clock can be read."""
        if self.read():
            return Presence(True, "")
        return Presence(False, "the kernel tells no clock (no cpufreq driver; usual in virtual machines)")

    def channels(self) -> tuple[Channel, ...]:
        """Return the policies."""
        return tuple(Channel(f"cpu {name}", "clock", "MHz") for name in self._files)

    def read(self) -> dict[str, float]:
        """Read every clock."""
        found = {name: sysfs.number(path) for name, path in self._files.items()}
        return {f"cpu {name}": value / 1000 for name, value in found.items() if value is not None}

    def period(self) -> float:
        """Return 0.2 s: often enough to see throttling, and some drivers wake a processor to answer."""
        return 0.2


def policies(root: Path) -> tuple[Policy, ...]:
    """Return the groups of processors that share a clock; empty where the kernel has no cpufreq driver."""
    cpu = root / "sys/devices/system/cpu"
    folders = sysfs.entries(cpu / "cpufreq", "policy*")
    named = [(folder.name, folder) for folder in folders]
    # Before Linux 4.3 each processor had a folder, and no policy one.
    named = named or [(f.parent.name, f) for f in sysfs.entries(cpu, "cpu[0-9]*/cpufreq")]
    found = []
    for name, folder in named:
        processors = sysfs.listed(sysfs.text(folder / "affected_cpus") or "")
        most = sysfs.number(folder / "cpuinfo_max_freq")
        found.append(
            Policy(name, folder, max(1, len(processors)), _governor(folder), None if most is None else most / 1000)
        )
    return tuple(found)


def _governor(folder: Path) -> str:
    governor = sysfs.text(folder / "scaling_governor") or ""
    driver = sysfs.text(folder / "scaling_driver") or ""
    # These two drivers choose the clock by themselves under the name powersave, which elsewhere is the lowest clock
    # (Documentation/admin-guide/pm/intel_pstate.rst); their preference then says what they aim at.
    if governor in ("powersave", "performance") and driver in ("intel_pstate", "amd-pstate-epp"):
        preference = sysfs.text(folder / "energy_performance_preference")
        return f"{governor} ({driver}{f', {preference}' if preference else ''})"
    return governor
