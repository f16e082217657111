"""Images without labels: every image below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.evaluation.assembly import Entry, Listing
from edgekit.evaluation.files import is_image, walk
from edgekit.evaluation.records import Item

if TYPE_CHECKING:
    from pathlib import Path


def image_folder(folder: Path) -> Listing:
    """List every image below a folder, at any depth, by path; there are no texts."""
    images = [path for path in walk(folder) if is_image(path)]
    return Listing("unlabelled", tuple(Entry(Item(path.relative_to(folder).as_posix(), path), ()) for path in images))
