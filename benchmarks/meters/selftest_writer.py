"""The power that faked devices show, and the truth about it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.meters.faked import FAKED, Faked

if TYPE_CHECKING:
    from pathlib import Path

_TICK = 0.004


class Writer:
    """Changes the files of all faked devices from a thread, and keeps when.

    Args:
        root: folder that umockdev shows as ``/``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.perf_counter_ns()
        self._shown: list[list[tuple[int, float, float]]] = [[] for _ in FAKED]
        for faked in FAKED:
            self._prepare(faked)
        self._write()

    def start(self) -> None:
        """Begin to change them, 250 times a second where the machine lets it."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()

    def joules(self, index: int, begin: int, end: int) -> float:
        """Integrate what a device showed: each power from its writing to the next one's.

        Args:
            index: of the device in `FAKED`.
            begin: `time.perf_counter_ns` at the begin of the window.
            end: and at its end.

        Returns:
            Joules.
        """
        times, watts, _ = (np.array(column, np.float64) for column in zip(*self._shown[index], strict=True))
        energy = np.concatenate(([0.0], np.cumsum(watts[:-1] * np.diff(times)))) / 1e9
        first, last = np.interp([begin, end], times, energy)
        return float(last - first)

    def write(self) -> None:
        """Write every device's present value."""
        with self._lock:
            self._write()

    def _prepare(self, faked: Faked) -> None:
        for link in faked.links:
            place = self._root / "sys" / link
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self._root / "sys" / faked.folder)
        for path, text in faked.others:
            place = self._root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def _run(self) -> None:
        while not self._stop.wait(_TICK):
            self.write()

    def _write(self) -> None:
        for faked, shown in zip(FAKED, self._shown, strict=True):
            now = time.perf_counter_ns()
            watts = faked.power((now - self._began) / 1e9)
            before, power, joules = shown[-1] if shown else (now, 0.0, 0.0)
            joules += power * (now - before) / 1e9
            for name, text in faked.files(watts, joules).items():
                temporary = self._root / ".edgekit-next"
                temporary.write_text(text + "\n")
                temporary.replace(self._root / "sys" / faked.folder / name)
            shown.append((now, watts, joules))
