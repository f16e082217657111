"""What the loaders share: which files are images, walking a folder, reading a text file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
CAPTION_SUFFIX = ".txt"


def is_image(path: Path) -> bool:
    """Tell by its name whether a file is an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted by name, without hidden ones; links to folders are not followed.

    Args:
        folder: where to begin.

    Yields:
        Paths that begin with `folder`.

    Raises:
        InputError: a folder cannot be read.
    """
    for where, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where) / name for name in sorted(files) if not name.startswith("."))


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte-order mark.

    Args:
        path: the file.

    Returns:
        Its text, line ends as they are.

    Raises:
        InputError: it cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_text(data, str(path))


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8, with or without a byte-order mark.

    Args:
        data: the bytes.
        where: what they are, for messages.

    Returns:
        The text, line ends as they are.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def captions_of(text: str, where: str) -> tuple[str, ...]:
    """Return the captions in a text, one a line, without surrounding white space; blank lines mean nothing.

    Args:
        text: a caption file's.
        where: what it is, for messages.

    Returns:
        At least one caption.

    Raises:
        InputError: there is none.
    """
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise InputError(f"{where}: the caption is empty; write one a line, or remove the image with it")
    return found


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be searched: {error.strerror}") from error
