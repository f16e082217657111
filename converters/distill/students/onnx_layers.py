"""Nodes of an ONNX graph that hold a matrix, a kernel, a table or a norm, as layers of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.converters.litert.call import Call

    Known = Mapping[str, Tensor]


def layer_of(call: Call, known: Known) -> tuple[nn.Module, str] | None:
    """Return a node as a layer of its own.

    Args:
        call: the node.
        known: constants by name.

    Returns:
        The layer and the name of its one input; None where the node is no such layer.
    """
    if call.op in ("MatMul", "Gemm"):
        return _linear(call, known)
    if call.op == "Conv":
        return _convolution(call, known)
    if call.op == "Gather" and call.attributes.get("axis", 0) == 0:
        return _table(call, known)
    return _norm(call, known) if call.op == "LayerNormalization" else None


def add_bias(layer: nn.Module, bias: Tensor) -> bool:
    """Give a linear layer the bias that a following node adds.

    Args:
        layer: any layer.
        bias: what is added.

    Returns:
        Whether it was taken over; a layer of another kind, or one that has a bias, takes none.
    """
    if not isinstance(layer, nn.Linear) or layer.bias is not None or bias.shape != (layer.out_features,):
        return False
    layer.bias = nn.Parameter(bias.clone())
    return True


def _linear(call: Call, known: Known) -> tuple[nn.Module, str] | None:
    weight = known.get(call.inputs[1])
    if weight is None or weight.ndim != 2 or not weight.is_floating_point() or call.inputs[0] in known:
        return None
    bias = known.get(call.inputs[2]) if call.has(2) else None
    plain = all(call.attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if call.attributes.get("transA") or not plain or (call.has(2) and bias is None):
        return None
    weight = weight if call.attributes.get("transB") else weight.t()
    # One number a row is no bias of columns, even where there are as many of both.
    if bias is not None and bias.numel() != 1 and tuple(bias.shape) not in ((weight.shape[0],), (1, weight.shape[0])):
        return None
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.reshape(-1).expand(weight.shape[0]).clone())
    return layer, call.inputs[0]


def _convolution(call: Call, known: Known) -> tuple[nn.Module, str] | None:
    weight = known.get(call.inputs[1])
    bias = known.get(call.inputs[2]) if call.has(2) else None
    missing = call.has(2) and bias is None
    if weight is None or missing or weight.ndim != 4 or call.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    top, left, bottom, right = call.attributes.get("pads", (0, 0, 0, 0))
    even = (top, left) == (bottom, right)
    groups = int(call.attributes.get("group", 1))
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),  # type: ignore[arg-type]
        tuple(call.attributes.get("strides", (1, 1))),
        (top, left) if even else 0,
        tuple(call.attributes.get("dilations", (1, 1))),
        groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    made = layer if even else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), layer)
    return made, call.inputs[0]


def _table(call: Call, known: Known) -> tuple[nn.Module, str] | None:
    table = known.get(call.inputs[0])
    if table is None or table.ndim != 2 or not table.is_floating_point() or call.inputs[1] in known:
        return None
    layer = nn.Embedding(table.shape[0], table.shape[1], device="meta")
    layer.weight = nn.Parameter(table.clone())
    return layer, call.inputs[1]


def _norm(call: Call, known: Known) -> tuple[nn.Module, str] | None:
    weight = known.get(call.inputs[1])
    bias = known.get(call.inputs[2]) if call.has(2) else None
    if weight is None or weight.ndim != 1 or (call.has(2) and bias is None) or len(call.outputs) > 1:
        return None
    # Over more axes than the last, weights of one axis are broadcast, which no layer of torch does.
    if call.attributes.get("axis", -1) != -1:
        return None
    layer = nn.LayerNorm(weight.shape[0], eps=call.attributes.get("epsilon", 1e-5), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer, call.inputs[0]
