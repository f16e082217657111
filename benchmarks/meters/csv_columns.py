"""Columns of a power log: which one is the time, which ones make the power, and in which units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from edgekit.errors import InputError

# Unit of a column, by the last word of its name: factor to watts, volts or amperes.
_UNITS = {
    "kw": 1e3,
    "w": 1.0,
    "mw": 1e-3,
    "uw": 1e-6,
    "µw": 1e-6,
    "v": 1.0,
    "mv": 1e-3,
    "a": 1.0,
    "ma": 1e-3,
    "ua": 1e-6,
    "µa": 1e-6,
}
_TIME = re.compile(r"time|date|timestamp|t|#time")
_POWER, _VOLTAGE, _CURRENT = (
    re.compile(r"power|watts?|p|w|mw|kw"),
    re.compile(r"voltage|volts?|vbus|u|v"),
    re.compile(r"current|amps?|amperes?|ibus|i|a|ma|main"),
)
_SECONDS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# Seconds since 1970 of 1973 and of the year 5138; thousandths, millionths and billionths lie apart from them.
_EPOCH_LEAST, _EPOCH_MOST = 1e8, 1e11
_DELIMITERS = ",;\t "


@dataclass(frozen=True)
class Columns:
    """Where the figures of a row are, by index; -1 for a column that is not there.

    Attributes:
        delimiter: of the fields.
        time: index of the time.
        time_unit: seconds that a number in it counts.
        power: index; without it, voltage times current make the power.
        power_unit: watts of 1 in it.
        voltage: index.
        voltage_unit: volts of 1 in it.
        current: index.
        current_unit: amperes of 1 in it.
    """

    delimiter: str
    time: int
    time_unit: float
    power: int
    power_unit: float
    voltage: int
    voltage_unit: float
    current: int
    current_unit: float


def columns(head: str, where: str, volts: bool) -> Columns:
    """Understand the first line of a log.

    Args:
        head: the line: names such as ``Time, Voltage(V), Current (mA), power_W``; a line of two numbers is a log
            without names, of time and watts.
        where: name of the file, for messages.
        volts: whether the user gave a voltage, so that a current is enough.

    Returns:
        The columns.

    Raises:
        InputError: no time, or nothing that makes a power; the message shows the names.
    """
    delimiter = next((d for d in _DELIMITERS if len(split(head, d)) > 1), ",")
    names = split(head, delimiter)
    if len(names) == 2 and all(number(name) is not None or instant(name) is not None for name in names):
        return Columns(delimiter, 0, 1.0, 1, 1.0, -1, 1.0, -1, 1.0)
    words = [re.findall(r"[a-zµ#]+", name.lower()) for name in names]
    time = _find(words, _TIME)
    power, voltage, current = (_find(words, kind) for kind in (_POWER, _VOLTAGE, _CURRENT))
    if time < 0:
        raise InputError(f"{where}: none of its columns is a time: {', '.join(names)}; name one timestamp")
    if power < 0 and (current < 0 or (voltage < 0 and not volts)):
        raise InputError(
            f"{where}: its columns {', '.join(names)} make no power; name them power, or voltage and current, "
            "with their unit, as in current_mA; a fixed voltage may be given as volts=5.0"
        )
    seconds = next((_SECONDS[word] for word in words[time] if word in _SECONDS), 1.0)
    return Columns(
        delimiter,
        time,
        seconds,
        power,
        _unit(words, power),
        voltage,
        _unit(words, voltage),
        current,
        _unit(words, current),
    )


def split(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line, without surrounding space and quotation marks."""
    fields = line.split() if delimiter == " " else line.split(delimiter)
    return [field.strip().strip('"') for field in fields]


def power(fields: list[str], found: Columns, volts: float | None) -> float | None:
    """Return the watts of a row; None where a field is missing or no number."""

    def at(index: int, unit: float) -> float | None:
        value = number(fields[index]) if 0 <= index < len(fields) else None
        return None if value is None else value * unit

    if found.power >= 0:
        return at(found.power, found.power_unit)
    current, voltage = at(found.current, found.current_unit), at(found.voltage, found.voltage_unit)
    voltage = volts if voltage is None else voltage
    return None if current is None or voltage is None else current * voltage


def moment(field: str, unit: float) -> tuple[float, bool] | None:
    """Read a time.

    Args:
        field: a number, or ISO 8601 (without a zone it is UTC).
        unit: seconds that a number counts, where it is not seen from its size.

    Returns:
        Seconds, and whether they are since 1970 (False: since the log began); None for what is no time.
    """
    value = number(field)
    if value is None:
        when = instant(field)
        return None if when is None else (when, True)
    for scale in (1.0, 1e-3, 1e-6, 1e-9):
        if _EPOCH_LEAST <= value * scale < _EPOCH_MOST:
            # A relative time may be as great in small units; only its column's name can tell.
            return (value * scale, True) if unit in (1.0, scale) else (value * unit, False)
    return value * unit, False


def number(field: str) -> float | None:
    """Return a finite decimal number; None for anything else."""
    try:
        value = float(field)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def instant(field: str) -> float | None:
    """Return seconds since 1970 of an ISO 8601 time; None for anything else, a time without a date included."""
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", field):
        return None
    try:
        # Python 3.10 knows neither Z nor fractions of other than three or six digits.
        text = re.sub(r"\.(\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), field.replace("Z", "+00:00"))
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _find(words: list[list[str]], kind: re.Pattern[str]) -> int:
    """The first column whose name begins with such a word; else the first that has one."""
    first = next((i for i, name in enumerate(words) if name and kind.fullmatch(name[0])), -1)
    return first if first >= 0 else next((i for i, name in enumerate(words) if any(map(kind.fullmatch, name))), -1)


def _unit(words: list[list[str]], index: int) -> float:
    if index < 0:
        return 1.0
    # The last word that is a unit: the name of a current may be I, its unit mA.
    return next((_UNITS[word] for word in reversed(words[index]) if word in _UNITS), 1.0)
