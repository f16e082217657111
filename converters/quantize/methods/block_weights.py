"""Products with weights in blocks of 4 or 8 bits, through ONNX Runtime's MatMulNBits; tables likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods import correction, linear, nbits
from edgekit.converters.quantize.methods.editor import MICROSOFT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.records import Range

_INT8_PRODUCTS = 4  # accuracy level: activations become int8 in blocks, which is what makes it fast
_TABLE_BLOCK = 32


def apply_int4(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Store a node's weights in 4 bits, a scale and a zero point for every 32 of them.

    A MatMul or Gemm becomes MatMulNBits with accuracy level 4 (activations are turned into int8 block by block while
    the model runs), a look-up GatherBlockQuantized: both are operators of ONNX Runtime, not of ONNX.

    Args:
        editor: the graph, changed.
        key: of the node.
        ranges: where they hold the means of the input, the bias takes back the weights' mean error.

    Returns:
        Whether the node was rewritten; a convolution stays as it is.

    Raises:
        ConversionError: the weights hold infinity or NaN.
    """
    return _apply(editor, key, ranges, 4, 32)


def apply_int4_128(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Do as `apply_int4`, with one scale for every 128 weights of a product: smaller, faster and less exact."""
    return _apply(editor, key, ranges, 4, 128)


def apply_int8(editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
    """Do as `apply_int4` with 8 bits for every 128 weights of a product."""
    return _apply(editor, key, ranges, 8, 128)


def _apply(editor: Editor, key: str, ranges: Mapping[str, Range], bits: int, block: int) -> bool:
    if editor.node(key).op_type == "Gather":
        return _table(editor, key, bits)
    found = linear.read(editor, key)
    if found is None:
        return False
    rows, columns = found.weight.shape[1], found.weight.shape[0]
    code = nbits.quantize(np.ascontiguousarray(found.weight.T), bits, block)
    found = correction.linear(editor, found, code.decoded(columns).T, ranges)
    editor.remove(key)
    name = f"{found.name}.int{bits}"
    inputs = [
        found.source,
        editor.constant(name, nbits.packed(code.codes, bits)),
        editor.constant(f"{name}.scales", code.scales.reshape(-1)),
        editor.constant(f"{name}.zeros", nbits.packed(code.zeros, bits).reshape(-1)),
    ]
    numbers: dict[str, int | float] = {
        "K": columns,
        "N": rows,
        "bits": bits,
        "block_size": block,
        "accuracy_level": _INT8_PRODUCTS,
    }
    editor.add("MatMulNBits", inputs, linear.product(editor, found), domain=MICROSOFT, numbers=numbers)
    return True


def _table(editor: Editor, key: str, bits: int) -> bool:
    node = editor.node(key)
    table = editor.value(node.input[0])
    if table.ndim != 2 or table.shape[1] % _TABLE_BLOCK:
        return False
    editor.remove(key)
    code = nbits.quantize(table, bits, _TABLE_BLOCK)
    name = f"{node.input[0]}.int{bits}"
    inputs = [
        editor.constant(name, nbits.packed(code.codes.reshape(len(table), -1), bits)),
        node.input[1],
        editor.constant(f"{name}.scales", code.scales),
        editor.constant(f"{name}.zeros", nbits.packed(code.zeros, bits)),
    ]
    numbers: dict[str, int | float] = {
        "bits": bits,
        "block_size": _TABLE_BLOCK,
        "gather_axis": 0,
        "quantize_axis": 1,
    }
    editor.add("GatherBlockQuantized", inputs, node.output[0], domain=MICROSOFT, numbers=numbers)
    return True
