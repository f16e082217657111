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
    """Return every registered target by its name."""
    return {entry.name: cast("Target", entry.load()()) for entry in sorted(entry_points(group=GROUP))}


def find(name: str) -> tuple[Target, Chip]:
    """Return a chip by its name, with the target that compiles for it.

    Args:
        name: such as ``rk3588``.

    Returns:
        The target and the chip.

    Raises:
        InputError: no target knows the chip.
    """
    known = []
    for target in targets().values():
        for chip in target.chips():
            if chip.name == name:
                return target, chip
            known.append(chip.name)
    raise InputError(f"target: {name!r} is not one of {', '.join(known)}; 'edgekit compile --list' shows what each is")
