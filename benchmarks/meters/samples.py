"""What a sampler has read, and how it becomes series."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import counters
from edgekit.benchmarks.results.energy_records import Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.meters.protocol import Channel, Logged, Meter

Key = tuple[str, str]
"""Name of the meter, and name of the series (`series_name`)."""


@dataclass(frozen=True)
class Rate:
    """How a meter was really sampled.

    Attributes:
        asked: samples a second.
        real: samples a second, over all readings.
        jitter: standard deviation of the intervals over their mean.
        longest: seconds between two readings at most.
        read_ms: milliseconds that a reading took on average.
        samples: readings.
        missed: values that a reading should have given and did not.
    """

    asked: float
    real: float
    jitter: float
    longest: float
    read_ms: float
    samples: int
    missed: int


@dataclass
class Readings:
    """Readings of one meter, as they come; times are of `time.perf_counter_ns`."""

    meter: str
    channels: tuple[Channel, ...]
    interval: float
    stamps: array[int] = field(default_factory=lambda: array("q"))
    spent: int = 0
    missed: int = 0
    times: dict[str, array[int]] = field(default_factory=dict)
    values: dict[str, array[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for channel in self.channels:
            self.times[channel.name], self.values[channel.name] = array("q"), array("d")

    def take(self, begin: int, end: int, values: Mapping[str, float], regular: bool = True) -> None:
        """Keep one reading.

        Args:
            begin: before it; its values are said to be of the middle.
            end: after it.
            values: by channel.
            regular: whether it counts for the rate; the last one of all comes early.
        """
        stamp = (begin + end) // 2
        if regular:
            self.stamps.append(stamp)
        self.spent += end - begin
        for name, times in self.times.items():
            value = values.get(name)
            if value is None:
                self.missed += 1
            else:
                times.append(stamp)
                self.values[name].append(value)

    def series(self, begin: int) -> tuple[Series, ...]:
        """Return one series a channel; see `Sampler.series`."""
        return tuple(
            made(self.meter, channel, self.times[channel.name], self.values[channel.name], begin)
            for channel in self.channels
        )

    def rate(self) -> Rate:
        """Return how the meter was really sampled."""
        # While a sampler still runs, it may add to these at any moment: count first.
        n = len(self.stamps)
        gaps = [(self.stamps[i + 1] - self.stamps[i]) / 1e9 for i in range(n - 1)]
        mean = sum(gaps) / len(gaps) if gaps else 0.0
        spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 if gaps else 0.0
        return Rate(
            asked=1 / self.interval,
            real=1 / mean if mean else 0.0,
            jitter=spread / mean if mean else 0.0,
            longest=max(gaps, default=0.0),
            read_ms=self.spent / n / 1e6 if n else 0.0,
            samples=n,
            missed=self.missed,
        )


def values(meter: Meter) -> dict[str, float]:
    """Read a meter that may be a third party's.

    Args:
        meter: to read once.

    Returns:
        Values by channel name; none where reading fails in any way, and nothing that is no finite number: it could not
        be written into a result.
    """
    found: dict[str, float] = {}
    # Code of others: whatever goes wrong in it costs only its own values.
    with suppress(Exception):
        for name, value in dict(meter.read()).items():
            with suppress(TypeError, ValueError, OverflowError):
                if math.isfinite(number := float(value)):
                    found[name] = number
    return found


def logged(meter: Logged) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
    """Ask a meter with stamps of its own what came.

    Args:
        meter: that was started.

    Returns:
        Stamps and values by channel name, as `values` takes them: a log that is gone by now costs its own values, and
        not a whole run; `edgekit.benchmarks.meters.merge` can join it later.
    """
    found = {}
    with suppress(Exception):
        for name, (stamps, came) in meter.logged().items():
            pairs = [(stamp, value) for stamp, value in zip(stamps, came, strict=False) if math.isfinite(value)]
            found[name] = (tuple(stamp for stamp, _ in pairs), tuple(value for _, value in pairs))
    return found


def series_name(channel: Channel) -> str:
    """Return the name that a channel's series has, such as ``power VDD_IN``."""
    return f"{channel.kind} {channel.name}"


def made(meter: str, channel: Channel, times: Sequence[int], values: Sequence[float], begin: int) -> Series:
    """Make a series of readings.

    Args:
        meter: name of the meter.
        channel: that was read.
        times: nanoseconds on `time.perf_counter_ns`'s clock, increasing.
        values: as many, in the channel's unit; an energy counter as it was read.
        begin: of the measured part, on the same clock.

    Returns:
        The series; an energy counter is unwrapped and begins at 0 J.
    """
    n = min(len(times), len(values))
    seconds = tuple((t - begin) / 1e9 for t in times[:n])
    found = tuple(values[:n])
    if channel.kind == "energy":
        found = counters.unwrapped(seconds, found, channel.wraps)
    return Series(series_name(channel), channel.kind, channel.unit, meter, seconds, found)
