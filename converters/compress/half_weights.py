"""Weights stored as float16: half the bytes, eleven bits of each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.compress import encoded

if TYPE_CHECKING:
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
        if float(np.abs(value).max()) <= _LARGEST:
            encoded.replace(model, tensor, encoded.Encoded(value.astype(np.float16)))
            changed += 1
    return changed
