"""Operators that move elements without changing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.ops_arithmetic import Operator

_END = 2**31
_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def reshape(call: Call, x: Tensor, _shape: Tensor) -> Tensor:
    """Reshape; 0 keeps an input's length unless ``allowzero`` is set."""
    sizes = call.integers(1)
    if not call.attributes.get("allowzero"):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(call: Call, x: Tensor) -> Tensor:
    """Two dimensions, cut before ``axis``."""
    axis = call.attributes.get("axis", 1)
    rows = 1
    # Counted from the end, -1 stands before the last dimension, as in slices.
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def squeeze(call: Call, x: Tensor, _axes: Tensor | None = None) -> Tensor:
    """Remove dimensions of length one."""
    axes = call.axes()
    wanted = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else [axis % x.ndim for axis in axes]
    return x.reshape([size for i, size in enumerate(x.shape) if i not in wanted])


def unsqueeze(call: Call, x: Tensor, _axes: Tensor | None = None) -> Tensor:
    """Add dimensions of length one, at the result's axes."""
    axes = call.axes() or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def transpose(call: Call, x: Tensor) -> Tensor:
    """Permute; reversed without ``perm``."""
    return x.permute(list(call.attributes.get("perm", range(x.ndim - 1, -1, -1))))


def slice_(call: Call, x: Tensor, *_bounds: Tensor) -> Tensor:
    """Cut ranges; negative steps run backwards."""
    starts, ends = call.integers(1), call.integers(2)
    axes = call.integers(3) if call.has(3) else list(range(len(starts)))
    steps = call.integers(4) if call.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        if step < 0:
            taken = list(range(*slice(start, end if end > -_END else None, step).indices(size)))
            x = x.index_select(axis, torch.tensor(taken, dtype=torch.int64))
        else:
            first, last, _ = slice(start, end, step).indices(size)
            cut = x.narrow(axis % x.ndim, first, max(0, last - first))
            x = cut if step == 1 else cut[(slice(None),) * (axis % x.ndim) + (slice(None, None, step),)]
    return x


def split(call: Call, x: Tensor, _sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Cut into parts of given, or equal, lengths."""
    axis = call.attributes.get("axis", 0)
    if call.has(1):
        return torch.split(x, call.integers(1), axis)
    return torch.split(x, -(-x.shape[axis] // len(call.outputs)), axis)


def expand(call: Call, x: Tensor, _shape: Tensor) -> Tensor:
    """Broadcast both ways."""
    wanted = call.integers(1)
    whole = [1] * (len(wanted) - x.ndim) + list(x.shape)
    wanted = [1] * (len(whole) - len(wanted)) + wanted
    return x.expand([size if found == 1 else found for size, found in zip(wanted, whole, strict=True)])


def tile(call: Call, x: Tensor, _repeats: Tensor) -> Tensor:
    """Repeat along each axis."""
    return x.repeat(call.integers(1))


def pad(call: Call, x: Tensor, *_rest: Tensor) -> Tensor:
    """Pad with a constant, the edge or a reflection; all zero amounts leave the input."""
    amounts = call.integers(1)
    half = len(amounts) // 2
    pairs = [amount for i in range(half - 1, -1, -1) for amount in (amounts[i], amounts[half + i])]
    while pairs[-2:] == [0, 0]:
        pairs = pairs[:-2]
    mode = call.attributes.get("mode", "constant")
    if mode not in _MODES:
        raise call.unsupported(f"mode {mode!r}")
    if not pairs:
        return x
    if mode != "constant":
        return functional.pad(x, pairs, mode=_MODES[mode])
    return functional.pad(x, pairs, value=call.known(2).item() if call.has(2) else 0)


def shape(call: Call, x: Tensor) -> Tensor:
    """The lengths, which are known in a static graph."""
    sizes = list(x.shape)[call.attributes.get("start", 0) : call.attributes.get("end", len(x.shape))]
    return torch.tensor(sizes, dtype=torch.int64)


def concat(call: Call, *values: Tensor) -> Tensor:
    """Join along ``axis``."""
    return torch.cat(values, call.attributes["axis"])


def constant(call: Call) -> Tensor:
    """A value written in the node."""
    value = next(iter(call.attributes.values()))
    return torch.from_numpy(value.copy()) if hasattr(value, "copy") and hasattr(value, "dtype") else torch.tensor(value)


def constant_of_shape(call: Call, _shape: Tensor) -> Tensor:
    """Fill with one value, float zero unless given."""
    sizes = call.integers(0) if call.known(0).size else []
    value = call.attributes.get("value")
    return torch.zeros(sizes) if value is None else torch.from_numpy(value.copy()).reshape(()).expand(sizes).clone()


def range_(call: Call, *_bounds: Tensor) -> Tensor:
    """Numbers at equal steps."""
    start, limit, step = (call.known(i).item() for i in range(3))
    return torch.arange(start, limit, step, dtype=torch.from_numpy(call.known(0).reshape(1).copy()).dtype)


def trilu(call: Call, x: Tensor, _k: Tensor | None = None) -> Tensor:
    """The upper or the lower triangle."""
    k = call.integers(1)[0] if call.has(1) else 0
    return torch.triu(x, k) if call.attributes.get("upper", 1) else torch.tril(x, k)


OPERATORS: Mapping[str, Operator] = {
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "Flatten": flatten,
    "Pad": pad,
    "Range": range_,
    "Reshape": reshape,
    "Shape": shape,
    "Size": lambda _call, x: torch.tensor(x.numel(), dtype=torch.int64),
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
"""Operators on shapes by ONNX name; each takes the call and its inputs."""
