"""The layout in which a set is stored: images beside a CSV, or texts one a line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Literal

from PIL import Image

from edgekit.converters.data.records import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

IMAGES = "images"
TEXTS = "texts.txt"
_WHITE = (255, 255, 255, 255)


def on_white(image: Image.Image) -> Image.Image:
    """Return an image as opaque RGB, what was transparent blended with white.

    Loaders drop the transparency of a PNG, and show whatever colour lay below it.
    """
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, _WHITE)
    ground.alpha_composite(layer)
    return ground.convert("RGB")


def table(folder: Path, column: Literal["caption", "label"], rows: Sequence[tuple[str, str]]) -> Contents:
    """Write the CSV of a set whose images are in their places.

    Args:
        folder: of the set.
        column: what the texts are; also names the file, ``captions.csv`` or ``labels.csv``.
        rows: an image's path relative to `folder`, and its text.

    Returns:
        The number of rows and of distinct texts.
    """
    out = io.StringIO(newline="")
    # Python before 3.13 leaves a lone carriage return unquoted, which readers take for the end of the row.
    bare = any("\r" in cell for row in rows for cell in row)
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL)
    writer.writerow(("path", column))
    writer.writerows(rows)
    (folder / f"{column}s.csv").write_text(out.getvalue(), encoding="utf-8", newline="")
    return Contents(len(rows), len({text for _, text in rows}))


def texts(folder: Path, lines: Iterable[str]) -> Contents:
    """Write a set of texts: one a line, white space made single spaces, each once, in the order of their first use.

    Args:
        folder: of the set.
        lines: the texts; blank ones are left out.

    Returns:
        The number of texts.
    """
    kept = dict.fromkeys(" ".join(line.split()) for line in lines)
    kept.pop("", None)
    (folder / TEXTS).write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="")
    return Contents(0, len(kept))
