"""What the emoji sets share: one label for each concept, whoever drew it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters.data import writing
from edgekit.converters.data.records import Package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from PIL import Image

    from edgekit.converters.data.records import Contents

SIZE = 64
"""Side of each picture in pixels."""

NAMES_FILE = "package/en/data.json"
NAMES = Package(
    manager="npm",
    name="emojibase-data",
    version="17.0.0",
    sha256="d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    size=6_711_091,
    wanted=(NAMES_FILE, "package/LICENSE"),
    licenses=("package/LICENSE",),
)
NAMES_LICENSE = "Names: emojibase-data, MIT licence, after Unicode's CLDR (Unicode licence)."

_VARIATION = "FE0F"


def concept(hexcode: str) -> str:
    """Write an emoji's code points one way: upper case, joined by ``-``, without the variation selector.

    Vendors name their files with it, without it, or with leading zeros cut off.

    Args:
        hexcode: hexadecimal code points joined by ``-``.

    Returns:
        The key under which the same emoji of every vendor is found.
    """
    points = [point.upper().lstrip("0").rjust(2, "0") for point in hexcode.split("-")]
    return "-".join(point for point in points if point != _VARIATION)


def entries(names: Path) -> list[dict[str, Any]]:
    """Return emojibase's entries in their order: every emoji without a skin tone, no letters of flags.

    Args:
        names: the folder of the unpacked `NAMES`.

    Returns:
        The entries, each with ``label``, ``hexcode`` and, mostly, ``tags``.
    """
    listed = json.loads((names / NAMES_FILE).read_text(encoding="utf-8"))
    return sorted((entry for entry in listed if "group" in entry), key=lambda entry: int(entry["order"]))


def write(names: Path, pictures: Iterable[Path], picture: Callable[[Path], Image.Image], out: Path) -> Contents:
    """Write a vendor's pictures of the concepts that it draws.

    Args:
        names: the folder of the unpacked `NAMES`.
        pictures: the vendor's files, each named by its code points.
        picture: opens one as RGB of `SIZE`, on white.
        out: the set's folder.

    Returns:
        How many; a label is the same text for every vendor.
    """
    drawn: Mapping[str, Path] = {concept(path.stem): path for path in pictures}
    (out / writing.IMAGES).mkdir()
    rows = []
    for entry in entries(names):
        key = concept(entry["hexcode"])
        if key in drawn:
            target = f"{writing.IMAGES}/{key.lower()}.png"
            picture(drawn[key]).save(out / target)
            rows.append((target, str(entry["label"])))
    return writing.table(out, "label", rows)
