"""What a run tells while it goes on: small records, one JSON line each when they cross from the measured process."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgekit.bundle.schema import loads, parse, to_plain
from edgekit.errors import BundleError


@dataclass(frozen=True)
class Phase:
    """A phase has begun.

    Attributes:
        name: such as ``load``, ``warm``, ``measure``.
        total: seconds that it is planned to take; 0 where nobody knows.
    """

    name: str
    total: float = 0.0


@dataclass(frozen=True)
class Tick:
    """How far the phase is; at most four a second.

    Attributes:
        seconds: since the phase began.
        total: seconds that it is planned to take; 0 where nobody knows.
        queries: ended so far.
        p50: milliseconds so far; None where nobody counts.
        p99: likewise.
    """

    seconds: float
    total: float
    queries: int
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class Sample:
    """A meter's newest value.

    Attributes:
        name: of the series, such as ``temperature cpu-thermal``.
        value: in `unit`.
        unit: as `results.energy_records.Series.unit`.
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Note:
    """A sentence for the person who watches."""

    text: str


Event = Phase | Tick | Sample | Note

_KINDS: dict[str, type[Event]] = {"phase": Phase, "tick": Tick, "sample": Sample, "note": Note}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_line(event: Event) -> str:
    """Write an event as one line of JSON, without the line's end.

    Args:
        event: to be written; its numbers are finite.

    Returns:
        ``{"event": NAME, …}`` with the record's fields.
    """
    return json.dumps({"event": _NAMES[type(event)], **to_plain(event)}, ensure_ascii=False, allow_nan=False)


def from_line(line: str) -> Event:
    """Read an event back.

    Args:
        line: as `to_line` wrote it.

    Returns:
        The event.

    Raises:
        BundleError: the line is no event.
    """
    found = parse(line, "event")
    name = found.pop("event", None) if isinstance(found, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BundleError(f"event: expected one of {', '.join(_KINDS)}, got {line[:60]!r}")
    return loads(kind, json.dumps(found), f"event {name}")
