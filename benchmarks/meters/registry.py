"""Meters by name: edgekit's own and those that third parties register as entry points."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgekit.benchmarks.meters.protocol import Presence
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.meters.protocol import Meter

GROUP = "edgekit.meters"
"""Entry-point group; each entry names a class whose instances are `Meter`s. It is called with the root folder, and with
a setting (text) when one was given, as in ``csv-log=power.csv``."""


@dataclass(frozen=True)
class Absent:
    """A meter that cannot be used here.

    Attributes:
        name: under which it is registered.
        reason: one line: why, and what to do.
    """

    name: str
    reason: str


def look(root: Path | None = None) -> tuple[tuple[Meter, ...], tuple[Absent, ...]]:
    """Ask every registered meter whether it works here.

    Args:
        root: folder that holds ``sys``, ``proc`` and ``dev``; None for the running system's.

    Returns:
        The meters that do, and the others with their reasons; both by name. A meter that cannot even be loaded is
        among the others and stops nobody.
    """
    found, missing = [], []
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        # Code of others: whatever goes wrong in it is told, and costs only this meter.
        try:
            meter = cast("Meter", entry.load()(root or Path("/")))
            presence = _asked(meter)
        except Exception as error:
            missing.append(Absent(entry.name, f"is broken: {type(error).__name__}: {error} ({entry.value})"))
            continue
        if presence.ok:
            found.append(meter)
        else:
            missing.append(Absent(entry.name, presence.reason))
    return tuple(found), tuple(missing)


def find(root: Path | None = None) -> list[Meter]:
    """Return the meters that work here; see `look`."""
    return list(look(root)[0])


def absent(root: Path | None = None) -> tuple[Absent, ...]:
    """Return the meters that do not work here, each with its reason; see `look`."""
    return look(root)[1]


def names() -> tuple[str, ...]:
    """Return the names of all registered meters."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def create(spec: str, root: Path | None = None) -> Meter:
    """Make the meter that a user named.

    Args:
        spec: a name, or ``NAME=SETTING`` for a meter that takes a setting, such as ``csv-log=power.csv``.
        root: as in `look`.

    Returns:
        The meter, which works here.

    Raises:
        InputError: no such meter, it takes no setting, it is broken, or it does not work here (the message says why).
    """
    name, equals, setting = spec.partition("=")
    entry = next((e for e in entry_points(group=GROUP) if e.name == name), None)
    if entry is None:
        raise InputError(f"there is no meter {name!r}; there are {', '.join(names())}")
    arguments: tuple[Any, ...] = (root or Path("/"), *((setting,) if equals else ()))
    try:
        factory = entry.load()
        takes = len(inspect.signature(factory).parameters) >= len(arguments)
        meter = cast("Meter", factory(*arguments)) if takes else None
        presence = Presence(False, f"takes no setting; write only {name}") if meter is None else _asked(meter)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"the meter {name} is broken: {type(error).__name__}: {error} ({entry.value})") from error
    if meter is None or not presence.ok:
        raise InputError(f"the meter {name} cannot be used: {presence.reason}")
    return meter


def _asked(meter: Meter) -> Presence:
    """Say whether a meter works here; whatever else it must offer is asked for too, while its errors can be told."""
    presence = meter.present()
    found = Presence(bool(presence.ok), str(presence.reason))
    if found.ok and (not meter.channels() or not meter.period() >= 0 or not meter.name):
        raise TypeError("it says that it works, but has no name, no channel or no period")
    return found


def choose(specs: Sequence[str], root: Path | None = None) -> list[Meter]:
    """Return every meter that works here when none is named; else those named, each of which must work."""
    return [create(spec, root) for spec in specs] if specs else find(root)
