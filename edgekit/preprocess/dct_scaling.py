"""The fast path: large JPEGs decoded at 1/2, 1/4 or 1/8 of their size, inside the inverse DCT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.preprocess.geometry import resized_size

if TYPE_CHECKING:
    from PIL import Image

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.preprocess.orientation import Box

FAST_RATIO = 3.0
"""A JPEG is decoded smaller only while each decoded side stays this many times longer than it is after the resize."""

FAST_MAX_LEVELS = 16
"""Largest difference from the exact pixels on photographs, in levels of 255.

Measured by `tests/edgekit/preprocess/measure_fast.py` on thirteen photographs enlarged to just above `FAST_RATIO`,
saved with quality 75 and 95, 4:2:0 and 4:4:4, baseline and progressive, for a 224-pixel model and the scales 1/2 and
1/4: largest 14, on point-like stars. At a ratio of 2 it was 19, at 4 it was 11; with 3, a photo of 12 MP
(4000 x 3000) is still decoded at 1/4. The tests hold all three scales to the bound for a 64-pixel model.
"""

FAST_MEAN_LEVELS = 0.5
"""Largest mean difference over one photograph, in levels of 255, from the same measurement."""

FAST_WORST_LEVELS = 32
"""Largest difference on patterns made to hurt (noise, checkerboards, bars, zone plate), from the same measurement."""

_SCALES = (8, 4, 2)
_MODES = ("L", "RGB")

# The filters without a hard edge. ``nearest`` picks, and ``box`` cuts at, single pixels that a smaller decode has
# averaged away.
_SMOOTH = ("bilinear", "bicubic", "hamming", "lanczos")


def dct_scale(image: Image.Image, size: tuple[int, int], spec: ImageSpec) -> int:
    """Choose how much smaller an image may be decoded.

    Args:
        image: a JPEG, with only its header read.
        size: its upright width and height, in pixels.
        spec: the checkpoint's preprocessing.

    Returns:
        8, 4, 2, or 1 where only a full decode keeps the stated bound. Always 1 for CMYK, which was not measured,
        and for the filters ``nearest`` and ``box``.
    """
    if image.mode not in _MODES or spec.interpolation not in _SMOOTH:
        return 1
    width, height = resized_size(size, spec)
    for scale in _SCALES:
        if size[0] >= scale * FAST_RATIO * width and size[1] >= scale * FAST_RATIO * height:
            return scale
    return 1


def request_scale(image: Image.Image, scale: int) -> Box:
    """Tell Pillow's JPEG decoder to decode at 1/`scale`.

    Args:
        image: a JPEG, with only its header read.
        scale: 1, 2, 4 or 8.

    Returns:
        The region of the smaller image that the photo covers: a side that `scale` does not divide ends inside the last
        pixel, and a resize that took the whole pixel would shift the photo.
    """
    width, height = image.size
    if scale > 1:
        image.draft(None, (width // scale, height // scale))
    return 0.0, 0.0, width / scale, height / scale
