"""Video frames and other arrays in memory; their layout is stated by the caller and checked, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ImageError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from edgekit.preprocess.source import ChannelOrder


def array_to_image(array: npt.NDArray[np.generic], channel_order: ChannelOrder) -> Image.Image:
    """Wrap an array as a Pillow image.

    Args:
        array: uint8 (H, W, 3) with values in 0..255, channels in `channel_order`; or uint8 (H, W) grey.
        channel_order: ``rgb``, or ``bgr`` for frames that come from OpenCV.

    Returns:
        An ``RGB`` or ``L`` image; ``L`` may share the array's memory.

    Raises:
        ImageError: another dtype or shape, or no pixels.
    """
    from PIL import Image

    shape = " x ".join(str(length) for length in array.shape) or "no dimensions"
    if array.dtype != np.uint8:
        raise ImageError(f"<array>: dtype is {array.dtype}, not uint8; convert the pixels to uint8 in 0..255 first")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ImageError(
            f"<array>: shape is {shape}; give one image as (H, W, 3) with the channels last, or (H, W) grey"
            " (drop an alpha channel with array[:, :, :3], split a batch into its images)"
        )
    if array.size == 0:
        raise ImageError(f"<array>: shape is {shape}, which holds no pixel; give an image of at least 1 x 1")
    height, width = array.shape[:2]
    pixels = np.ascontiguousarray(array)
    if array.ndim == 2:
        return Image.frombuffer("L", (width, height), pixels, "raw", "L", 0, 1)
    return Image.frombuffer("RGB", (width, height), pixels, "raw", channel_order.upper(), 0, 1)
