"""Operators that multiply matrices, convolve, or look up rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.ops_arithmetic import Operator


def linear(_call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply by a stored (outputs, inputs) weight: LiteRT's FULLY_CONNECTED, with one scale an output in int8."""
    return functional.linear(x, weight, bias)


def gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """``alpha A B + beta C`` with either matrix transposed."""
    a = a.t() if call.attributes.get("transA") else a
    b = b.t() if call.attributes.get("transB") else b
    product = torch.matmul(a, b)
    alpha, beta = call.attributes.get("alpha", 1.0), call.attributes.get("beta", 1.0)
    product = product if alpha == 1.0 else product * alpha
    if c is None:
        return product
    return product + (c if beta == 1.0 else c * beta)


def convolution(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve over two dimensions; unequal padding is done before."""
    if x.ndim != 4 or call.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.unsupported(f"a convolution over {x.ndim - 2} dimensions, or automatic padding")
    top, left, bottom, right = call.attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
    strides = list(call.attributes.get("strides", (1, 1)))
    dilations = list(call.attributes.get("dilations", (1, 1)))
    return functional.conv2d(x, weight, bias, strides, [top, left], dilations, call.attributes.get("group", 1))


def gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Pick slices along ``axis``; a stored table looked up by rows becomes EMBEDDING_LOOKUP."""
    axis = call.attributes.get("axis", 0) % x.ndim
    if 1 in call.constants:
        wanted = [index % x.shape[axis] for index in call.integers(1)]
        if wanted == list(range(wanted[0], wanted[0] + len(wanted))):
            picked = x.narrow(axis, wanted[0], len(wanted))
        else:
            picked = x.index_select(axis, torch.tensor(wanted))
        return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])
    # What is computed from the contract's ids is never negative; wrapping it would cost several operators.
    if 0 in call.constants and axis == 0 and x.ndim == 2:
        return functional.embedding(indices, x)
    if x.is_floating_point():
        first = x.movedim(axis, 0)
        picked = _picked_rows(first.reshape(first.shape[0], -1), indices.reshape(-1))
        whole = picked.reshape([*indices.shape, *first.shape[1:]])
        return whole.movedim(list(range(indices.ndim)), list(range(axis, axis + indices.ndim)))
    picked = x.index_select(axis, indices.reshape(-1))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Pick one element for each index along ``axis``."""
    axis = call.attributes.get("axis", 0)
    if _from_the_end(call):
        indices = indices % x.shape[axis]
    if {0, 1} <= call.constants.keys() or not x.is_floating_point():
        return torch.gather(x, axis, indices.long() % x.shape[axis])
    cut = x.movedim(axis, -1)
    wanted = indices.movedim(axis, -1)
    cut = cut[tuple(slice(size) for size in wanted.shape[:-1])]
    return (_hits(wanted, cut.shape[-1]) * cut.unsqueeze(-2)).sum(-1).movedim(-1, axis)


def gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    """Pick slices by whole coordinates."""
    if call.attributes.get("batch_dims"):
        raise call.unsupported("batch_dims")
    depth = indices.shape[-1]
    if {0, 1} <= call.constants.keys() or not x.is_floating_point():
        return x[tuple(indices.long().unbind(-1))]
    flat = torch.zeros(indices.shape[:-1], dtype=indices.dtype)
    for axis in range(depth):
        place = indices[..., axis] % x.shape[axis] if _from_the_end(call) else indices[..., axis]
        flat = flat * x.shape[axis] + place
    rows = _picked_rows(x.reshape(math.prod(x.shape[:depth]), -1), flat.reshape(-1))
    return rows.reshape([*indices.shape[:-1], *x.shape[depth:]])


def _from_the_end(call: Call) -> bool:
    """Tell whether a known place is negative; what is computed from the contract's ids never is."""
    return 1 in call.constants and bool((call.constants[1] < 0).any())


def _picked_rows(rows: Tensor, indices: Tensor) -> Tensor:
    """Pick rows by a product with ones and zeros.

    It is exact, and survives int8, float16 and any delegate; torch's own look-up comes out as bounds checks that fill
    with NaN.
    """
    return torch.matmul(_hits(indices, rows.shape[0]), rows)


def _hits(indices: Tensor, count: int) -> Tensor:
    return (indices.unsqueeze(-1) == torch.arange(count, dtype=indices.dtype)).to(torch.float32)


def one_hot(call: Call, indices: Tensor, _depth: Tensor, values: Tensor) -> Tensor:
    """One of two values in each place of a new last axis."""
    if call.attributes.get("axis", -1) != -1:
        raise call.unsupported("an axis that is not the last")
    positions = torch.arange(call.integers(1)[0], dtype=indices.dtype)
    return torch.where(indices.unsqueeze(-1) == positions, values[1], values[0])


def cumulative_sum(call: Call, x: Tensor, _axis: Tensor) -> Tensor:
    """Running sums along one axis."""
    if call.attributes.get("exclusive") or call.attributes.get("reverse"):
        raise call.unsupported("an exclusive or reversed running sum")
    return torch.cumsum(x, call.integers(1)[0], dtype=x.dtype)


OPERATORS: Mapping[str, Operator] = {
    "Conv": convolution,
    "CumSum": cumulative_sum,
    "Einsum": lambda call, *values: torch.einsum(call.attributes["equation"], *values),
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Gemm": gemm,
    "Linear": linear,
    "MatMul": lambda _call, a, b: torch.matmul(a, b),
    "OneHot": one_hot,
}
"""Products and look-ups by ONNX name; each takes the call and its inputs."""
