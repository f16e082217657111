"""Where each output pixel comes from: the reference's resize, crop and padding, with exactly its rounding.

Source of the rules: `torchvision.transforms.Resize` and `CenterCrop`, open_clip's `ResizeKeepRatio` and
`CenterCropOrPad`, as `open_clip.transform.image_transform` chains them, and transformers' `center_crop`, which
rounds the crop's origin down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ImageError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import ImageSpec


@dataclass(frozen=True)
class Axis:
    """One direction of the plan, in pixels.

    Attributes:
        resized: length of the whole image after the resize.
        start: first pixel of the resized image that is kept.
        stop: end of the kept part.
        offset: where the kept part begins in the output; what lies before and after it is padding.
    """

    resized: int
    start: int
    stop: int
    offset: int


def plan(size: tuple[int, int], spec: ImageSpec, name: str) -> tuple[Axis, Axis]:
    """Plan the resize, crop and padding of one upright image.

    Args:
        size: width and height of the image, in pixels, after its orientation was applied.
        spec: the checkpoint's preprocessing.
        name: what to call the image in an error.

    Returns:
        The horizontal and the vertical axis.

    Raises:
        ImageError: the image is so thin that the resize leaves no pixel (``longest`` only; the reference
            fails there too).
    """
    width, height = resized_size(size, spec)
    if width < 1 or height < 1:
        raise ImageError(
            f"{name}: an image of {size[0]}x{size[1]} pixels is too thin for this model, which scales the longer"
            f" side to {max(spec.width, spec.height)} pixels and leaves none for the shorter; crop the image first"
        )
    return _place(width, spec.width, spec), _place(height, spec.height, spec)


def resized_size(size: tuple[int, int], spec: ImageSpec) -> tuple[int, int]:
    """Return width and height after the resize, before any crop or padding."""
    width, height = size
    if spec.resize_mode == "squash":
        return (spec.shortest_edge,) * 2 if spec.shortest_edge else (spec.width, spec.height)
    if spec.resize_mode == "shortest" and spec.shortest_edge > 0:
        # torchvision truncates here, where the ratio below is rounded half to even.
        edge = spec.shortest_edge
        if width <= height:
            return edge, int(edge * height / width)
        return int(edge * width / height), edge
    ratios = (height / spec.height, width / spec.width)
    ratio = max(ratios) if spec.resize_mode == "longest" else min(ratios)
    return round(width / ratio), round(height / ratio)


def _place(length: int, window: int, spec: ImageSpec) -> Axis:
    """Centre a window on a length: crop when the length is larger, pad when it is smaller."""
    if length < window:
        return Axis(length, 0, length, (window - length) // 2)
    start = (length - window) // 2 if spec.crop_rounding == "floor" else round((length - window) / 2.0)
    return Axis(length, start, start + window, 0)
