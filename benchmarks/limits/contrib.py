"""Shapes of the operators that ONNX does not define but ONNX Runtime runs.

Source: docs/ContribOperators.md of onnxruntime 1.32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx

# Operators whose first output is as its first input, element type apart.
_ALIKE = {
    *("BiasGelu", "FastGelu", "Gelu", "QuickGelu", "SkipLayerNormalization", "SimplifiedLayerNormalization"),
    *("SkipSimplifiedLayerNormalization", "MultiHeadAttention", "QLinearSigmoid", "QLinearLeakyRelu"),
    *("BiasSoftmax", "RotaryEmbedding", "QLinearSoftmax"),
}
_MOST = 4  # inputs that a rule looks at
# Which input has the output's element type, where it is not the first: a scale.
_TYPED = {"GatherBlockQuantized": 2, "DynamicQuantizeMatMul": 2, "MatMulIntegerToFloat": 2}
_BROADCAST = {"QLinearAdd", "QLinearMul", "BiasAdd"}
_PRODUCTS = {"FusedMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "FusedGemm", "QGemm", "TransposeMatMul"}


def outputs(
    node: onnx.NodeProto, inputs: Sequence[Any], make: Callable[[tuple[int, ...] | None, int], Any]
) -> list[Any]:
    """Return a node's outputs.

    Args:
        node: of another domain than ONNX's own.
        inputs: what is known of each input, with ``shape`` and ``kind``; None where it is absent or unknown.
        make: from a shape, or None, and an element type to a tensor.

    Returns:
        As many as are known of: the first, with an unknown shape for an unknown operator.
    """
    # A malformed node may lack any of them.
    shapes = [None if tensor is None else tensor.shape for tensor in (*inputs, *[None] * _MOST)]
    typed = inputs[_TYPED.get(node.op_type, 0)] if len(inputs) > _TYPED.get(node.op_type, 0) else None
    kind = 0 if typed is None else typed.kind
    return [make(_shape(node, shapes), kind)]


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return an integer attribute of a node."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def second(node: onnx.NodeProto) -> int:
    """Return the position among the inputs of the right side of a quantized product of matrices."""
    return 3 if node.op_type in ("QGemm", "QLinearMatMul", "QLinearConv") else 1


def _shape(node: onnx.NodeProto, shapes: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    first = shapes[0]
    if first is None:
        return None
    if node.op_type in _ALIKE:
        return first
    if node.op_type in _BROADCAST:
        right = shapes[3] if node.op_type.startswith("QLinear") else shapes[1]
        return None if right is None else tuple(np.broadcast_shapes(first, right))
    if node.op_type == "MatMulNBits":
        return (*first[:-1], attribute(node, "N", 0))
    if node.op_type == "GatherBlockQuantized":
        return _rows(node, first, shapes[1])
    if node.op_type == "Attention":
        weight = shapes[1]
        return None if weight is None else (*first[:2], weight[1] // 3)
    if node.op_type in _PRODUCTS:
        right = shapes[second(node)]
        return None if right is None else _product(node, first, right)
    return None


def _rows(node: onnx.NodeProto, table: tuple[int, ...], indices: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if indices is None or attribute(node, "gather_axis", 0) != 0:
        return None
    # 4-bit codes lie two in a byte.
    packed = 2 if attribute(node, "bits", 4) == 4 else 1
    return (*indices, *table[1:-1], table[-1] * packed)


def _product(node: onnx.NodeProto, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    if attribute(node, "transA", 0):
        left = (*left[:-2], left[-1], left[-2])
    if attribute(node, "transB", 0):
        right = (*right[:-2], right[-1], right[-2])
    if len(left) < 2 or len(right) < 2:
        return None
    return (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])
