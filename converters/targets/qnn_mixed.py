"""Mixed precision for Qualcomm's processors: which nodes compute with 16-bit activations, tried without the simulator.

A node of 16 bits writes 16 bits and reads its activations in 16 bits; where a neighbour has 8, a conversion stands
between. The quantized file of 8 bits is changed in place of quantizing again: one step of 8 bits is 257 steps of 16,
so that the same range needs a scale divided by 257 and a zero point times 257. Run on the processor without any
optimization, such a file says what the vendor's simulator says, in a second in place of minutes (MiniLM in 8 bits:
centred cosine 0.790, by the simulator 0.791; in 16 bits: 0.9990 and 0.9984).

This file is read inside the toolchain ``qnn`` as well, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Collection

STEPS = 257
"""65535 / 255: steps of 16 bits in one of 8."""

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Stored operands that stay weights of 8 bits (or the bounds of a range); any other is read in its node's bits.
_OWN_TYPE = _WEIGHTED | {"LayerNormalization", "InstanceNormalization", "BatchNormalization", "Clip"}
# What the tool appends to the name of the graph's output, before it is quantized.
_BEFORE_OUTPUT = "_QuantizeLinear_Input"
# The type of 16 bits stands in this operator set, because ONNX has it since version 21 only.
_DOMAIN = "com.microsoft"


def settle(model: onnx.ModelProto) -> None:
    """Give every node a name of its own, and every reader its own copy of a stored operand, in place.

    Conversions are told by the reader's name, and a shared constant could not have 8 bits for one and 16 for another.

    Args:
        model: float, weights in memory.
    """
    names: set[str] = set()
    read: set[str] = set()
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in names:
            node.name = f"{node.op_type}_{number}"
        names.add(node.name)
        for position in _operands(node, stored):
            name = node.input[position]
            if name in read:
                copy = onnx.TensorProto()
                copy.CopyFrom(stored[name])
                copy.name = f"{name}.{number}"
                model.graph.initializer.append(copy)
                node.input[position] = copy.name
            read.add(name)


def runs(model: onnx.ModelProto, most: int) -> list[tuple[str, tuple[str, ...]]]:
    """Divide the nodes into runs that are decided together, each beginning with a product or a convolution.

    An activation function stays with the product before it, into which the vendor's tool merges it.

    Args:
        model: float.
        most: runs at most; neighbours are joined where there would be more.

    Returns:
        For each run what a person knows it by, and its nodes' first outputs, in the graph's order.
    """
    found: list[list[onnx.NodeProto]] = [[]]
    for node in model.graph.node:
        if node.op_type in _WEIGHTED and found[-1]:
            found.append([])
        found[-1].append(node)
    step = math.ceil(len(found) / most)
    joined = [[node for run in found[start : start + step] for node in run] for start in range(0, len(found), step)]
    return [(_called(run), tuple(node.output[0] for node in run)) for run in joined if run]


def overrides(model: onnx.ModelProto, kept: Collection[str]) -> dict[str, dict[str, Any]]:
    """Say for each tensor in which bits it is, and who reads it in others.

    Args:
        model: float, settled.
        kept: first outputs of the nodes that compute in 16 bits.

    Returns:
        By the tensor's name ``bits``; and where some readers take the other number of bits, those readers' names as
        ``others``.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    floats = _floats(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    makers = {name: node for node in model.graph.node for name in node.output}
    found: dict[str, dict[str, Any]] = {}
    for name in floats:
        maker = makers.get(name)
        wide = maker is not None and maker.output[0] in kept
        others = sorted({node.name for node in readers.get(name, []) if (node.output[0] in kept) != wide})
        if wide or others:
            found[name] = {"bits": 16 if wide else 8, "others": others}
    for node in model.graph.node:
        if node.output[0] in kept:
            for position in _operands(node, stored):
                found[node.input[position]] = {"bits": 16, "others": []}
    return found


def emulate(eight: onnx.ModelProto, kept: Collection[str]) -> onnx.ModelProto:
    """Return the quantized file of 8 bits with some nodes in 16, for ONNX Runtime's processor without optimizations.

    Args:
        eight: as the vendor's tool wrote it, weights in memory; left as it was.
        kept: first outputs of the float graph's nodes that compute in 16 bits; one that the tool merged into another
            counts for nothing.

    Returns:
        A new graph.
    """
    made = onnx.ModelProto()
    made.CopyFrom(eight)
    if _DOMAIN not in {entry.domain for entry in made.opset_import}:
        made.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    graph = made.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {taken.name for taken in graph.output}
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, position))
    before: dict[str, list[onnx.NodeProto]] = {}
    for first in [node for node in graph.node if node.op_type == "QuantizeLinear"]:
        maker = makers.get(first.input[0])
        if maker is None or _named(maker) not in kept:
            continue
        for second in [node for node, _ in readers.get(first.output[0], []) if node.op_type == "DequantizeLinear"]:
            wide, pair = _wide(graph, first, second, stored)
            before[second.output[0]] = pair
            for reader, position in readers.get(second.output[0], []):
                if _named(reader) in kept:
                    reader.input[position] = wide
            # The file's own output is written in 16 bits by a node of 16 bits.
            if second.output[0] in outputs:
                second.input[:] = pair[1].input[:]
                second.domain = _DOMAIN
    nodes = [node for old in graph.node for node in (*before.get(old.output[0], ()), _copy(old))]
    del graph.node[:]
    graph.node.extend(nodes)
    return made


def _wide(
    graph: onnx.GraphProto, first: onnx.NodeProto, second: onnx.NodeProto, stored: dict[str, TensorProto]
) -> tuple[str, list[onnx.NodeProto]]:
    """Return the pair that holds the same tensor in 16 bits, and the name it is read by."""
    base = second.output[0]
    scale = numpy_helper.to_array(stored[first.input[1]])
    zero = numpy_helper.to_array(stored[first.input[2]])
    values = {
        f"{base}.scale16": (scale / STEPS).astype(np.float32),
        f"{base}.zero16": (zero.astype(np.int32) * STEPS).astype(np.uint16),
    }
    for name, value in values.items():
        if name not in stored:
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    numbers = [*values]
    pair = [
        helper.make_node("QuantizeLinear", [first.input[0], *numbers], [f"{base}.in16"], domain=_DOMAIN),
        helper.make_node("DequantizeLinear", [f"{base}.in16", *numbers], [f"{base}.wide"], domain=_DOMAIN),
    ]
    return f"{base}.wide", pair


def _operands(node: onnx.NodeProto, stored: dict[str, TensorProto]) -> list[int]:
    """Return the positions of stored float operands that are read in the node's own bits."""
    if node.op_type in _OWN_TYPE:
        return []
    found = enumerate(node.input)
    return [i for i, name in found if name in stored and stored[name].data_type == TensorProto.FLOAT]


def _named(node: onnx.NodeProto) -> str:
    """Return the name that a node's first output has in the float graph."""
    name: str = node.output[0]
    return name.removesuffix(_BEFORE_OUTPUT)


def _floats(model: onnx.ModelProto) -> list[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return [value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT]


def _called(run: list[onnx.NodeProto]) -> str:
    first, last = (f"{node.op_type} {node.name or node.output[0]}" for node in (run[0], run[-1]))
    return first if len(run) == 1 else f"{first} to {last}"


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    return made
