"""Make attention masks finite, so that a graph stays right in float16 and after quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper

from edgekit.converters.graph import walk

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

MASKED = -1.0e4
"""What a masked position receives: exp(-1e4) is 0 in every float type, and two such masks add up within float16."""

_FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}
# There the value is a bound or a filling, not a mask added to logits; changing it would change the result.
_BOUNDS = {"Clip", "Min", "Max", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"}


def finite_masks(model: onnx.ModelProto) -> int:
    """Replace minus infinity, and any finite stand-in for it, by -1e4 in every mask constant, in place.

    A constant counts as a mask when each of its elements is either 0 or at most -1e4 (minus infinity and the
    smallest float included), at least one is below -1e4, and no node reads it as a bound (Clip, Min, Max or a
    comparison). Weights keep their values: a tensor with any other element is left alone.
    Minus infinity becomes NaN as soon as it meets itself or a zero factor, and the smallest float32 is minus
    infinity in float16; -1e4 has neither fault, and gives the same softmax as long as logits stay within a few
    thousand.

    Args:
        model: the model, changed in place.

    Returns:
        The number of constants that were changed.
    """
    readers = walk.consumers(model)
    changed = 0
    for name, tensor in walk.constants(model):
        if tensor.data_type not in _FLOATS or any(node.op_type in _BOUNDS for node, _ in readers.get(name, [])):
            continue
        values = numpy_helper.to_array(tensor)
        if not _is_mask(values):
            continue
        finite = np.maximum(values, np.asarray(MASKED, values.dtype))
        tensor.CopyFrom(numpy_helper.from_array(finite, tensor.name))
        changed += 1
    return changed


def _is_mask(values: npt.NDArray[Any]) -> bool:
    if values.size == 0 or not bool(values.min() < MASKED):
        return False
    return bool(np.all((values == 0) | (values <= MASKED)))
