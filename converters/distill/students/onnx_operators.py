"""Operators of ONNX on torch tensors whose lengths may differ from call to call, and that pass gradients on.

`litert.operators` computes the same at lengths known beforehand; what depends on no length is taken from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from edgekit.converters.distill.students.tracing import is_tracing
from edgekit.converters.litert.dtypes import torch_dtype
from edgekit.converters.litert.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.ops_arithmetic import Operator


def lengths(shape: Tensor) -> Sequence[Any]:
    """Return a tensor of lengths as numbers; while a graph is traced, as tensors that it keeps track of."""
    if is_tracing():
        return [shape[i] for i in range(shape.shape[0])]
    return [int(length) for length in shape]


def _shape(call: Call, x: Tensor) -> Tensor:
    whole: Tensor = torch._shape_as_tensor(x)
    start, end = call.attributes.get("start", 0), call.attributes.get("end", x.ndim)
    return whole[start:end]


def _reshape(call: Call, x: Tensor, shape: Tensor) -> Tensor:
    if 1 not in call.constants:
        # While a graph is traced, the shape stays one tensor: taken apart, it would leave three operators a length.
        return torch._reshape_from_tensor(x, shape) if is_tracing() else x.reshape(lengths(shape))
    sizes = call.integers(1)
    if not call.attributes.get("allowzero"):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _expand(_call: Call, x: Tensor, shape: Tensor) -> Tensor:
    wanted = lengths(shape)
    sizes = [1] * (x.ndim - len(wanted)) + list(wanted)
    offset = len(sizes) - x.ndim
    # ONNX broadcasts both ways: a length of one keeps the input's own.
    kept = [-1 if i >= offset and x.shape[i - offset] != 1 and _is_one(size) else size for i, size in enumerate(sizes)]
    return x.expand(kept)


def _is_one(size: Any) -> bool:
    return int(size) == 1


def _constant_of_shape(call: Call, shape: Tensor) -> Tensor:
    value = call.attributes.get("value")
    filled = torch.zeros(()) if value is None else torch.from_numpy(value.copy()).reshape(())
    return filled.expand(lengths(shape))


def _range(_call: Call, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    return torch.arange(start, limit, step, dtype=start.dtype)  # type: ignore[call-overload, no-any-return]


def _slice(call: Call, x: Tensor, starts: Tensor, ends: Tensor, *rest: Tensor) -> Tensor:
    if {1, 2} <= call.constants.keys():
        return OPERATORS["Slice"](call, x, starts, ends, *rest)  # type: ignore[return-value]
    axes = call.integers(3) if call.has(3) else range(starts.shape[0])
    steps = call.integers(4) if call.has(4) else [1] * starts.shape[0]
    for start, end, axis, step in zip(lengths(starts), lengths(ends), axes, steps, strict=True):
        # A bound beyond the end means the end; torch's own slicing takes it so too.
        x = x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]
    return x


def _gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = call.attributes.get("axis", 0) % x.ndim
    if 1 in call.constants and indices.ndim == 0:
        return x.select(axis, int(indices))
    if 1 in call.constants and (call.constants[1] < 0).any():
        # Counted from the end, which torch's own selection by several indices does not take.
        indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    flat = x.index_select(axis, indices.reshape(-1).long())
    if indices.ndim == 1:
        return flat
    return flat.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return torch.gather(x, call.attributes.get("axis", 0), indices.long())


def _gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    if call.attributes.get("batch_dims"):
        raise call.unsupported("batch_dims")
    return x[tuple(indices.long().unbind(-1))]


def _split(call: Call, x: Tensor, *sizes: Tensor) -> tuple[Tensor, ...]:
    if call.has(1):
        return OPERATORS["Split"](call, x, *sizes)  # type: ignore[return-value]
    return x.chunk(len(call.outputs), call.attributes.get("axis", 0))


def _cast(call: Call, x: Tensor) -> Tensor:
    return x.to(torch_dtype(call.attributes["to"], call))


def _arg(call: Call, x: Tensor) -> Tensor:
    if call.attributes.get("select_last_index"):
        raise call.unsupported("select_last_index")
    function = torch.argmax if call.op == "ArgMax" else torch.argmin
    return function(x, call.attributes.get("axis", 0), bool(call.attributes.get("keepdims", 1)))


def _layer_norm(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axis, epsilon = call.attributes.get("axis", -1) % x.ndim, call.attributes.get("epsilon", 1e-5)
    scaled = functional.layer_norm(x, x.shape[axis:], eps=epsilon) * weight
    return scaled if bias is None else scaled + bias


def _batch_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(
        x, mean.detach(), variance.detach(), scale, bias, eps=call.attributes.get("epsilon", 1e-5)
    )


def _tile(call: Call, x: Tensor, repeats: Tensor) -> Tensor:
    return x.repeat(call.integers(1) if 1 in call.constants else list(lengths(repeats)))


DYNAMIC: Mapping[str, Operator] = {
    **OPERATORS,
    "ArgMax": _arg,
    "ArgMin": _arg,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "LayerNormalization": _layer_norm,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Tile": _tile,
}
"""Every operator by ONNX name: a function of the call and its inputs."""
