"""A meter on a serial port that writes one line a reading; its lines are stamped when they arrive."""

from __future__ import annotations

import math
import re
import threading
import time
from array import array
from pathlib import Path
from typing import Any

from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.errors import InputError

_INSTALL = 'pip install "edgekit[serial]"'
_NO_PORT = "name its port: --meter serial-log=/dev/ttyUSB0 or serial-log=/dev/ttyUSB0@115200"
_CHANNEL, _BAUD = "serial", 115200
_FACTORS = {"": 1.0, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3}
_FIGURE = re.compile(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([uµmk]?)([WVA]?)(?![A-Za-z])")
# A comma inside a figure: whether it parts thousands or begins a fraction, nobody can tell.
_COMMA = re.compile(r"\d,\d+\s*[uµmk]?[WVA](?![A-Za-z])")
_WAIT = 0.2


class SerialLog:
    """Lines such as ``4.37``, ``4370 mW`` or ``5.01 V, 0.872 A`` from a serial port.

    Args:
        root: folder that holds ``dev``, for ports given without a leading slash.
        setting: port, with its speed behind an ``@`` (default 115200); empty for none.

    Raises:
        InputError: the speed is no number.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        port, _, speed = setting.partition("@")
        if speed and not speed.isdecimal():
            raise InputError(f"serial-log={setting}: behind the @ stands the speed in bits a second, such as 115200")
        self._port = str(root / "dev" / port) if port and not port.startswith("/") else port
        self._speed = int(speed or _BAUD)
        self._line: Any = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._times, self._values = array("q"), array("d")

    @property
    def name(self) -> str:
        """``serial-log``."""
        return "serial-log"

    def present(self) -> Presence:
        """Say whether a port was named, pyserial is installed, and the port opens."""
        if not self._port:
            return Presence(False, _NO_PORT)
        try:
            self._open().close()
        except InputError as error:
            return Presence(False, str(error))
        return Presence(True, "")

    def channels(self) -> tuple[Channel, ...]:
        """Return one: an external meter feeds the whole device."""
        return (Channel(_CHANNEL, "power", "W", scope="device"),) if self._port else ()

    def read(self) -> dict[str, float]:
        """Return the newest line's power."""
        return {_CHANNEL: self._values[-1]} if self._values else {}

    def period(self) -> float:
        """Return 0.1 s; nobody polls it, see `logged`."""
        return 0.1

    def start(self) -> None:
        """Open the port and stamp lines from a thread until `stop`.

        Raises:
            InputError: the port does not open.
        """
        self._line, self._times, self._values = self._open(), array("q"), array("d")
        self._stop.clear()
        self._thread = threading.Thread(target=self._listen, name="edgekit-serial", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._line is not None:
            self._line.close()

    def logged(self) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
        """Return the lines so far."""
        n = min(len(self._times), len(self._values))
        return {_CHANNEL: (tuple(self._times[:n]), tuple(self._values[:n]))}

    def _open(self) -> Any:
        try:
            import serial
        except ImportError as error:
            raise InputError(f"the package pyserial is not installed: {_INSTALL}") from error
        try:
            return serial.Serial(self._port, self._speed, timeout=_WAIT)
        except (serial.SerialException, OSError, ValueError) as error:
            raise InputError(f"{self._port}: does not open: {error}") from error

    def _listen(self) -> None:
        rest = b""
        while not self._stop.is_set():
            try:
                came = self._line.read(max(1, self._line.in_waiting))
            # The meter was unplugged: what came stays, and the gap is found later.
            except Exception:
                return
            stamp = time.perf_counter_ns()
            *lines, rest = (rest + came).split(b"\n")
            for line in lines:
                watts = power(line.decode(errors="replace"))
                if watts is not None:
                    self._times.append(stamp)
                    self._values.append(watts)


def power(line: str) -> float | None:
    """Read one line.

    Args:
        line: with a figure in W (or mW, uW), or figures in V and A (mV, mA), or one number alone, which is in watts.

    Returns:
        Watts, finite; None for anything else, figures with a comma in them included.
    """
    found = _power(line)
    return found if found is not None and math.isfinite(found) else None


def _power(line: str) -> float | None:
    if _COMMA.search(line):
        return None
    figures = [(float(value) * _FACTORS[prefix], unit) for value, prefix, unit in _FIGURE.findall(line)]
    by_unit: dict[str, float] = {}
    for value, unit in figures:
        by_unit.setdefault(unit, value)
    if "W" in by_unit:
        return by_unit["W"]
    if "V" in by_unit and "A" in by_unit:
        return by_unit["V"] * by_unit["A"]
    alone = len(figures) == 1 and re.fullmatch(r"\s*[-+.\deE]+\s*", line)
    return figures[0][0] if alone else None
