"""Encoded images: header, limits and decoding, all by Pillow, which is what the reference decodes with.

Why not OpenCV: Pillow decodes straight into the memory that its resize reads, while an array from OpenCV has to
be copied there first. Decoding and resizing a JPEG takes 1.02 (640x480) and 0.95 (12 MP) times as long with OpenCV
(`benchmarks/peers/decoders.py`), for 150 MB more on the device. It also returns truncated files half grey, prints its
libraries' warnings, and differs from the reference on palettes, alpha, CMYK and 16 bit.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from edgekit.errors import ImageError, InputError
from edgekit.preprocess.signature import detect
from edgekit.preprocess.tiff import directory_is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image, ImageFile

    from edgekit.preprocess.signature import Format

DEFAULT_MAX_PIXELS = 178_956_970
"""Largest width x height that is decoded unless the caller says otherwise: the count Pillow itself refuses at."""

_PNG_END = b"IEND\xae\x42\x60\x82"
_JPEG_END = b"\xff\xd9"


def open_encoded(data: bytes, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an encoded image and refuse what must not be decoded; no pixel is decoded yet.

    Args:
        data: the whole file.
        name: what to call the image in an error.
        max_pixels: largest width x height, in pixels.

    Returns:
        A Pillow image that decodes on `load_pixels`; of several frames, the first.

    Raises:
        ImageError: not an image of a known format, damaged header, truncated, or more than `max_pixels`.
    """
    kind = detect(data, name)
    if kind == "TIFF" and not directory_is_whole(data):
        raise _truncated(kind, data, name)
    with refusing(name, f"the {kind} header cannot be read"):
        image = _plugin(kind)(io.BytesIO(data), name)
    check_pixels(image, name, max_pixels)
    if not _has_end(image, kind, data):
        raise _truncated(kind, data, name)
    return image


def check_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse an image of more than `max_pixels` pixels with an `ImageError`, from its header alone."""
    if max_pixels < 1:
        raise InputError(f"max_pixels is {max_pixels}; give at least 1")
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width}x{height} is {width * height:,} pixels, above the limit of {max_pixels:,} that guards"
            " against decompression bombs; scale the image down, or raise max_pixels for a source you trust"
        )


def load_pixels(image: Image.Image, name: str) -> None:
    """Decode the pixels in place; a damaged or truncated file is an `ImageError`, never a half-grey image."""
    with refusing(name, "the pixels cannot be decoded"):
        image.load()


@contextlib.contextmanager
def refusing(name: str, what: str) -> Iterator[None]:
    """Turn whatever a parser of hostile bytes may raise into an `ImageError` that names the image."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"{name}: {what}: not enough memory; scale the image down") from error
    except Exception as error:
        # Pillow promises no set of exceptions: OSError, SyntaxError, struct.error, ValueError and more were seen.
        reason = f"{error}".strip() or type(error).__name__
        raise ImageError(
            f"{name}: {what}: {reason}; the file is damaged or truncated, save or copy it again"
        ) from error


def _truncated(kind: Format, data: bytes, name: str) -> ImageError:
    """Return the error for a file that ends too early."""
    return ImageError(f"{name}: is truncated: after {len(data):,} bytes the {kind} data is not complete; copy it again")


def _plugin(kind: Format) -> type[ImageFile.ImageFile]:
    """Return Pillow's reader for a format.

    The readers are used directly because `Image.open` tries every format it knows, and refuses by a limit of its
    own that only a process-wide setting can raise.
    """
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    readers: dict[Format, type[ImageFile.ImageFile]] = {
        "BMP": BmpImagePlugin.BmpImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }
    return readers[kind]


def _has_end(image: ImageFile.ImageFile, kind: Format, data: bytes) -> bool:
    """Tell whether a file whose format marks its end has the mark.

    Decoding finds missing pixels too, but an application may have told Pillow to fill them in
    (`ImageFile.LOAD_TRUNCATED_IMAGES`), and a file cut right after its last pixel is still a bad copy.
    """
    if kind == "PNG":
        return data.rfind(_PNG_END) >= 0
    if kind == "WebP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if kind == "JPEG":
        # The header was read up to the first scan; an end mark before it belongs to an embedded thumbnail.
        scan = image.fp.tell() if image.fp is not None else 0
        return data.rfind(_JPEG_END, scan) >= 0
    return True
