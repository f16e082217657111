"""Take the mean error of rounded weights back in the bias that follows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods.editor import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.linear import Linear
    from edgekit.converters.quantize.methods.records import Range

# With x the input, W the weights and V what is stored in their place, the outputs are off by E[x] (V - W) on average
# (Nagel et al. 2019, arXiv 1906.04721, section 4.2). The bias takes that back, at no cost.


def linear(editor: Editor, found: Linear, decoded: npt.NDArray[np.float32], ranges: Mapping[str, Range]) -> Linear:
    """Correct the bias of a product: its own, or the stored one that an Add adds to it.

    Args:
        editor: the graph, changed.
        found: the product.
        decoded: what takes the place of its weights, float32 (K, N).
        ranges: with the means of its input; without them, or without a stored bias, nothing happens.

    Returns:
        The product, with another bias where it was its own.
    """
    means = _means(ranges, found.source, len(found.weight))
    if means is None:
        return found
    shift = means @ (found.weight.astype(np.float64) - decoded)
    if found.bias:
        if not _is_row(editor, found.bias, shift):
            return found
        return replace(found, bias=_corrected(editor, found.bias, shift))
    readers = editor.readers(found.output)
    if len(readers) == 1 and readers[0].op_type == "Add" and not editor.is_output(found.output):
        for position, name in enumerate(readers[0].input):
            if name != found.output and _is_row(editor, name, shift):
                readers[0].input[position] = _corrected(editor, name, shift)
    return found


def convolution(
    editor: Editor, node: onnx.NodeProto, decoded: npt.NDArray[np.float32], ranges: Mapping[str, Range]
) -> None:
    """Correct the bias of a convolution; see `linear`. Padding is left out of account.

    Args:
        editor: the graph, changed.
        node: the convolution, with its own weights still.
        decoded: what takes their place, of the same shape.
        ranges: with the means of its input's channels, by the name of the input or of what is padded to give it.
    """
    if len(node.input) < 3 or not node.input[2] or not editor.is_constant(node.input[2]):
        return
    value = editor.value(node.input[1])
    groups = int(attribute(node, "group", 1))
    means = _means(ranges, unpadded(editor, node), value.shape[1] * groups)
    if means is None:
        return
    off = (value.astype(np.float64) - decoded).reshape(*value.shape[:2], -1).sum(axis=2)
    shift = np.einsum("goc,gc->go", off.reshape(groups, -1, value.shape[1]), means.reshape(groups, -1)).reshape(-1)
    node.input[2] = _corrected(editor, node.input[2], shift)


def unpadded(editor: Editor, node: onnx.NodeProto) -> str:
    """Return the tensor that a convolution reads, before the node that pads it where there is one."""
    found = editor.producer(node.input[0])
    return str(found.input[0] if found is not None and found.op_type == "Pad" else node.input[0])


def wanted(editor: Editor, key: str) -> tuple[str, ...]:
    """Name the tensor whose means a node's correction uses; none for a look-up."""
    node = editor.node(key)
    if node.op_type == "Conv":
        return (unpadded(editor, node),)
    return (node.input[0],) if node.op_type in ("MatMul", "Gemm") else ()


def _means(ranges: Mapping[str, Range], tensor: str, count: int) -> npt.NDArray[np.float64] | None:
    span = ranges.get(tensor)
    return np.array(span.means, np.float64) if span is not None and len(span.means) == count else None


def _is_row(editor: Editor, name: str, shift: npt.NDArray[np.float64]) -> bool:
    return editor.is_constant(name) and editor.value(name).shape == shift.shape


def _corrected(editor: Editor, name: str, shift: npt.NDArray[np.float64]) -> str:
    return editor.constant(f"{name}.corrected", (editor.value(name) + shift).astype(np.float32))
