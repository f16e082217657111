"""Sixteen bits for activations and eight for weights: what many neural processors compute well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.quantize.methods import qdq, static_int8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.records import Range


def apply(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Hold a node's activations in uint16 and its weights in int8, as QDQ; see `static_int8.apply_u8s8`.

    At opset 17 only ONNX Runtime's own QuantizeLinear knows 16 bits, so the pairs are of its operator set. An NPU's
    back-end turns them into integer arithmetic; a CPU computes the same values with floats, slower than float32.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: of the tensors that `static_int8.tensors` names.

    Returns:
        Whether the node was rewritten.

    Raises:
        InputError: a range is missing or not finite.
        ConversionError: the weights hold infinity or NaN.
    """
    return static_int8.rewrite(editor, key, ranges, qdq.UINT16, 127)
