"""Products and convolutions in int8 with activation scales fixed beforehand, written as QDQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.compress.encoded import Encoded
from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.quantize.methods import correction, linear, qdq

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.groups import Region
    from edgekit.converters.quantize.methods.records import Range

_ACTIVATIONS = ("Relu", "Clip")  # what an engine computes as part of the convolution before
_BIAS_LIMIT = 2**30


def apply_u8s8(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Hold a node's activations in uint8 and its weights in int8, with one scale for each output channel.

    A product's input is held in uint8 and its result is float; a convolution's result (after the ReLU or Clip that
    follows it) is held too, because engines compute a convolution in integers only from integers to integers. Biases of
    convolutions become int32. Residual adds, normalization and softmax stay float.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: of the tensors that `tensors` names.

    Returns:
        Whether the node was rewritten; look-ups, products without a stored matrix, and convolutions whose bias is
        computed stay as they are.

    Raises:
        InputError: a range is missing or not finite.
        ConversionError: the weights hold infinity or NaN.
    """
    return rewrite(editor, key, ranges, qdq.UINT8, 127)


def apply_u8s7(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Do as `apply_u8s8`, with weights in -63..63: for processors whose sums of two u8 x s8 products saturate."""
    return rewrite(editor, key, ranges, qdq.UINT8, 63)


def apply_s8s8(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Do as `apply_u8s8`, with activations in int8: for engines that know no other."""
    return rewrite(editor, key, ranges, qdq.INT8, 127)


def tensors(editor: Editor, key: str) -> tuple[str, ...]:
    """Name the tensors whose ranges a node's rewriting needs."""
    node = editor.node(key)
    if node.op_type == "Conv":
        padding = _padding(editor, node)
        end = _end(editor, node)
        return ((padding or node).input[0], *(() if editor.is_output(end) else (end,)))
    return (node.input[0],) if node.op_type in ("MatMul", "Gemm") else ()


def rewrite(editor: Editor, key: str, ranges: Mapping[str, Range], grid: qdq.Grid, levels: int) -> bool:
    """Rewrite a node for any grid of activations and any largest weight code; see `apply_u8s8`."""
    node = editor.node(key)
    if node.op_type == "Conv":
        return _convolution(editor, node, ranges, grid, levels)
    found = linear.read(editor, key)
    if found is None:
        return False
    code = quantize(found.weight, 1, levels)
    found, add = linear.merged_bias(editor, correction.linear(editor, found, code.decoded(), ranges))
    scale, _ = qdq.parameters(qdq.span_of(ranges, found.source), grid)
    source = qdq.held(editor, found.source, ranges, grid)
    editor.remove(key)
    if not found.bias:
        weight = qdq.stored(editor, found.name, code, 1, grid)
        editor.add("MatMul", [source, weight], found.output)
        return True
    if add:
        editor.remove(add)
    bias = _flat_bias(editor, found)
    if bias is None:
        weight = qdq.stored(editor, found.name, code, 1, grid)
        editor.add("MatMul", [source, weight], linear.product(editor, found))
        return True
    code = _wide_enough(found.weight, code, bias, float(scale), levels, axis=1)
    weight = qdq.stored(editor, found.name, code, 1, grid)
    integers = _integer_bias(editor, found.bias, bias, np.asarray(code.scale).reshape(-1) * scale)
    editor.add("Gemm", [source, weight, integers], found.output)
    return True


def _flat_bias(editor: Editor, found: linear.Linear) -> npt.NDArray[np.float32] | None:
    """Return the bias as one number a column, or None where it is not stored so."""
    if not editor.is_constant(found.bias):
        return None
    bias, columns = editor.value(found.bias), found.weight.shape[1]
    # One number a row of the activations is no bias of columns, even where there are as many of both.
    if bias.size != 1 and bias.shape not in ((columns,), (1, columns)):
        return None
    return np.broadcast_to(bias.reshape(-1), (columns,))


def hold_adds(editor: Editor, region: Region, ranges: Mapping[str, Range], grid: qdq.Grid) -> None:
    """Hold the sums of a block of convolutions whose terms are all held, so that an engine adds integers.

    Without it every residual add of a convolutional tower turns both its terms into floats and its result back, which
    costs more than the convolutions gain.

    Args:
        editor: the graph.
        region: of the group.
        ranges: by tensor.
        grid: the integers to hold sums in.

    Raises:
        InputError: a range is missing or not finite.
    """
    for key in _adds(editor, region):
        node = editor.node(key)
        if all(editor.done.get(f"held:{grid.dtype}:{name}") == name for name in node.input):
            qdq.hold_output(editor, _end(editor, node), ranges, grid)


def add_tensors(editor: Editor, region: Region) -> tuple[str, ...]:
    """Name the tensors whose ranges `hold_adds` may need."""
    return tuple(_end(editor, editor.node(key)) for key in _adds(editor, region))


def _adds(editor: Editor, region: Region) -> list[str]:
    if region.group.kind != "convolution":
        return []
    adds = [key for key in editor.order(region.members) if editor.node(key).op_type == "Add"]
    return [key for key in adds if not any(editor.is_constant(name) for name in editor.node(key).input)]


def _convolution(
    editor: Editor, node: onnx.NodeProto, ranges: Mapping[str, Range], grid: qdq.Grid, levels: int
) -> bool:
    biased = len(node.input) > 2 and bool(node.input[2])
    if biased and not editor.is_constant(node.input[2]):
        return False
    needed = (_padding(editor, node) or node).input[0]
    scale, _ = qdq.parameters(qdq.span_of(ranges, needed), grid)
    value, name = editor.value(node.input[1]), node.input[1]
    code = quantize(value, 0, levels)
    correction.convolution(editor, node, code.decoded(), ranges)
    if biased:
        bias = editor.value(node.input[2])
        code = _wide_enough(value, code, bias, float(scale), levels, axis=0)
        node.input[2] = _integer_bias(editor, node.input[2], bias, np.asarray(code.scale).reshape(-1) * scale)
    node.input[1] = qdq.stored(editor, name, code, 0, grid)
    # Held before the padding, whose zeros are exact, so that an engine can still merge it into the convolution.
    (_padding(editor, node) or node).input[0] = qdq.held(editor, needed, ranges, grid)
    qdq.hold_output(editor, _end(editor, node), ranges, grid)
    return True


def _wide_enough(
    value: npt.NDArray[np.float32],
    code: Encoded,
    bias: npt.NDArray[np.float32],
    scale: float,
    levels: int,
    *,
    axis: int,
) -> Encoded:
    """Widen weight scales where the bias would not fit into int32 (a channel with next to no weights).

    Where all weights are 0, the scale is the bias's alone, which the step of any other would round.
    """
    scales = np.asarray(code.scale)
    least = (np.abs(bias) / (scale * _BIAS_LIMIT)).astype(np.float32)
    shape = [len(bias) if i == axis else 1 for i in range(value.ndim)]
    least = least.reshape(shape)
    empty = ~code.data.any(axis=tuple(i for i in range(value.ndim) if i != axis), keepdims=True)
    widened = np.where(empty & (least > 0), least, np.maximum(scales, least))
    if np.array_equal(widened, scales):
        return code
    return Encoded(np.clip(np.rint(value / widened), -levels, levels).astype(np.int8), widened)


def _integer_bias(editor: Editor, name: str, bias: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]) -> str:
    # What is too small for float32 belongs to a bias of 0: any other has widened its scale.
    scale = np.where(scale > 0, scale, np.float32(1))
    names = [
        editor.constant(f"{name}.int32", np.rint(bias / scale).astype(np.int32)),
        editor.constant(f"{name}.scale", scale.astype(np.float32)),
        editor.constant(f"{name}.zero", np.zeros(len(scale), np.int32)),
    ]
    return editor.add("DequantizeLinear", names, editor.free(f"{name}.decoded"), numbers={"axis": 0})


def _padding(editor: Editor, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return the node that pads the convolution's input with zeros, where nothing else reads its result."""
    found = editor.producer(node.input[0])
    if found is None or found.op_type != "Pad" or len(editor.readers(node.input[0])) > 1:
        return None
    mode = next((entry.s for entry in found.attribute if entry.name == "mode"), b"constant")
    filled = len(found.input) > 2 and found.input[2] and not _is_zero(editor, found.input[2])
    return found if mode == b"constant" and not filled and not editor.is_output(node.input[0]) else None


def _is_zero(editor: Editor, tensor: str) -> bool:
    return editor.is_constant(tensor) and not editor.value(tensor).any()


def _end(editor: Editor, node: onnx.NodeProto) -> str:
    """Return the tensor that holds the convolution's result after its activation."""
    out: str = node.output[0]
    readers = editor.readers(out)
    if len(readers) == 1 and readers[0].op_type in _ACTIVATIONS and not editor.is_output(out):
        return str(readers[0].output[0])
    return out
