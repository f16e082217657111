"""How groups of weights are called inside a LiteRT file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.converters.quantize.methods.records import Group


def scopes(groups: Iterable[Group]) -> dict[str, str]:
    """Return what each group is called in the names of a LiteRT file's tensors.

    Args:
        groups: of the master, in the order of `find_groups`.

    Returns:
        By group name, such as ``group04_block03_mlp_step`` for ``block03.mlp``: it is part of the name of what every
        operator writes that reads the group's weights, and never part of another group's.
    """
    return {
        group.name: f"group{index:02}_{re.sub('[^0-9A-Za-z]+', '_', group.name)}_step"
        for index, group in enumerate(groups)
    }
