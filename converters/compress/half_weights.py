"""Weights stored as float16: half the bytes, eleven bits of each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.compress import encoded

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

_LARGEST = float(np.finfo(np.float16).max)


def apply(model: onnx.ModelProto) -> int:
    """Store the large weights of a model as float16, in place.

    A tensor with a value beyond float16's range (65504) stays float32.

    Args:
        model: the model, weights in memory.

    Returns:
        The number of tensors changed.
    """
    changed = 0
    for tensor, value in encoded.large_weights(model):
        code = encode(value)
        if code is not None:
            encoded.replace(model, tensor, code)
            changed += 1
    return changed


def encode(value: npt.NDArray[np.float32]) -> encoded.Encoded | None:
    """Return a weight as float16, or None where a value is beyond its range."""
    return encoded.Encoded(value.astype(np.float16)) if float(np.abs(value).max()) <= _LARGEST else None
