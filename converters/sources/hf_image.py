"""A transformers image processor, told as an `ImageSpec`: read from its fields, then checked against what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.sources import fields
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from edgekit.bundle.manifest import Interpolation, ResizeMode

# Pillow's own numbering of its filters, which is what a processor's ``resample`` holds.
_FILTERS: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_KNOWN_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
# Every level of the probe lies in 0..255; two solid colours fix the affine map of each channel.
_DARK = (10, 60, 110)
_LIGHT = (200, 230, 250)


def image_spec(processor: Any) -> ImageSpec:
    """Read a transformers image processor.

    The scaling of a processor is affine in the pixel: ``((p * rescale_factor - offset) - mean) / std``, with
    a second division by ``std`` where ``include_top`` is set; both are folded into one mean and one std.

    Args:
        processor: an image processor instance, of the Pillow or of the torchvision backend.

    Returns:
        The spec; mean and std are RGB in 0..1 of a pixel divided by 255.

    Raises:
        UnsupportedModelError: a field of the processor cannot be expressed; the message names field and value.
    """
    inputs = list(getattr(processor, "model_input_names", ["pixel_values"]))
    if inputs != ["pixel_values"]:
        raise UnsupportedModelError(
            f"{_name(processor)} gives {inputs}; only processors that give fixed-size pixel_values alone can be "
            "converted (NaFlex models take patches whose number depends on the photo)"
        )
    _refuse_unknown_steps(processor)
    height, width, mode, shortest = _geometry(processor)
    mean, std = _scaling(processor)
    filter_ = getattr(processor, "resample", None)
    if not isinstance(filter_, int) or filter_ not in _FILTERS:
        raise _unsupported(processor, "resample", filter_, "a Pillow filter number from 0 to 5")
    spec = ImageSpec(
        height=height,
        width=width,
        resize_mode=mode,
        shortest_edge=shortest,
        interpolation=_FILTERS[int(filter_)],
        fill=(0, 0, 0),
        mean=mean,
        std=std,
        crop_rounding="floor",
    )
    _check_against_behaviour(processor, spec)
    return spec


def image_reference(processor: Any) -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    """Return the processor's own resize and crop.

    Args:
        processor: an image processor instance.

    Returns:
        A function from an upright RGB Pillow image to (H, W, 3) uint8 RGB, neither scaled nor normalized.
    """
    switches = {"do_rescale": False, "do_normalize": False}
    if hasattr(processor, "include_top"):
        switches["include_top"] = False

    def transform(image: Image.Image) -> npt.NDArray[np.uint8]:
        pixels = _pixel_values(processor(images=image, **switches))
        return np.ascontiguousarray(np.rint(pixels).astype(np.uint8).transpose(1, 2, 0))

    return transform


def _refuse_unknown_steps(processor: Any) -> None:
    for field, value in sorted(vars(processor).items()):
        if field.startswith("do_") and field not in _KNOWN_STEPS and value:
            raise _unsupported(processor, field, value, "false")
    if getattr(processor, "crop_pct", None) is not None:
        raise _unsupported(processor, "crop_pct", processor.crop_pct, "absent")
    if not getattr(processor, "do_resize", False):
        raise _unsupported(processor, "do_resize", getattr(processor, "do_resize", None), "true")
    if not getattr(processor, "do_rescale", False):
        raise _unsupported(processor, "do_rescale", getattr(processor, "do_rescale", None), "true")


def _geometry(processor: Any) -> tuple[int, int, ResizeMode, int]:
    size = _fields(getattr(processor, "size", None))
    crop = _fields(getattr(processor, "crop_size", None)) if getattr(processor, "do_center_crop", False) else None
    if set(size) == {"height", "width"}:
        if min(size.values()) < 1:
            raise _unsupported(processor, "size", size, "positive")
        if crop is None or crop == size:
            return size["height"], size["width"], "squash", 0
        edge = size["height"]
        square = size["width"] == edge and set(crop) == {"height", "width"}
        if not square or not (0 < crop["height"] <= edge and 0 < crop["width"] <= edge):
            raise _unsupported(processor, "crop_size", crop, f"height and width inside a square size, here {size}")
        return crop["height"], crop["width"], "squash", edge
    if set(size) != {"shortest_edge"}:
        raise _unsupported(processor, "size", size, "height and width, or shortest_edge")
    if crop is None:
        raise _unsupported(processor, "do_center_crop", False, "true beside size.shortest_edge")
    shortest = size["shortest_edge"]
    if set(crop) != {"height", "width"} or crop["height"] != crop["width"] or not 0 < crop["height"] <= shortest:
        raise _unsupported(processor, "crop_size", crop, f"a square of at most {shortest} (size.shortest_edge)")
    return crop["height"], crop["width"], "shortest", shortest


def _scaling(processor: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    factor = getattr(processor, "rescale_factor", None)
    if not fields.is_real(factor) or factor <= 0:
        raise _unsupported(processor, "rescale_factor", factor, "a number larger than zero")
    span = 255.0 * float(factor)
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    mean, std, top = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)
    if getattr(processor, "do_normalize", False):
        mean, std = _triple(processor, "image_mean"), _triple(processor, "image_std", positive=True)
    if getattr(processor, "include_top", False):
        top = _triple(processor, "image_std", positive=True)
    # A factor stored as a rounded decimal must not turn 0.5 into 0.49999999999999994.
    folded_mean = tuple(round((m + offset) / span, 12) for m in mean)
    folded_std = tuple(round(s * t / span, 12) for s, t in zip(std, top, strict=True))
    return (folded_mean[0], folded_mean[1], folded_mean[2]), (folded_std[0], folded_std[1], folded_std[2])


def _check_against_behaviour(processor: Any, spec: ImageSpec) -> None:
    """Run the processor on two solid colours: its output's shape and levels must be what the spec predicts."""
    for colour in (_DARK, _LIGHT):
        probe = Image.new("RGB", (2 * spec.width + 3, 3 * spec.height), colour)
        pixels = _pixel_values(processor(images=probe))
        if pixels.shape != (3, spec.height, spec.width):
            raise UnsupportedModelError(
                f"{_name(processor)} gives an image of shape {pixels.shape} where its fields say "
                f"{(3, spec.height, spec.width)}; this processor cannot be converted"
            )
        expected = (np.array(colour) / 255.0 - np.array(spec.mean)) / np.array(spec.std)
        found = pixels[:, spec.height // 2, spec.width // 2]
        if not np.allclose(found, expected, atol=1e-4):
            raise UnsupportedModelError(
                f"{_name(processor)} turns RGB {colour} into {np.round(found, 5).tolist()} where its fields say "
                f"{np.round(expected, 5).tolist()}; this processor cannot be converted"
            )


def _pixel_values(features: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    values = features["pixel_values"][0]
    return np.asarray(values, dtype=np.float64)


def _fields(size: Any) -> dict[str, int]:
    if size is None:
        return {}
    return {str(key): int(value) for key, value in dict(size).items() if value is not None}


def _triple(processor: Any, field: str, *, positive: bool = False) -> tuple[float, float, float]:
    value = getattr(processor, field, None)
    try:
        return fields.three(value, field, _name(processor), positive=positive)
    except InputError as error:
        wanted = "three positive numbers" if positive else "three numbers"
        raise _unsupported(processor, field, value, wanted) from error


def _unsupported(processor: Any, field: str, value: object, wanted: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{_name(processor)}: {field}={value!r} is not supported; it must be {wanted}")


def _name(processor: Any) -> str:
    return type(processor).__name__
