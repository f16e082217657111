"""Pairs of QuantizeLinear and DequantizeLinear: how a graph says in which integers a tensor is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods.editor import MICROSOFT
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edgekit.converters.compress.encoded import Encoded
    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.records import Range


@dataclass(frozen=True)
class Grid:
    """The integers that hold an activation.

    Attributes:
        dtype: NumPy's name of the type.
        domain: of the operators that know the type at opset 17: ONNX's own know 8 bits, 16 need ONNX Runtime's.
    """

    dtype: str
    domain: str = ""


UINT8, INT8, UINT16 = Grid("uint8"), Grid("int8"), Grid("uint16", MICROSOFT)


def parameters(span: Range, grid: Grid) -> tuple[np.float32, npt.NDArray[np.generic]]:
    """Return scale and zero point with which a grid covers a range, widened to hold 0 exactly.

    Args:
        span: finite.
        grid: the integers.

    Returns:
        A positive scale, and a zero point of the grid's type: ``value = (code - zero point) * scale``.

    Raises:
        InputError: the range is not finite.
    """
    limits = np.iinfo(grid.dtype)
    low, high = min(span.low, 0.0), max(span.high, 0.0)
    if not np.isfinite([low, high]).all():
        raise InputError(f"a range of {span.low:g} to {span.high:g} cannot be quantized; calibrate on finite outputs")
    scale = np.float32((high - low) / (int(limits.max) - int(limits.min)))
    if not scale > np.finfo(np.float32).tiny:
        scale = np.float32(1)
    zero = np.clip(np.rint(int(limits.min) - low / float(scale)), limits.min, limits.max)
    return scale, np.array(zero, grid.dtype)


def span_of(ranges: Mapping[str, Range], tensor: str) -> Range:
    """Return the range of a tensor.

    Args:
        ranges: by tensor.
        tensor: its name.

    Returns:
        Its range.

    Raises:
        InputError: it was not measured.
    """
    if tensor not in ranges:
        raise InputError(f"the range of '{tensor}' is missing; calibrate with the tensors that this decision needs")
    return ranges[tensor]


def held(editor: Editor, tensor: str, ranges: Mapping[str, Range], grid: Grid) -> str:
    """Return the name of a tensor as it is after being held in integers; one pair of nodes serves all who ask.

    Args:
        editor: the graph.
        tensor: float32.
        ranges: by tensor.
        grid: the integers to hold it in.

    Returns:
        Name of the tensor after the pair.

    Raises:
        InputError: the tensor's range is missing or not finite.
    """
    key = f"held:{grid.dtype}:{tensor}"
    if key not in editor.done:
        editor.done[key] = _pair(editor, tensor, editor.free(f"{tensor}.{grid.dtype}"), ranges, tensor, grid)
    return editor.done[key]


def hold_output(editor: Editor, tensor: str, ranges: Mapping[str, Range], grid: Grid) -> None:
    """Make all readers of a node's output read it as held in integers; the node writes it under another name.

    Args:
        editor: the graph.
        tensor: float32, written by a node; anything else is left alone.
        ranges: by tensor.
        grid: the integers to hold it in.

    Raises:
        InputError: the tensor's range is missing or not finite.
    """
    producer = editor.producer(tensor)
    key = f"held:{grid.dtype}:{tensor}"
    if producer is None or editor.is_output(tensor) or key in editor.done:
        return
    raw = editor.free(f"{tensor}.raw")
    _pair(editor, raw, tensor, ranges, tensor, grid)
    producer.output[list(producer.output).index(tensor)] = raw
    editor.done[key] = tensor


def _pair(editor: Editor, source: str, out: str, ranges: Mapping[str, Range], measured: str, grid: Grid) -> str:
    scale, zero = parameters(span_of(ranges, measured), grid)
    names = [editor.constant(f"{measured}.scale", np.array(scale)), editor.constant(f"{measured}.zero", zero)]
    code = editor.add("QuantizeLinear", [source, *names], editor.free(f"{measured}.code"), domain=grid.domain)
    return editor.add("DequantizeLinear", [code, *names], out, domain=grid.domain)


def stored(editor: Editor, name: str, code: Encoded, axis: int, grid: Grid) -> str:
    """Store int8 weights with one scale for each index of `axis`; return the name of their decoded value."""
    scale = np.asarray(code.scale, np.float32).reshape(-1)
    names = [
        editor.constant(f"{name}.int8", code.data),
        editor.constant(f"{name}.scale", scale),
        editor.constant(f"{name}.zero", np.zeros(len(scale), np.int8)),
    ]
    out = editor.free(f"{name}.decoded")
    return editor.add("DequantizeLinear", names, out, domain=grid.domain, numbers={"axis": axis})
