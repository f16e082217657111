"""Operators that combine elements along axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from edgekit.converters.litert.call import Call
    from edgekit.converters.litert.ops_arithmetic import Operator


def _reduce(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def operator(call: Call, x: Tensor, _axes: Tensor | None = None) -> Tensor:
        axes = call.axes()
        if not axes and call.attributes.get("noop_with_empty_axes"):
            return x
        wanted = [axis % x.ndim for axis in axes] if axes else list(range(x.ndim))
        return function(x, wanted, bool(call.attributes.get("keepdims", 1)))

    return operator


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keep)
    return x


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    # Torch would widen integers to 64 bits.
    return torch.sum(x, axes, keep, dtype=x.dtype)


def _length(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    # Not torch.norm: only its plain parts have LiteRT operators that every delegate knows.
    return torch.sqrt(torch.sum(x * x, axes, keep))


def arg(call: Call, x: Tensor) -> Tensor:
    """Index of the first largest, or smallest, element."""
    if call.attributes.get("select_last_index"):
        raise call.unsupported("select_last_index")
    function = torch.argmax if call.op == "ArgMax" else torch.argmin
    return function(x, call.attributes.get("axis", 0), bool(call.attributes.get("keepdims", 1))).to(torch.int32)


def softmax(call: Call, x: Tensor) -> Tensor:
    """Softmax along one axis, always the last for LiteRT's operator."""
    axis = call.attributes.get("axis", -1)
    if axis in (-1, x.ndim - 1):
        return torch.softmax(x, -1)
    return torch.softmax(x.transpose(axis, -1), -1).transpose(axis, -1)


def layer_norm(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Layer normalization out of means that keep their dimension: the compilers of small NPUs know no other form."""
    axis = call.attributes.get("axis", -1) % x.ndim
    axes = list(range(axis, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    variance = (centred * centred).mean(axes, keepdim=True)
    result = centred * torch.rsqrt(variance + call.attributes.get("epsilon", 1e-5)) * weight
    return result if bias is None else result + bias


def batch_norm(call: Call, x: Tensor, *parameters: Tensor) -> Tensor:
    """Batch normalization with stored statistics, as one factor and one term a channel."""
    if call.attributes.get("training_mode"):
        raise call.unsupported("training mode")
    scale, bias, mean, variance = parameters
    factor = scale / torch.sqrt(variance + call.attributes.get("epsilon", 1e-5))
    shape = [1, -1, *[1] * (x.ndim - 2)]
    return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)


def instance_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalization of each channel of each item over its own positions."""
    axes = list(range(2, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    variance = (centred * centred).mean(axes, keepdim=True)
    shape = [1, -1, *[1] * (x.ndim - 2)]
    unit = centred * torch.rsqrt(variance + call.attributes.get("epsilon", 1e-5))
    return unit * scale.reshape(shape) + bias.reshape(shape)


def average_pool(call: Call, x: Tensor) -> Tensor:
    """Average over windows."""
    kernel, strides, padding = _window(call, x)
    ceil, whole = bool(call.attributes.get("ceil_mode")), bool(call.attributes.get("count_include_pad"))
    return functional.avg_pool2d(x, kernel, strides, padding, ceil, whole)


def max_pool(call: Call, x: Tensor) -> Tensor:
    """Largest element of each window."""
    if len(call.outputs) > 1 or any(step != 1 for step in call.attributes.get("dilations", ())):
        raise call.unsupported("indices or dilations")
    kernel, strides, padding = _window(call, x)
    return functional.max_pool2d(x, kernel, strides, padding, ceil_mode=bool(call.attributes.get("ceil_mode")))


def _window(call: Call, x: Tensor) -> tuple[list[int], list[int], list[int]]:
    kernel = list(call.attributes["kernel_shape"])
    strides = list(call.attributes.get("strides", [1] * len(kernel)))
    pads = list(call.attributes.get("pads", [0] * 2 * len(kernel)))
    if x.ndim != 4 or call.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.unsupported(f"a window over {x.ndim - 2} dimensions, or automatic padding")
    if pads[:2] != pads[2:]:
        raise call.unsupported(f"padding {pads}, which differs between the sides")
    return kernel, strides, pads[:2]


OPERATORS: Mapping[str, Operator] = {
    "ArgMax": arg,
    "ArgMin": arg,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "GlobalAveragePool": lambda _call, x: x.mean(list(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda _call, x: x.amax(list(range(2, x.ndim)), keepdim=True),
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "LogSoftmax": lambda call, x: torch.log(softmax(call, x)),
    "MaxPool": max_pool,
    "ReduceL1": _reduce(lambda x, axes, keep: torch.sum(torch.abs(x), axes, keep)),
    "ReduceL2": _reduce(_length),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: torch.sum(x * x, axes, keep)),
    "Softmax": softmax,
}
"""Reductions, poolings and normalizations by ONNX name; each takes the call and its inputs."""
