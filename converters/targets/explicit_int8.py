"""Int8 as TensorRT's explicit quantization takes it: symmetric, one scale a channel of weights, biases in float32.

Source: NVIDIA, TensorRT documentation, "Working with Quantized Types": zero points are 0; pairs stand before the inputs
of weighted operators; biases are not quantized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.graph.simplify import drop_unused, set_nodes
from edgekit.converters.quantize.methods.editor import attribute
from edgekit.converters.targets import fused
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

    from edgekit.converters.quantize.methods.records import Range

_LEVELS = 127
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


def products(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name the nodes that can be computed in int8, by their outputs: convolutions and products with stored weights.

    Args:
        model: float32, weights in memory.

    Returns:
        The names, in the graph's order.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    return tuple(
        node.output[0]
        for node in model.graph.node
        if node.op_type in _WEIGHTED
        and node.input[1] in stored
        and (node.op_type == "Conv" or len(stored[node.input[1]].dims) == 2)
        and not attribute(node, "transA", 0)
    )


def tensors(model: onnx.ModelProto, nodes: Collection[str]) -> tuple[str, ...]:
    """Name the activations whose ranges `apply` needs.

    Args:
        model: float32.
        nodes: of `products`.

    Returns:
        Names without repetition, in the graph's order.
    """
    return tuple(dict.fromkeys(node.input[0] for node in model.graph.node if node.output[0] in nodes))


def apply(
    model: onnx.ModelProto, nodes: Collection[str], ranges: Mapping[str, Range], *, stored: bool
) -> onnx.ModelProto:
    """Return the graph with pairs of QuantizeLinear and DequantizeLinear before the inputs of nodes.

    Args:
        model: static and float32, operator set 13 or newer, weights in memory; it is left as it was.
        nodes: of `products`.
        ranges: of what `tensors` names.
        stored: whether weights are stored as int8; otherwise they stay float32 before a pair of their own, which is
            what TensorRT 8 reads.

    Returns:
        A new graph.

    Raises:
        InputError: a range is missing or not finite.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    new: list[onnx.NodeProto] = []
    held: dict[str, str] = {}
    for node in graph.node:
        if node.output[0] in nodes:
            source, weight = node.input[0], node.input[1]
            if source not in held:
                scale = _scale(ranges, source)
                held[source] = _pair(graph, new, source, source, scale, np.zeros((), np.int8), axis=None)
            node.input[0] = held[source]
            axis = fused.channel_axis(node, 2)
            key = f"{weight}:{axis}"
            if key not in held:
                # Products whose channels run along different axes of one tensor read it under names of their own.
                label = f"{weight}.{axis}" if f"{weight}:{1 - axis}" in held else weight
                held[key] = _weight(graph, new, weights[weight], label, axis, stored=stored)
            node.input[1] = held[key]
        new.append(node)
    set_nodes(graph, new)
    del graph.value_info[:]
    drop_unused(made)
    return made


def _weight(
    graph: onnx.GraphProto, new: list[onnx.NodeProto], tensor: onnx.TensorProto, label: str, axis: int, *, stored: bool
) -> str:
    code = quantize(numpy_helper.to_array(tensor), axis, _LEVELS)
    scale = np.asarray(code.scale, np.float32).reshape(-1)
    zero = np.zeros(len(scale), np.int8)
    if not stored:
        return _pair(graph, new, tensor.name, label, scale, zero, axis)
    names = _constants(graph, label, scale, zero)
    graph.initializer.append(numpy_helper.from_array(code.data, f"{label}.int8"))
    out = f"{label}.decoded"
    new.append(helper.make_node("DequantizeLinear", [f"{label}.int8", *names], [out], f"{out}/dq", axis=axis))
    return out


def _pair(
    graph: onnx.GraphProto,
    new: list[onnx.NodeProto],
    name: str,
    label: str,
    scale: npt.NDArray[np.generic],
    zero: npt.NDArray[np.generic],
    axis: int | None,
) -> str:
    names = _constants(graph, label, scale, zero)
    code, out = f"{label}.code", f"{label}.held"
    new.append(helper.make_node("QuantizeLinear", [name, *names], [code], f"{label}/q"))
    new.append(helper.make_node("DequantizeLinear", [code, *names], [out], f"{label}/dq"))
    if axis is not None:
        for node in new[-2:]:
            node.attribute.append(helper.make_attribute("axis", axis))
    return out


def _constants(
    graph: onnx.GraphProto, name: str, scale: npt.NDArray[np.generic], zero: npt.NDArray[np.generic]
) -> list[str]:
    graph.initializer.append(numpy_helper.from_array(np.asarray(scale, np.float32), f"{name}.scale"))
    graph.initializer.append(numpy_helper.from_array(zero, f"{name}.zero"))
    return [f"{name}.scale", f"{name}.zero"]


def _scale(ranges: Mapping[str, Range], name: str) -> npt.NDArray[np.generic]:
    if name not in ranges:
        raise InputError(f"the range of '{name}' is missing; calibrate with the tensors that these nodes need")
    largest = max(abs(ranges[name].low), abs(ranges[name].high))
    if not np.isfinite(largest):
        raise InputError(f"the range of '{name}' is not finite; calibrate on finite activations")
    # A tensor of zeros has no scale of its own.
    return np.array(largest / _LEVELS if largest > np.finfo(np.float32).tiny * _LEVELS else 1.0, np.float32)
