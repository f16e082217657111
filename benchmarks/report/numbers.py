"""Numbers as a reader wants them: three digits that mean something, the unit beside them, the interval behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.benchmarks.results.metrics import Figure
    from edgekit.benchmarks.results.records import Estimate

DIGITS = 3
UNMEASURED = "unmeasured"
_PREFIXED = ("J", "W", "s")
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def number(value: float, decimals: int | None = None) -> str:
    """Write a number with three significant digits, or all those before the point.

    Args:
        value: finite.
        decimals: digits after the point; None for as many as make three significant ones.

    Returns:
        Such as ``0.0123``, ``1.23``, ``12.3``, ``1,234``; never in scientific notation.
    """
    places = decimals_of(value) if decimals is None else decimals
    text = f"{value:,.{places}f}"
    return text if text.strip("-0.,") else text.lstrip("-")


def decimals_of(value: float) -> int:
    """Return how many digits after the point make three significant ones."""
    # By the exact digits, not by a logarithm: 0.9995 is 1.00 with three of them, and the least float has a size too.
    size = int(f"{abs(value):.{DIGITS - 1}e}".partition("e")[2]) if value else DIGITS - 1
    return max(0, DIGITS - 1 - size)


def quantity(value: float, unit: str) -> str:
    """Write a number with its unit; of watts, joules and seconds small ones get a prefix, such as ``32.4 mJ``."""
    scale, shown = _scaled(value, unit)
    return f"{number(value / scale)} {shown}".rstrip()


def size(count: int) -> str:
    """Write a number of bytes in units of 10^3, as `edgekit inspect` does."""
    value, names = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(names) > 1:
        value, names = value / 1000, names[1:]
    return f"{number(value)} {names[0]}"


def percent(share: float) -> str:
    """Write a share of 1 as a percentage with a decimal: 0.9625 is ``96.2 %``; 1 is ``100 %``."""
    return f"{share * 100:.1f} %" if share != 1 else "100 %"


def change(fraction: float) -> str:
    """Write a relative change with its sign: 0.05 is ``+5.0 %``."""
    return f"{fraction * 100:+.1f} %"


def spread(value: float, low: float, high: float) -> str:
    """Write an estimate and its interval, all with the same decimals, one more than three digits have where needed.

    Args:
        value: the estimate.
        low: lower end.
        high: upper end.

    Returns:
        Such as ``25.1 (24.9–25.4)``.
    """
    places = decimals_of(value)
    # An end that reads like the value says nothing.
    if any(end != value and number(end, places) == number(value, places) for end in (low, high)):
        places += 1
    return f"{number(value, places)} ({number(low, places)}–{number(high, places)})"


def estimate(found: Estimate, unit: str) -> str:
    """Write an estimate with its interval and unit: ``25.1 ms (24.9–25.4)``."""
    value, interval = spread(found.value, found.low, found.high).split(" ", 1)
    return f"{value} {unit} {interval}"


def figure(found: Figure, unit: str) -> str:
    """Write a metric of a result in its unit, with its interval where it has one."""
    if found.value is None:
        return UNMEASURED
    if unit == "B":
        return size(int(found.value))
    scale, unit = _scaled(found.value, unit)
    if found.low is None or found.high is None:
        return f"{number(found.value / scale)} {unit}".rstrip()
    value, interval = spread(found.value / scale, found.low / scale, found.high / scale).split(" ", 1)
    return f"{value} {unit} {interval}" if unit else f"{value} {interval}"


def duration(seconds: float) -> str:
    """Write a time span for a person: ``45 s``, ``10 min``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s" if seconds >= 10 or seconds == whole else f"{number(seconds)} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def _scaled(value: float, unit: str) -> tuple[float, str]:
    if unit in _PREFIXED and value:
        scale, prefix = next((s for s in _SMALL if abs(value) >= 0.9995 * s[0]), _SMALL[-1])
        return scale, prefix + unit
    return 1.0, unit
