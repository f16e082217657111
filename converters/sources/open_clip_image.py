"""open_clip's evaluation transform as a record, and as a function up to the point where the graph takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bundle.manifest import ImageSpec
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import Interpolation, ResizeMode


def image_spec(preprocess: dict[str, Any]) -> ImageSpec:
    """Translate the preprocessing that open_clip's factory attached to a model.

    Args:
        preprocess: fields of open_clip's `PreprocessCfg`.

    Returns:
        The complete record.

    Raises:
        UnsupportedModelError: a colour mode or resize mode that open_clip's evaluation transform does not have.
    """
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    if preprocess.get("mode", "RGB") != "RGB":
        raise UnsupportedModelError(f"preprocessing: colour mode {preprocess['mode']} is not supported, only RGB")
    mode: ResizeMode = preprocess.get("resize_mode") or "shortest"
    if mode not in ("shortest", "longest", "squash"):
        raise UnsupportedModelError(f"preprocessing: resize mode '{mode}' is not supported")
    square = height == width
    # open_clip's transform resizes to a non-square "shortest" with bicubic whatever the configuration says.
    fixed_bicubic = mode == "shortest" and not square
    bilinear = preprocess.get("interpolation") == "bilinear" and not fixed_bicubic
    interpolation: Interpolation = "bilinear" if bilinear else "bicubic"
    return ImageSpec(
        height=int(height),
        width=int(width),
        resize_mode=mode,
        shortest_edge=int(height) if mode == "shortest" and square else 0,
        interpolation=interpolation,
        # Only padding to the longest side takes the configured colour; a crop beyond the image is black.
        fill=_three(preprocess.get("fill_color", 0)) if mode == "longest" else (0, 0, 0),
        mean=_three_floats(preprocess["mean"]),
        std=_three_floats(preprocess["std"]),
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


def _three(value: int | Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (value,) * 3 if isinstance(value, int) else value
    return int(red), int(green), int(blue)


def _three_floats(value: float | Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (value,) * 3 if isinstance(value, (int, float)) else value
    return float(red), float(green), float(blue)
