"""The photos and texts that a conversion is checked on and that become a bundle's golden vectors."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgekit.errors import InputError

GOLDEN_PHOTOS = 6
GOLDEN_TEXTS = 8
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})

# Short, long, past every context length, empty, several scripts, markup, emoji: one of each thing that goes wrong.
TEXTS = (
    "a photo of a cat",
    "a cup of coffee on a wooden table, seen from above",
    "a rocket on its launch pad",
    "Ein rotes Fahrrad lehnt an der Mauer.",
    "猫が窓辺で眠っている",
    "dog",
    "an astronaut in an orange space suit, smiling, with the flag behind her; studio portrait, 1999",
    "the temple at night &amp; its garden 🏯✨",
    "",
    "   spaces\t and\nnew  lines   ",
    "IT'S 100% SHOUTED, isn't it?",
    "Кошка сидит на подоконнике и смотрит на улицу",
    "قطة نائمة على النافذة",
    "e\u0301tude cafe\u0301 nai\u0308ve",
    "a, b; c: (d) [e] {f} <g> / h \\ i | j _ k - l + m = n * o ^ p ~ q ` r @ s # t $ u",
    "2,147,483,647 items at $19.99 on 2026-11-22",
    "👩‍👩‍👧‍👦 👍🏽 🇯🇵",
    "a very long description of a street market " * 40,
)


def photos(folder: Path | None) -> tuple[Path, ...]:
    """List the photos to check on.

    Args:
        folder: a folder of photos; None takes those packaged with edgekit.

    Returns:
        Its image files, in the order of their names.

    Raises:
        InputError: the folder is missing or holds fewer than two photos (centring needs two).
    """
    where = folder or Path(str(files("edgekit.samples") / "photos"))
    if not where.is_dir():
        raise InputError(f"{where}: no such folder of photos")
    found = tuple(sorted(path for path in where.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()))
    if len(found) < 2:
        raise InputError(f"{where}: holds {len(found)} photos; a conversion is checked on at least two")
    return found
