"""Every set that ``edgekit data`` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.data import (
    emoji_fluent,
    emoji_names,
    emoji_noto,
    emoji_twemoji,
    openmoji,
    photos,
    stamps,
    wordnet_texts,
)
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.data.records import DataSource

_MODULES = (emoji_fluent, emoji_names, emoji_noto, emoji_twemoji, openmoji, photos, stamps, wordnet_texts)
SOURCES: Mapping[str, DataSource] = {module.SOURCE.name: module.SOURCE for module in _MODULES}


def find(name: str) -> DataSource:
    """Return the set of a name.

    Args:
        name: one of `SOURCES`.

    Returns:
        Its description.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in SOURCES:
        raise InputError(f"{name!r} is not a known set; there are {', '.join(SOURCES)}")
    return SOURCES[name]
