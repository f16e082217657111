"""open_clip's evaluation transform as a record, and as a function up to the point where the graph takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.sources import fields
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import Interpolation, ResizeMode

# What open_clip's transform knows; of ``random``, meant for training, it makes bicubic.
_FILTERS = ("bicubic", "bilinear", "random")


def image_spec(preprocess: dict[str, Any], where: object = "preprocessing") -> ImageSpec:
    """Translate the preprocessing that open_clip's factory attached to a model.

    Args:
        preprocess: fields of open_clip's `PreprocessCfg`.
        where: the file they come from, for messages.

    Returns:
        The complete record.

    Raises:
        InputError: a size, a mean, a standard deviation or a colour that is none.
        UnsupportedModelError: a colour mode, a filter or a resize mode that open_clip's evaluation transform does not
            have.
    """
    height, width = _size(preprocess["size"], where)
    if preprocess.get("mode", "RGB") != "RGB":
        raise UnsupportedModelError(f"{where}: colour mode {preprocess['mode']} is not supported, only RGB")
    mode: ResizeMode = preprocess.get("resize_mode") or "shortest"
    if mode not in ("shortest", "longest", "squash"):
        raise UnsupportedModelError(f"{where}: resize mode '{mode}' is not supported")
    if (preprocess.get("interpolation") or "bicubic") not in _FILTERS:
        raise UnsupportedModelError(
            f"{where}: interpolation {preprocess['interpolation']!r} is not supported, only {', '.join(_FILTERS)}"
        )
    square = height == width
    # open_clip's transform resizes to a non-square "shortest" with bicubic whatever the configuration says.
    fixed_bicubic = mode == "shortest" and not square
    bilinear = preprocess.get("interpolation") == "bilinear" and not fixed_bicubic
    interpolation: Interpolation = "bilinear" if bilinear else "bicubic"
    return ImageSpec(
        height=height,
        width=width,
        resize_mode=mode,
        shortest_edge=height if mode == "shortest" and square else 0,
        interpolation=interpolation,
        # Only padding to the longest side takes the configured colour; a crop beyond the image is black.
        fill=_colour(preprocess.get("fill_color", 0), where) if mode == "longest" else (0, 0, 0),
        mean=fields.three(preprocess["mean"], "mean", where),
        std=fields.three(preprocess["std"], "std", where, positive=True),
    )


def image_reference(preprocess: dict[str, Any]) -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    """Return open_clip's own transform without its last two steps, conversion to a tensor and normalization.

    Args:
        preprocess: fields of open_clip's `PreprocessCfg`.

    Returns:
        A function from an upright RGB image to (H, W, 3) uint8 RGB, 0..255.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import ToTensor

    steps = image_transform_v2(PreprocessCfg(**preprocess), is_train=False).transforms
    cut = next(position for position, step in enumerate(steps) if isinstance(step, ToTensor))

    def reference(image: Image.Image) -> npt.NDArray[np.uint8]:
        for step in steps[:cut]:
            image = step(image)
        return np.asarray(image, dtype=np.uint8)

    return reference


def _size(value: object, where: object) -> tuple[int, int]:
    sides = list(value) if isinstance(value, (list, tuple)) else [value] * 2
    if len(sides) != 2:
        raise InputError(f"{where}: size is {value!r}, a number or height and width were expected")
    return fields.whole(sides[0], "size", where), fields.whole(sides[1], "size", where)


def _colour(value: object, where: object) -> tuple[int, int, int]:
    red, green, blue = fields.three(value, "fill_color", where)
    if any(level != int(level) or not 0 <= level <= 255 for level in (red, green, blue)):
        raise InputError(f"{where}: fill_color is {value!r}, levels of 0 to 255 were expected")
    return int(red), int(green), int(blue)
