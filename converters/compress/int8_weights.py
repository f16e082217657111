"""Weights stored as int8 with one scale a channel: a quarter of the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.compress import encoded

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx


def apply(model: onnx.ModelProto) -> int:
    """Store the large weights of a model as int8, in place.

    Each channel is divided by its largest magnitude over 127 and rounded to nearest. Channels run along the first or
    the second axis, whichever loses less; along the first for a table looked up by its rows. Vectors, and tensors
    of integers, stay as they are.

    Args:
        model: the model, weights in memory.

    Returns:
        The number of tensors changed.
    """
    changed = 0
    for tensor, value in encoded.large_weights(model):
        if value.ndim > 1:
            encoded.replace(model, tensor, encode(value, encoded.is_table(model, tensor.name)))
            changed += 1
    return changed


def encode(value: npt.NDArray[np.float32], is_table: bool) -> encoded.Encoded:
    """Return a weight as int8, with scales along the first axis (for a table) or the one of two that loses less."""
    candidates = [quantize(value, axis) for axis in ((0,) if is_table else (0, 1))]
    return min(candidates, key=lambda code: _loss(value, code))


def quantize(value: npt.NDArray[np.float32], axis: int, levels: int = 127) -> encoded.Encoded:
    """Quantize symmetrically with one scale for each index along `axis`.

    Args:
        value: float32, two or more axes, finite.
        axis: the axis along which scales differ.
        levels: the largest code; 127 leaves -128 out, so that the code is symmetric.

    Returns:
        int8 data in ``-levels..levels`` and float32 scales; no value is off by more than half its scale.
    """
    others = tuple(other for other in range(value.ndim) if other != axis)
    largest = np.abs(value).max(axis=others, keepdims=True)
    scale = (largest / levels).astype(np.float32)
    # Of a channel of subnormal numbers the scale may be 0 though the numbers are not.
    scale = np.where(scale > 0, scale, np.float32(1))
    data = np.clip(np.rint(value / scale), -levels, levels).astype(np.int8)
    return encoded.Encoded(data, scale)


def _loss(value: npt.NDArray[np.float32], code: encoded.Encoded) -> float:
    """Sum of squared differences."""
    return float(np.square(code.decoded() - value).sum(dtype=np.float64))
