"""Images with captions beside them: ``set/1.jpg`` and ``set/1.txt``, at any depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Entry, Listing
from edgekit.evaluation.files import CAPTION_SUFFIX, captions_of, is_image, read_text, walk
from edgekit.evaluation.records import Item

if TYPE_CHECKING:
    from pathlib import Path


def caption_folder(folder: Path) -> Listing:
    """List images with the captions in the ``.txt`` of the same stem, one a line.

    Args:
        folder: searched at any depth.

    Returns:
        Images by path.

    Raises:
        InputError: an image without captions, captions without an image, an empty or unreadable ``.txt``, or two
            images of the same stem in one folder.
    """
    images: dict[Path, Path] = {}
    captions: dict[Path, Path] = {}
    for path in walk(folder):
        if is_image(path):
            other = images.setdefault(path.with_suffix(""), path)
            if other != path:
                raise InputError(f"{path}: has the same stem as {other.name}; a caption must belong to one image")
        elif path.suffix.lower() == CAPTION_SUFFIX:
            captions[path.with_suffix("")] = path
    lonely = next((path for stem, path in images.items() if stem not in captions), None)
    if lonely is not None:
        raise InputError(
            f"{lonely}: has no caption; write {lonely.stem}{CAPTION_SUFFIX} beside it, or remove the image"
        )
    orphan = next((path for stem, path in captions.items() if stem not in images), None)
    if orphan is not None:
        raise InputError(f"{orphan}: has no image {orphan.stem}.jpg (or .png, …) beside it; add it, or move this file")
    entries = [
        Entry(
            Item(path.relative_to(folder).as_posix(), path), captions_of(read_text(captions[stem]), f"{captions[stem]}")
        )
        for stem, path in images.items()
    ]
    return Listing("retrieval", tuple(entries))
