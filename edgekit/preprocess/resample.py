"""One upright image to the tower's pixels: resize, crop, convert, pad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.preprocess.geometry import Axis
    from edgekit.preprocess.orientation import Box

# Most pixels resized only to be cropped away, 32 MiB as Pillow holds them. A strip of 1 x 10,000 pixels would
# become 224 x 2,240,000; a panorama of 160:1 stays below it at 224 pixels.
_WHOLE_LIMIT = 2**23


def resample(
    image: Image.Image, content: Box, axes: tuple[Axis, Axis], spec: ImageSpec, *, whole: bool
) -> npt.NDArray[np.uint8]:
    """Resize, crop, convert to RGB and pad.

    The resize runs in the image's own mode and the conversion comes last, as in the reference: transparent
    pixels then do not bleed into their neighbours, and palette and 1-bit images are resized with ``nearest``.

    Args:
        image: an upright, decoded Pillow image of any mode.
        content: the region of it that is the photo.
        axes: the horizontal and the vertical plan.
        spec: the checkpoint's preprocessing.
        whole: resize everything and crop then, which gives the reference's pixels bit for bit. Otherwise, and
            always above 8 million resized pixels, only the part that the crop keeps is computed. That is up to 2
            levels apart: Pillow rounds positions to float32, and newer releases choose by size which
            direction goes first, with a rounding to 8 bits between the two. ``nearest`` and ``box`` can take a
            neighbouring pixel there.

    Returns:
        uint8 (height, width, 3) RGB.
    """
    from PIL import Image

    x, y = axes
    resampling = Image.Resampling[spec.interpolation.upper()]
    if whole and x.resized * y.resized <= _WHOLE_LIMIT:
        resized = image.resize((x.resized, y.resized), resampling, content)
        resized = resized.crop((x.start, y.start, x.stop, y.stop))
    else:
        left, right = _source_span(x, content[0], content[2])
        top, bottom = _source_span(y, content[1], content[3])
        resized = image.resize((x.stop - x.start, y.stop - y.start), resampling, (left, top, right, bottom))
    pixels = to_rgb(resized)
    if pixels.shape == (spec.height, spec.width, 3):
        return pixels
    output = np.empty((spec.height, spec.width, 3), np.uint8)
    output[:] = spec.fill
    output[y.offset : y.offset + pixels.shape[0], x.offset : x.offset + pixels.shape[1]] = pixels
    return output


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert a Pillow image of any mode to uint8 (H, W, 3) RGB, dropping alpha, by Pillow's own rules.

    Those rules are the reference's, odd ones included: 16-bit grey saturates at 255 instead of being scaled.
    """
    if image.mode == "P" and "transparency" in image.info:
        # It changes no RGB value, and Pillow would warn about it.
        image = image.copy()
        del image.info["transparency"]
    return np.array(image.convert("RGB"))


def _source_span(axis: Axis, first: float, last: float) -> tuple[float, float]:
    """Return the part of the source, between `first` and `last`, that the kept part of an axis is made from."""
    step = (last - first) / axis.resized
    return first + axis.start * step, min(first + axis.stop * step, last)
