"""Memory of a process, as Linux tells it in /proc; a meter of it that samples like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters.protocol import Channel, Presence

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIB = 1024
# Reading smaps_rollup walks all page tables of the process: milliseconds that must stay rare.
_PERIOD = 1.0


def status(pid: int | str) -> dict[str, float]:
    """Return the memory lines of ``/proc/PID/status``.

    Args:
        pid: of the process, or ``self``.

    Returns:
        MiB by name, such as ``VmHWM`` (largest resident set), ``VmRSS``, ``VmSwap``; empty where the system, or the
        process, is not there.
    """
    return _sizes(Path(f"/proc/{pid}/status"))


def unique(pid: int | str) -> float | None:
    """Return the MiB that would be free if the process ended (its unique set); None where the system does not tell."""
    sizes = _sizes(Path(f"/proc/{pid}/smaps_rollup"))
    parts = [sizes[name] for name in ("Private_Clean", "Private_Dirty") if name in sizes]
    return sum(parts) if len(parts) == 2 else None


@dataclass(frozen=True)
class ProcessMemory:
    """A meter of one process: its resident set and its unique set, in MiB.

    Attributes:
        pid: of the process.
    """

    pid: int

    @property
    def name(self) -> str:
        """``process``."""
        return "process"

    def present(self) -> Presence:
        """Say whether the process is there and the system tells its memory."""
        ok = "VmRSS" in status(self.pid)
        return Presence(ok, "" if ok else f"/proc/{self.pid}/status: not there, or it tells no memory")

    def channels(self) -> tuple[Channel, ...]:
        """``rss`` and ``uss``."""
        return (Channel("rss", "memory", "MiB"), Channel("uss", "memory", "MiB"))

    def read(self) -> Mapping[str, float]:
        """Read both; a process that has ended gives none."""
        values = {"rss": status(self.pid).get("VmRSS"), "uss": unique(self.pid)}
        return {name: value for name, value in values.items() if value is not None}

    def period(self) -> float:
        """One second."""
        return _PERIOD


def _sizes(path: Path) -> dict[str, float]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            found[name] = int(words[0]) / _KIB
    return found
