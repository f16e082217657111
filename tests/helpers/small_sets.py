"""Pictures, archives and tables for small sets of images on disk."""

from __future__ import annotations

import csv
import io
import tarfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def picture(number: int) -> bytes:
    """A PNG of its own for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """An archive with these members, in this order; the same name may be there twice."""
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_csv(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",", start: str = "") -> Path:
    """A CSV as a spreadsheet writes it."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    path.write_text(start + stream.getvalue(), encoding="utf-8", newline="")
    return path
