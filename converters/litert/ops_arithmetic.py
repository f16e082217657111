"""Operators that act on each element alone."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.litert.dtypes import torch_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from edgekit.converters.litert.call import Call

    Operator = Callable[..., Tensor | tuple[Tensor, ...]]


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda _call, x: function(x)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda _call, a, b: function(a, b)


def _many(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda _call, *values: reduce(function, values)


def divide(_call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Divide; integers are truncated towards zero, as ONNX says."""
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def modulo(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Remainder with the divisor's sign, or the dividend's where ``fmod`` is set."""
    return torch.fmod(a, b) if call.attributes.get("fmod") else torch.remainder(a, b)


def power(_call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Power of the base's type, which ONNX keeps where torch would not."""
    return torch.pow(a, b).to(a.dtype)


def cast(call: Call, x: Tensor) -> Tensor:
    """Change the element type; what depends on the input stays within 32 bits, as LiteRT's operators want."""
    wanted = torch_dtype(call.attributes["to"], call)
    return x.to(torch.int32 if wanted == torch.int64 and 0 not in call.constants else wanted)


def clip(call: Call, x: Tensor, *_bounds: Tensor) -> Tensor:
    """Limit to known bounds, which as numbers become one RELU6 or the like."""
    low, high = (call.known(i).item() if call.has(i) else None for i in (1, 2))
    # Between the limits of the float type there is nothing to limit.
    if x.is_floating_point() and high is not None and high >= torch.finfo(x.dtype).max:
        high = None
    return x if low is None and high is None else torch.clamp(x, low, high)


def gelu(call: Call, x: Tensor) -> Tensor:
    """GELU as one operator, which XNNPACK computes in one pass."""
    return functional.gelu(x, approximate=call.attributes.get("approximate", "none"))


def hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    """``max(0, min(1, alpha x + beta))``."""
    return torch.clamp(x * call.attributes.get("alpha", 0.2) + call.attributes.get("beta", 0.5), 0.0, 1.0)


def leaky_relu(call: Call, x: Tensor) -> Tensor:
    """Negative values times ``alpha``."""
    return functional.leaky_relu(x, call.attributes.get("alpha", 0.01))


def elu(call: Call, x: Tensor) -> Tensor:
    """``alpha (exp x - 1)`` below zero."""
    return functional.elu(x, call.attributes.get("alpha", 1.0))


def prelu(_call: Call, x: Tensor, slope: Tensor) -> Tensor:
    """Negative values times a slope that broadcasts."""
    return torch.where(x < 0, x * slope, x)


OPERATORS: Mapping[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Cast": cast,
    "Ceil": _unary(torch.ceil),
    "Clip": clip,
    "Cos": _unary(torch.cos),
    "Div": divide,
    "Elu": elu,
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Gelu": gelu,
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda x: x),
    "LeakyRelu": leaky_relu,
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "Max": _many(torch.maximum),
    "Min": _many(torch.minimum),
    "Mod": modulo,
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": _unary(torch.reciprocal),
    "Relu": _unary(functional.relu),
    "Round": _unary(torch.round),
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Softplus": _unary(functional.softplus),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _many(torch.add),
    "Tanh": _unary(torch.tanh),
    "Where": lambda _call, condition, a, b: torch.where(condition, a, b),
    "Xor": _binary(torch.logical_xor),
}
"""Element-wise operators by ONNX name; each takes the call and its inputs."""
