"""Find targets by entry point, and chips by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.converters.targets.protocol import Target
    from edgekit.converters.targets.records import Chip

GROUP = "edgekit.targets"


def targets() -> dict[str, Target]:
    """Return every registered target that can be loaded, by its name; `broken` tells the others."""
    return _load()[0]


def broken() -> tuple[str, ...]:
    """Return, for every registered target that cannot be loaded, what it is and why."""
    return _load()[1]


def find(name: str) -> tuple[Target, Chip]:
    """Return a chip by its name, with the target that compiles for it.

    Args:
        name: such as ``rk3588``.

    Returns:
        The target and the chip.

    Raises:
        InputError: no target knows the chip; the message tells of those that cannot be loaded as well.
    """
    known = []
    for target in targets().values():
        for chip in target.chips():
            if chip.name == name:
                return target, chip
            known.append(chip.name)
    listed = f"target: {name!r} is not one of {', '.join(known)}; 'edgekit compile --list' shows what each is"
    raise InputError("\n  ".join([listed, *broken()]))


def _load() -> tuple[dict[str, Target], tuple[str, ...]]:
    found: dict[str, Target] = {}
    failed = []
    for entry in sorted(entry_points(group=GROUP)):
        try:
            found[entry.name] = cast("Target", entry.load()())
        # Whatever a third party's module raises must not take the other targets down.
        except Exception as error:
            failed.append(
                f"the target {entry.name!r} ({entry.value}) cannot be loaded: {error}; reinstall or remove its package"
            )
    return found, tuple(failed)
