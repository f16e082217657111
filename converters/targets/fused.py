"""Which nodes a chip computes as one step, and where it holds an activation in its own integers.

Compilers merge a product with its bias and its activation function, and have one operator for GELU or SiLU. What is
computed inside of such a step is never held in 8 bits. So the pointwise functions of one tensor belong to the step that
makes the tensor, and a tensor counts as held where a node of another step reads it. Found by the shape of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto

from edgekit.converters.quantize.methods.editor import attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each element of the result is a function of one element of each computed input.
_POINTWISE = frozenset(
    {
        "Abs", "Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max",
        "Min", "Mul", "Neg", "Pow", "PRelu", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh",
    }
)  # fmt: skip
# They move values and make none.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose second operand, where it is stored, is a weight of 8 bits."""


@dataclass(frozen=True)
class Step:
    """Nodes that are computed together.

    Attributes:
        name: what a person knows it by: operator and name of its first node.
        nodes: their first outputs, in the graph's order.
        held: which of their outputs are held for other steps, or returned.
        size: numbers that it reads as weights and writes for others: what 16 bits cost.
    """

    name: str
    nodes: tuple[str, ...]
    held: tuple[str, ...]
    size: int


def steps(model: onnx.ModelProto) -> tuple[Step, ...]:
    """Divide the computed float part of a graph into steps.

    Args:
        model: static, constants stored, one input.

    Returns:
        Steps that hold at least one float tensor, in the order of their first nodes. A node that computes something
        else (a mask of booleans, indices) is in none of them.
    """
    shapes, floats = _floats(model)
    roots = _roots(model, floats)
    read_by: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            read_by.setdefault(name, set()).add(roots.get(node.output[0], f"outside:{node.output[0]}"))
    returned = {value.name for value in model.graph.output}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    members: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.output[0] in roots:
            members.setdefault(roots[node.output[0]], []).append(node)
    found = []
    for root, nodes in members.items():
        outputs = [name for node in nodes for name in node.output if name in floats]
        held = tuple(name for name in outputs if name in returned or read_by.get(name, set()) - {root})
        size = sum(int(np.prod(shapes[name])) for name in held) + sum(_weights(node, stored) for node in nodes)
        if held:
            found.append(Step(_called(nodes), tuple(node.output[0] for node in nodes), held, size))
    return tuple(found)


def weight(node: onnx.NodeProto, stored: dict[str, TensorProto]) -> int | None:
    """Return the position of the operand that is a weight of 8 bits, or None.

    Args:
        node: any.
        stored: the graph's initializers.

    Returns:
        1 for products and convolutions, 0 for tables of floats that rows are taken from.
    """
    position = 1 if node.op_type in WEIGHTED else 0 if node.op_type == "Gather" else None
    if position is None or len(node.input) <= position:
        return None
    tensor = stored.get(node.input[position])
    return position if tensor is not None and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 else None


def channel_axis(node: onnx.NodeProto, dimensions: int) -> int:
    """Return the axis of a weight along which the outputs' channels, or a table's rows, run.

    Args:
        node: that reads it, see `weight`.
        dimensions: of the weight.

    Returns:
        The axis.
    """
    if node.op_type in ("Conv", "Gather"):
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return 1 if node.op_type == "ConvTranspose" else dimensions - 1


def _weights(node: onnx.NodeProto, stored: dict[str, TensorProto]) -> int:
    position = weight(node, stored)
    # A table costs its room whatever is computed of it: 16 bits for it are 16 bits a number.
    return 0 if position is None else int(np.prod(stored[node.input[position]].dims))


def _roots(model: onnx.ModelProto, floats: set[str]) -> dict[str, str]:
    """Return, for each computed float tensor, the tensor that its step begins with."""
    roots: dict[str, str] = {}
    for node in model.graph.node:
        if node.output[0] not in floats:
            continue
        sources = {roots[name] for name in node.input if name in roots}
        # A product of the input with a constant is a step of its own: the input is no node's.
        joins = node.op_type in _POINTWISE | _MOVES and len(sources) == 1
        root = sources.pop() if joins and _only(node, roots, floats) else node.output[0]
        roots.update(dict.fromkeys((name for name in node.output if name in floats), root))
    return roots


def _only(node: onnx.NodeProto, roots: dict[str, str], floats: set[str]) -> bool:
    """Tell whether what a node reads is of one step and of constants; the graph's input is neither."""
    return all(name in roots or name not in floats for name in node.input)


def _floats(model: onnx.ModelProto) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Return shapes by name, and which tensors that are not stored are float32."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    stored = {tensor.name for tensor in model.graph.initializer}
    shapes = {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return shapes, {name for name, kind in kinds.items() if kind == TensorProto.FLOAT and name not in stored}


def _called(nodes: Sequence[onnx.NodeProto]) -> str:
    return f"{nodes[0].op_type} {nodes[0].name or nodes[0].output[0]}"
