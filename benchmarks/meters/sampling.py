"""Reading meters from a background thread of this process, at known moments and at a known cost."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters.protocol import Commanding, Logged
from edgekit.benchmarks.meters.samples import Key, Readings, logged, made, series_name, values
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from edgekit.benchmarks.meters.protocol import Channel, Meter
    from edgekit.benchmarks.meters.samples import Rate
    from edgekit.benchmarks.results.energy_records import Series

INTERVAL = 0.05
"""Seconds between two readings of a meter that can give new values as fast."""


class Sampler:
    """Reads meters while a ``with`` block runs.

    One thread reads all of them in turn, each at its own interval: the one asked for, but no shorter than the meter's
    `period()`. A reading that comes late does not shorten the next interval. Entering the block takes a first reading
    of every meter, leaving it a last one, so that a window within the block has samples on both sides.

    Args:
        meters: to read; two of the same name are an error.
        interval: seconds, more than 0.

    Raises:
        InputError: the interval is not above 0, or two meters have one name.
    """

    def __init__(self, meters: Sequence[Meter], interval: float = INTERVAL) -> None:
        if not interval > 0:
            raise InputError(f"interval: must be above 0 seconds, is {interval}")
        if len({meter.name for meter in meters}) < len(meters):
            raise InputError(f"meters: each may be named once; there are {', '.join(m.name for m in meters)}")
        self._logged = [meter for meter in meters if isinstance(meter, Logged)]
        self._polled = [meter for meter in meters if not isinstance(meter, Logged)]
        self._of_logged = {meter.name: meter.channels() for meter in self._logged}
        self._readings = [Readings(m.name, m.channels(), max(interval, m.period())) for m in self._polled]
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._cpu = 0
        self._before = 0.0
        self._thread = threading.Thread(target=self._run, name="edgekit-sampler", daemon=True)

    @property
    def channels(self) -> dict[Key, Channel]:
        """What is read, by (meter, series name)."""
        polled = {(r.meter, series_name(c)): c for r in self._readings for c in r.channels}
        logged = {(name, series_name(c)): c for name, every in self._of_logged.items() for c in every}
        return {**polled, **logged}

    @property
    def cpu_seconds(self) -> float:
        """CPU time that sampling has cost so far, in seconds, that of commands that meters start included."""
        commands = sum(meter.cpu_seconds for meter in self._polled if isinstance(meter, Commanding))
        return self._cpu / 1e9 + commands - self._before

    @property
    def rates(self) -> dict[str, Rate]:
        """How each polled meter was really sampled, by its name."""
        return {readings.meter: readings.rate() for readings in self._readings}

    def latest(self) -> dict[str, tuple[float, str]]:
        """Return the newest value and the unit of each polled channel by its series' name; no counters of energy."""
        return {
            series_name(channel): (values[-1], channel.unit)
            for readings in self._readings
            for channel in readings.channels
            if channel.kind != "energy" and len(values := readings.values[channel.name])
        }

    def series(self, begin_ns: int) -> tuple[Series, ...]:
        """Return what was read.

        Args:
            begin_ns: `time.perf_counter_ns` at the begin of the measured part; it becomes second 0.

        Returns:
            One series a channel, readings before and after the measured part included; energy counters unwrapped and
            from 0 J.
        """
        polled = [series for readings in self._readings for series in readings.series(begin_ns)]
        for meter in self._logged:
            came = logged(meter)
            for channel in self._of_logged[meter.name]:
                times, values = came.get(channel.name, ((), ()))
                polled.append(made(meter.name, channel, times, values, begin_ns))
        return tuple(polled)

    def __enter__(self) -> Self:
        for meter in self._logged:
            meter.start()
        self._before = self.cpu_seconds
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for meter in self._logged:
            meter.stop()

    def _run(self) -> None:
        begin = time.thread_time_ns()
        due = [0.0] * len(self._polled)
        while not self._stop.is_set():
            now = time.perf_counter()
            for i, readings in enumerate(self._readings):
                if due[i] <= now:
                    self._read(i)
                    # On the grid as long as it holds; after a late reading, a whole interval from now.
                    due[i] = due[i] + readings.interval if due[i] + readings.interval > now else now + readings.interval
            self._cpu = time.thread_time_ns() - begin
            self._ready.set()
            wait = min(due, default=now + 1.0) - time.perf_counter()
            if wait > 0:
                self._stop.wait(wait)
        for i in range(len(self._polled)):
            self._read(i, regular=False)
        self._cpu = time.thread_time_ns() - begin

    def _read(self, i: int, regular: bool = True) -> None:
        begin = time.perf_counter_ns()
        # What a reader does not give is missed, and the others are read on.
        found = values(self._polled[i])
        self._readings[i].take(begin, time.perf_counter_ns(), found, regular)
