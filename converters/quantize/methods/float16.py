"""Compute a group in float16, with islands of float32 where its range or precision does not suffice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from edgekit.converters.quantize.methods.qdq import span_of
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.groups import Region
    from edgekit.converters.quantize.methods.records import Range

LIMIT = 65504 / 4
"""Largest magnitude on the calibration data that may be held in float16; other inputs may go further."""

_SMALLEST = float(np.finfo(np.float16).tiny)
_WEIGHTS = {"MatMul", "Gemm", "Conv"}
# Position of the inputs that are numbers rather than shapes or indices; all of them where the operator is not named.
_NUMBERS = {
    "Clip": (0, 1, 2),
    "Expand": (0,),
    "Gather": (0,),
    "Pad": (0, 2),
    "Reshape": (0,),
    "Slice": (0,),
    "Split": (0,),
    "Squeeze": (0,),
    "Unsqueeze": (0,),
}
_HALF = {
    *_WEIGHTS,
    *_NUMBERS,
    "Add",
    "AveragePool",
    "Concat",
    "Div",
    "Erf",
    "Flatten",
    "Gelu",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "MaxPool",
    "Mul",
    "Relu",
    "Sigmoid",
    "Sub",
    "Tanh",
    "Transpose",
}


def apply(editor: Editor, region: Region, ranges: Mapping[str, Range]) -> int:
    """Compute the nodes of a group, and what lies between them, in float16.

    Left in float32: softmax and normalization; sums of squares and what follows them up to the next product with
    weights (the L2 norm underflows in float16); tensors whose magnitude passed `LIMIT` on the calibration data; and
    nodes with a constant that float16 cannot hold. Casts stand where float32 and float16 meet, also between groups.

    Args:
        editor: the graph, changed.
        region: the group and the nodes around its weights.
        ranges: of the tensors that `tensors` names.

    Returns:
        How many nodes that read weights are computed in float16.

    Raises:
        InputError: a range is missing.
        ConversionError: weights hold infinity or NaN.
    """
    changed = 0
    for key in _candidates(editor, region):
        node = editor.node(key)
        numbers = [name for i, name in enumerate(node.input) if name and _is_number(node, i)]
        if any(_largest(ranges, name) > LIMIT for name in node.output) or not _fits(editor, numbers):
            continue
        for position, name in enumerate(node.input):
            if name and _is_number(node, position):
                node.input[position] = _half(editor, name)
        for position, name in enumerate(node.output):
            _write_half(editor, node, position, name)
        changed += key in region.group.nodes
    return changed


def tensors(editor: Editor, region: Region) -> tuple[str, ...]:
    """Name the tensors whose ranges `apply` needs."""
    return tuple(name for key in _candidates(editor, region) for name in editor.node(key).output)


def _candidates(editor: Editor, region: Region) -> list[str]:
    """Members that may be computed in float16, as far as the graph alone tells, in order."""
    found = []
    norms: set[str] = set()
    for key in editor.order(region.members):
        node = editor.node(key)
        if node.op_type in _WEIGHTS and key in region.group.nodes:
            found.append(key)
        elif node.op_type.startswith("Reduce") or node.op_type == "Abs" or norms & set(node.input):
            norms.update(node.output)
        elif node.op_type in _HALF or (node.op_type == "Gather" and key in region.group.nodes):
            found.append(key)
    return found


def _is_number(node: onnx.NodeProto, position: int) -> bool:
    return position in _NUMBERS.get(node.op_type, (position,))


def _largest(ranges: Mapping[str, Range], tensor: str) -> float:
    span = span_of(ranges, tensor)
    return max(span.largest, abs(span.low), abs(span.high))


def _fits(editor: Editor, numbers: list[str]) -> bool:
    """Tell whether float16 holds every constant: none overflows, and no scalar becomes 0 or loses its precision."""
    for name in numbers:
        if not editor.is_constant(name):
            continue
        value = np.abs(editor.value(name).astype(np.float64))
        if value.size == 0:
            continue
        if value.max() > np.finfo(np.float16).max or (value.size == 1 and 0 < value.max() < _SMALLEST):
            return False
    return True


def _half(editor: Editor, name: str) -> str:
    """Return the float16 version of a tensor."""
    key = f"half:{name}"
    if key not in editor.done:
        if editor.is_constant(name):
            value = editor.value(name)
            if value.dtype != np.float32:
                raise ConversionError(f"constant '{name}' is {value.dtype}, not float32; convert the model again")
            editor.done[key] = editor.constant(f"{name}.float16", value.astype(np.float16))
        else:
            out = editor.free(f"{name}.float16")
            editor.done[key] = editor.add("Cast", [name], out, numbers={"to": TensorProto.FLOAT16})
    return editor.done[key]


def _write_half(editor: Editor, node: onnx.NodeProto, position: int, name: str) -> None:
    half = editor.free(f"{name}.float16")
    node.output[position] = half
    editor.done[f"half:{name}"] = half
    editor.add("Cast", [half], name, numbers={"to": TensorProto.FLOAT})
