"""Weights stored in fewer bytes and computed in float32; see `edgekit.converters.compress`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.compress import encoded, half_weights, int8_weights
from edgekit.converters.quantize.methods import correction, linear
from edgekit.converters.quantize.methods.editor import attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.records import Range


def apply_int8(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Store a node's weights as int8 with one scale a channel, or a row of a table, and compute with floats.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: where they hold the means of the input, the bias takes back the weights' mean error.

    Returns:
        True: every node that reads weights can be stored so.

    Raises:
        ConversionError: the weights hold infinity or NaN.
    """
    return _apply(editor, key, "int8", int8_weights.encode, ranges)


def apply_float16(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Store a node's weights as float16 and compute with floats; weights beyond 65504 stay float32.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: not needed.

    Returns:
        Whether the weights were in float16's range.

    Raises:
        ConversionError: the weights hold infinity or NaN.
    """
    return _apply(editor, key, "float16", lambda value, _: half_weights.encode(value), {})


def _apply(
    editor: Editor,
    key: str,
    how: str,
    encode: Callable[[npt.NDArray[np.float32], bool], encoded.Encoded | None],
    ranges: Mapping[str, Range],
) -> bool:
    node = editor.node(key)
    is_table = node.op_type == "Gather"
    position = 0 if is_table else 1
    name = node.input[position]
    code = encode(editor.value(name), is_table)
    if code is None:
        return False
    if is_table:
        stored, scale = _stored(editor, name, how, code)
        editor.remove(key)
        editor.extend(encoded.looked_up(node, stored, scale))
        return True
    _correct(editor, key, code.decoded(), ranges)
    if f"{how}:{name}" not in editor.done:
        out = editor.free(f"{name}.{how}.decoded")
        stored, scale = _stored(editor, name, how, code)
        editor.extend(encoded.decode(stored, scale, out))
        editor.done[f"{how}:{name}"] = out
    node.input[1] = editor.done[f"{how}:{name}"]
    return True


def _stored(editor: Editor, name: str, how: str, code: encoded.Encoded) -> tuple[str, str]:
    """Return the names of the code and of its scales (an empty string for none), stored once a tensor."""
    key = f"{how}.stored:{name}"
    if key not in editor.done:
        editor.done[key] = editor.constant(f"{name}.{how}", code.data)
        scale = "" if code.scale is None else editor.constant(f"{name}.{how}.scale", code.scale)
        editor.done[f"{key}.scale"] = scale
    return editor.done[key], editor.done[f"{key}.scale"]


def _correct(editor: Editor, key: str, decoded: npt.NDArray[np.float32], ranges: Mapping[str, Range]) -> None:
    node = editor.node(key)
    if node.op_type == "Conv":
        correction.convolution(editor, node, decoded, ranges)
        return
    # The node keeps its factors, so what a corrected bias is multiplied with must be 1.
    if any(attribute(node, factor, 1) != 1 for factor in ("alpha", "beta")):
        return
    found = linear.read(editor, key)
    if found is None:
        return
    turned = decoded.T if attribute(node, "transB", 0) else decoded
    corrected = correction.linear(editor, found, turned, ranges)
    if node.op_type == "Gemm" and corrected.bias != found.bias:
        node.input[2] = corrected.bias
