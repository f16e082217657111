"""Energy counters of Intel and AMD processors (RAPL), as the kernel's powercap interface gives them."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence

_ZONES = "sys/class/powercap"
# `intel-rapl-mmio` shows the same packages by another way: they would be counted twice.
_PATTERN = "intel-rapl:*"


class Rapl:
    """``energy_uj`` of every zone, in µJ; it begins again at 0 after ``max_energy_range_uj``.

    A package is the processor: cores, caches, graphics, and its own memory controller. Memory (``dram``) is apart from
    it, ``core`` and ``uncore`` are parts of it, and what ``psys`` sees is up to the board's maker: these are rails.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._zones = _zones(root)

    @property
    def name(self) -> str:
        """``rapl``."""
        return "rapl"

    def present(self) -> Presence:
        """Say whether the counters are here, and whether this user may read them."""
        if not self._zones:
            return Presence(
                False, "no intel-rapl zone under /sys/class/powercap (no such processor, or a virtual machine)"
            )
        if self.read():
            return Presence(True, "")
        # Since Linux 5.10, because fast readings betray secret keys (CVE-2020-8694).
        return Presence(
            False,
            "only root may read the energy counters: run as root, or "
            "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
        )

    def channels(self) -> tuple[Channel, ...]:
        """Return one counter a zone."""
        return tuple(
            Channel(
                name,
                "energy",
                "J",
                scope="package" if name.startswith("package") and " " not in name else "rail",
                wraps=_wraps(folder),
            )
            for name, folder in self._zones.items()
        )

    def read(self) -> dict[str, float]:
        """Read every counter and return joules."""
        found = {name: sysfs.number(folder / "energy_uj") for name, folder in self._zones.items()}
        return {name: value / 1e6 for name, value in found.items() if value is not None}

    def period(self) -> float:
        """Return 0.01 s; the counters move every millisecond."""
        return 0.01


def _zones(root: Path) -> dict[str, Path]:
    top = root / _ZONES
    names, folders = [], []
    for folder in sysfs.entries(top, _PATTERN):
        name = sysfs.text(folder / "name")
        if not name or not (folder / "energy_uj").exists():
            continue
        # intel-rapl:0:2 is a part of intel-rapl:0.
        parent = folder.name.rpartition(":")[0] if folder.name.count(":") > 1 else ""
        above = sysfs.text(top / parent / "name") if parent else None
        names.append(f"{above} {name}" if above else name)
        folders.append(folder)
    return dict(zip(rails.unique(names), folders, strict=True))


def _wraps(folder: Path) -> float | None:
    most = sysfs.number(folder / "max_energy_range_uj")
    return most / 1e6 if most else None
