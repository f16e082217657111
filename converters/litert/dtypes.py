"""ONNX element types as torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from onnx import TensorProto

if TYPE_CHECKING:
    from edgekit.converters.litert.call import Call

# Half and double are computed as float32: the first only stores weights in our graphs, the second no device has.
_TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float32,
    TensorProto.DOUBLE: torch.float32,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def torch_dtype(code: int, call: Call) -> torch.dtype:
    """Return torch's type for a type code of ONNX.

    Args:
        code: a member of ``onnx.TensorProto.DataType``.
        call: for the message.

    Returns:
        The type.

    Raises:
        UnsupportedModelError: LiteRT has no such type.
    """
    if code not in _TYPES:
        raise call.unsupported(f"element type {TensorProto.DataType.Name(code)} is not one LiteRT computes with")
    return _TYPES[code]
