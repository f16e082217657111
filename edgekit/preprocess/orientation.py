"""The eight EXIF orientations: how a stored image becomes upright, and where a region of it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_TAG = 0x0112

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a region, in pixels, with fractions."""


@dataclass(frozen=True)
class Turn:
    """From stored to upright: first swap rows and columns, then mirror.

    Attributes:
        swap: exchange the two axes.
        flip_x: then mirror left and right.
        flip_y: then mirror top and bottom.
    """

    swap: bool
    flip_x: bool
    flip_y: bool


UPRIGHT = Turn(swap=False, flip_x=False, flip_y=False)

# EXIF 2.32, tag 0x0112 "Orientation": where row 0 and column 0 of the stored image are seen.
_TURNS = {
    1: UPRIGHT,
    2: Turn(swap=False, flip_x=True, flip_y=False),
    3: Turn(swap=False, flip_x=True, flip_y=True),
    4: Turn(swap=False, flip_x=False, flip_y=True),
    5: Turn(swap=True, flip_x=False, flip_y=False),
    6: Turn(swap=True, flip_x=True, flip_y=False),
    7: Turn(swap=True, flip_x=True, flip_y=True),
    8: Turn(swap=True, flip_x=False, flip_y=True),
}


def turn_of(image: Image.Image) -> Turn:
    """Return how a Pillow image must be turned; its EXIF block (or XMP, as Pillow reads it) says so.

    A TIFF must be decoded first: Pillow turns it while decoding and drops the tag. Metadata that cannot be read
    counts as upright, as in every viewer, because damaged EXIF on a sound photo is common.
    """
    try:
        value = image.getexif().get(_TAG)
    except Exception:
        return UPRIGHT
    return _TURNS.get(value, UPRIGHT) if isinstance(value, int) else UPRIGHT


def upright_size(size: tuple[int, int], turn: Turn) -> tuple[int, int]:
    """Return width and height after the turn."""
    return (size[1], size[0]) if turn.swap else size


def upright_box(box: Box, size: tuple[int, int], turn: Turn) -> Box:
    """Return where a region of a stored image of `size` (width, height) lies after the turn."""
    left, top, right, bottom = box
    if turn.swap:
        left, top, right, bottom = top, left, bottom, right
    width, height = upright_size(size, turn)
    if turn.flip_x:
        left, right = width - right, width - left
    if turn.flip_y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def apply_turn(image: Image.Image, turn: Turn) -> Image.Image:
    """Return the image upright, as `ImageOps.exif_transpose` does, in one pass over the pixels."""
    from PIL import Image

    methods = {
        _TURNS[2]: Image.Transpose.FLIP_LEFT_RIGHT,
        _TURNS[3]: Image.Transpose.ROTATE_180,
        _TURNS[4]: Image.Transpose.FLIP_TOP_BOTTOM,
        _TURNS[5]: Image.Transpose.TRANSPOSE,
        _TURNS[6]: Image.Transpose.ROTATE_270,
        _TURNS[7]: Image.Transpose.TRANSVERSE,
        _TURNS[8]: Image.Transpose.ROTATE_90,
    }
    return image.transpose(methods[turn]) if turn in methods else image
