"""Which format a file has, told by its first bytes; its extension is never looked at."""

from __future__ import annotations

from typing import Literal

from edgekit.errors import ImageError

Format = Literal["JPEG", "PNG", "WebP", "BMP", "TIFF"]

SIGNATURE_LENGTH = 16

# Classic and big TIFF, in both byte orders.
_TIFF = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")


def detect(head: bytes, name: str) -> Format:
    """Name the format of an encoded image.

    Args:
        head: the first `SIGNATURE_LENGTH` bytes of the file, or more.
        name: what to call the image in an error.

    Returns:
        The format.

    Raises:
        ImageError: the file is empty, or is none of the formats.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(b"BM"):
        return "BMP"
    if head.startswith(_TIFF):
        return "TIFF"
    if not head:
        raise ImageError(f"{name}: is empty (0 bytes); give a complete image file")
    raise ImageError(
        f"{name}: is not a JPEG, PNG, WebP, BMP or TIFF image (it begins with {head[:8].hex(' ')});"
        " convert it to one of these"
    )
