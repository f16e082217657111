"""``emoji-names``: the English names and keywords of every emoji, as texts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.data import emoji, writing
from edgekit.converters.data.records import DataSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.converters.data.records import Contents


def build(packages: Mapping[str, Path], out: Path) -> Contents:
    """Write every name, then every keyword."""
    found = emoji.entries(packages[emoji.NAMES.name])
    names = [str(entry["label"]) for entry in found]
    return writing.texts(out, [*names, *(str(tag) for entry in found for tag in entry.get("tags", ()))])


SOURCE = DataSource(
    name="emoji-names",
    description="English names and keywords of every emoji, one a line",
    task="texts",
    license=emoji.NAMES_LICENSE,
    packages=(emoji.NAMES,),
    build=build,
)
