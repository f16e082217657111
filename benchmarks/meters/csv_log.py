"""A log that another program or a USB meter wrote: times and power, joined by the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edgekit.benchmarks.meters import clock, csv_columns
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.errors import InputError

_NAME, _NO_FILE = "csv-log", "name its file: --meter csv-log=power.csv (columns time and power, or voltage and current)"
_OPTIONS = ("offset", "begin", "volts", "error")


@dataclass(frozen=True)
class Settings:
    """How to read a log.

    Attributes:
        path: of the file.
        offset: seconds by which the log's clock is ahead of this machine's.
        begin: seconds since 1970 at which a log with times of its own began; None where its times have dates.
        volts: voltage of a log that has only currents; None for none.
        error: relative error that the meter's maker states; None where nothing is known.
    """

    path: Path
    offset: float = 0.0
    begin: float | None = None
    volts: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Log:
    """Seconds since 1970 on this machine's clock, increasing, watts, and rows that could not be read."""

    times: tuple[float, ...]
    watts: tuple[float, ...]
    skipped: int


def settings(text: str) -> Settings:
    """Read what stands behind ``csv-log=``.

    Args:
        text: a path, then options: ``power.csv,offset=0.25,begin=2026-05-01T10:00:00Z,volts=5.0,error=0.01``.

    Returns:
        The settings.

    Raises:
        InputError: an option is unknown, or has a value that it does not take.
    """
    path, *options = text.split(",")
    found: dict[str, float] = {}
    for option in options:
        name, _, value = option.partition("=")
        number = csv_columns.number(value)
        number = csv_columns.instant(value) if number is None and name == "begin" else number
        if name not in _OPTIONS or number is None:
            raise InputError(f"csv-log={text}: {option!r} is none of {', '.join(f'{n}=NUMBER' for n in _OPTIONS)}")
        found[name] = number
    return Settings(Path(path), found.get("offset", 0.0), found.get("begin"), found.get("volts"), found.get("error"))


def read_log(how: Settings, growing: bool = False) -> Log:
    """Read a whole log.

    Args:
        how: its settings.
        growing: whether its last line may be half written, and is left out unless it has an end.

    Returns:
        Its rows in order of time; of two rows of the same time the first.

    Raises:
        InputError: the file cannot be read, has no columns that make a power, or times without a date and no ``begin``.
    """
    try:
        text = how.path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{how.path}: cannot be read: {error.strerror}") from error
    if growing:
        text = text[: text.rfind("\n") + 1]
    rows = [line for line in text.splitlines() if line.strip()]
    if not rows:
        raise InputError(f"{how.path}: is empty; start the logger first")
    found = csv_columns.columns(rows[0], str(how.path), how.volts is not None)
    seen: dict[float, float] = {}
    skipped = undated = 0
    for line in rows:
        fields = csv_columns.split(line, found.delimiter)
        when = csv_columns.moment(fields[found.time], found.time_unit) if found.time < len(fields) else None
        watts = csv_columns.power(fields, found, how.volts)
        if when is None or watts is None:
            skipped += 1
            continue
        seconds = _on_this_clock(when, how)
        if seconds is None:
            undated += 1
            continue
        seen.setdefault(seconds, watts)
    if undated and not seen:
        raise InputError(
            f"{how.path}: its times have no date; say when it began: "
            f"--meter csv-log={how.path},begin=2026-05-01T10:00:00Z"
        )
    # Among dates, a number that is none is a row that was cut.
    skipped += undated
    # The line of names is no row.
    skipped -= csv_columns.moment(csv_columns.split(rows[0], found.delimiter)[found.time], found.time_unit) is None
    times = tuple(sorted(seen))
    return Log(times, tuple(seen[t] for t in times), skipped)


class CsvLog:
    """Power from a log that grows while the run goes on, or that was written by a device with the same clock.

    Args:
        root: unused; the file is where the setting says.
        setting: see `settings`; empty for none.

    Raises:
        InputError: the setting cannot be understood.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        self._settings = settings(setting) if setting else None
        self._span: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """``csv-log``."""
        return _NAME

    def present(self) -> Presence:
        """Say whether a file was named and can be read."""
        if self._settings is None:
            return Presence(False, _NO_FILE)
        try:
            log = read_log(self._settings, growing=True)
        except InputError as error:
            return Presence(False, str(error))
        if log.times or log.skipped == 0:
            return Presence(True, "")
        return Presence(False, f"{self._settings.path}: none of its {log.skipped} rows has a time and a power")

    def channels(self) -> tuple[Channel, ...]:
        """Return one: an external meter feeds the whole device."""
        if self._settings is None:
            return ()
        return (Channel(self._settings.path.name, "power", "W", scope="device", error=self._settings.error),)

    def read(self) -> dict[str, float]:
        """Return the newest row's power."""
        watts = read_log(self._settings, growing=True).watts if self._settings is not None else ()
        return {self.channels()[0].name: watts[-1]} if watts else {}

    def period(self) -> float:
        """Return 1 s; nobody polls it, see `logged`."""
        return 1.0

    def start(self) -> None:
        """Take the time before which rows are not wanted."""
        self._span = (time.time(), float("inf"))

    def stop(self) -> None:
        """Take the time after which they are not."""
        self._span = (self._span[0] if self._span else 0.0, time.time())

    def logged(self) -> dict[str, tuple[tuple[int, ...], tuple[float, ...]]]:
        """Return the rows since `start`, with one on each side where there is one."""
        if self._settings is None:
            return {}
        log = read_log(self._settings, growing=True)
        begin, end = self._span or (0.0, float("inf"))
        before = [t for t in log.times if t < begin]
        after = [t for t in log.times if t > end]
        first, last = before[-1] if before else begin, after[0] if after else end
        kept = [(t, w) for t, w in zip(log.times, log.watts, strict=True) if first <= t <= last]
        return {
            self.channels()[0].name: (
                tuple(clock.perf_ns(t) for t, _ in kept),
                tuple(w for _, w in kept),
            )
        }


def _on_this_clock(when: tuple[float, bool], how: Settings) -> float | None:
    """Seconds since 1970; None for a time without a date in a log whose begin nobody told."""
    seconds, dated = when
    if dated:
        return seconds - how.offset
    return None if how.begin is None else how.begin + seconds - how.offset
