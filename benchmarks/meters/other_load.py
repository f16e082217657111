"""CPU time of all other processes, while a run is measured."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.benchmarks.device import load
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.errors import InputError

_CHANNEL = "other processes"
# Over less, a tick of 10 ms is too coarse; the last value is given again.
_LEAST_SECONDS = 0.5


class OtherLoad:
    """Processors that others keep busy between two readings, in percent of one processor.

    Args:
        root: folder that holds ``proc``.
        setting: number of the process that, with its descendants, is not "other"; empty for this one.

    Raises:
        InputError: `setting` is no number.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        if setting and not setting.isdecimal():
            raise InputError(f"other-load={setting}: the setting is the number of a process")
        self._root, self._pid = root, int(setting) if setting else os.getpid()
        self._last = load.cpu_time(root, self._pid)
        self._load: float | None = None

    @property
    def name(self) -> str:
        """``other-load``."""
        return "other-load"

    def present(self) -> Presence:
        """Say whether the system tells the CPU time of all processes."""
        if self._last is not None:
            return Presence(True, "")
        return Presence(False, "the system hides /proc/stat (Android does); end other programs by hand")

    def channels(self) -> tuple[Channel, ...]:
        """Return one load."""
        return (Channel(_CHANNEL, "load", "%"),) if self._last is not None else ()

    def read(self) -> dict[str, float]:
        """Return the load since the last reading."""
        last = load.cpu_time(self._root, self._pid)
        if self._last is not None and last is not None and last.at - self._last.at >= _LEAST_SECONDS:
            self._load, self._last = load.other(self._last, last), last
        return {} if self._load is None else {_CHANNEL: 100 * self._load}

    def period(self) -> float:
        """Return 1 s: the kernel counts in ticks of 10 ms."""
        return 1.0
