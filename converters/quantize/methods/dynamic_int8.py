"""Products in int8: weights stored so, activations turned into uint8 while the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.quantize.methods import correction, linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.records import Range


def apply(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Compute a MatMul or Gemm in int8, with one scale for each column of the weights, in -127..127.

    The activations' scale and zero point are found at run time, over the whole tensor: all positions of all inputs of
    the batch share them, so an embedding depends a little on what else is in its batch. Written in ONNX's
    own operators, in the form that ONNX Runtime computes as one node (DynamicQuantizeMatMul or
    MatMulIntegerToFloat); products that read one tensor share its quantization.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: where they hold the means of the input, the bias takes back the weights' mean error.

    Returns:
        Whether the node was rewritten; a convolution, or a product without a stored matrix, stays as it is.

    Raises:
        ConversionError: the weights hold infinity or NaN.
    """
    return _apply(editor, key, ranges, 127)


def apply_7bit(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Compute as `apply` does, with weights in -63..63.

    Processors without an int8 dot product add pairs of u8 x s8 products in 16 bits, which saturate: with seven bits
    they cannot (2 x 255 x 63 < 32768).
    """
    return _apply(editor, key, ranges, 63)


def _apply(editor: Editor, key: str, ranges: Mapping[str, Range], levels: int) -> bool:
    found = linear.read(editor, key)
    if found is None:
        return False
    code = quantize(found.weight, 1, levels)
    found = correction.linear(editor, found, code.decoded(), ranges)
    editor.remove(key)
    weight = editor.constant(f"{found.name}.int8", code.data)
    zero = editor.constant(f"{found.name}.zero", np.zeros((), np.int8))
    scale = editor.constant(f"{found.name}.scale", np.asarray(code.scale).reshape(-1))
    quantized, activation_scale, activation_zero = _quantized(editor, found.source)
    out = linear.product(editor, found)
    summed = editor.add("MatMulInteger", [quantized, weight, activation_zero, zero], editor.free(f"{found.output}.sum"))
    floats = editor.add("Cast", [summed], editor.free(f"{found.output}.float"), numbers={"to": TensorProto.FLOAT})
    both = editor.add("Mul", [activation_scale, scale], editor.free(f"{found.output}.scale"))
    editor.add("Mul", [floats, both], out)
    return True


def _quantized(editor: Editor, source: str) -> tuple[str, str, str]:
    """Return the quantized activation, its scale and its zero point; one node a tensor."""
    key = f"dynamic:{source}"
    if key not in editor.done:
        name = editor.free(f"{source}.uint8")
        outputs = [name, editor.free(f"{name}.scale"), editor.free(f"{name}.zero")]
        editor.extend([helper.make_node("DynamicQuantizeLinear", [source], outputs, name=f"{name}/quantize")])
        editor.done[key] = name
    name = editor.done[key]
    return name, f"{name}.scale", f"{name}.zero"
