"""Write what a graph computes of whole numbers and truth values in float32, for engines that know nothing else.

A truth value is 0 or 1. Whole numbers below 2 ** 24 are exact in float32; ids, positions and lengths are far below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import onnx

# The same numbers in the same order: pnnx loses track of the batch in chains of these, so that each is one Reshape.
_RESHAPING = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"})
_MOVING = frozenset({"Transpose", "Expand", "Slice"})
_ARITHMETIC = frozenset(
    {"Concat", "Add", "Sub", "Mul", "Min", "Max", "Clip", "ReduceSum", "ReduceMax", "ReduceMin", "Abs", "Neg"}
)
# Their second input is a shape or axes, which stay whole numbers.
_FIRST_ONLY = frozenset({"ReduceSum"}) | _MOVING


@dataclass
class _Writer:
    """The nodes written so far, and what stands for what."""

    model: onnx.ModelProto
    floats: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def node(self, op: str, inputs: list[str], out: str = "", **attributes: int | list[int]) -> str:
        self.made += 1
        name = out or f"whole.{self.made}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"{op}/{name}", **attributes))
        return name

    def constant(self, value: npt.ArrayLike) -> str:
        self.made += 1
        name = f"whole.{self.made}"
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def stored(self, name: str) -> npt.NDArray[np.generic] | None:
        for tensor in self.model.graph.initializer:
            if tensor.name == name:
                values: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
                return values
        return None

    def number(self, name: str) -> str:
        """Return the float32 form of a value."""
        values = self.stored(name)
        if values is None or values.dtype == np.float32:
            return name
        return self.constant(values)

    def reshaped(self, name: str, shape: tuple[int, ...], out: str) -> None:
        """Give a value another shape, from what it was before it got others."""
        root = self.roots.get(name, name)
        self.roots[out] = root
        self.node("Reshape", [root, self.shape(shape)], out)

    def shape(self, sizes: tuple[int, ...]) -> str:
        self.made += 1
        name = f"whole.{self.made}"
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(sizes, np.int64), name))
        return name

    def unit(self, name: str, out: str = "") -> str:
        """Bound a value to 0..1."""
        return self.node("Clip", [name, self.constant(0), self.constant(1)], out)

    def equal(self, one: str, other: str, out: str = "") -> str:
        """1 where two values of whole numbers are the same, else 0."""
        apart = self.unit(self.node("Abs", [self.node("Sub", [one, other])]))
        return self.node("Sub", [self.constant(1), apart], out)


def rewrite(model: onnx.ModelProto, ids: str) -> None:
    """Rewrite every node that computes whole numbers or truth values of the ids, in place.

    Args:
        model: static, weights in memory; its operator set is 13 or newer.
        ids: name of the input, which holds whole numbers as float32 from now on.

    Raises:
        UnsupportedModelError: an operator has no such form; the message names the node.
    """
    shapes, types = _shapes(model), _types(model)
    writer = _Writer(model, {ids})
    for node in list(model.graph.node):
        if not any(name in writer.floats for name in node.input):
            writer.nodes.append(node)
            continue
        _node(writer, node, shapes)
        if types.get(node.output[0], TensorProto.FLOAT) != TensorProto.FLOAT:
            writer.floats.add(node.output[0])
    del model.graph.node[:]
    model.graph.node.extend(writer.nodes)


def _node(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    out = node.output[0]
    if node.op_type == "Cast":
        # As a truth value every number but 0 is 1.
        truth = next(one.i for one in node.attribute if one.name == "to") == TensorProto.BOOL
        writer.unit(writer.node("Abs", [node.input[0]]), out) if truth else writer.node(
            "Identity", [node.input[0]], out
        )
    elif node.op_type in _RESHAPING and shapes.get(out):
        writer.reshaped(node.input[0], shapes[out], out)
    elif node.op_type in _MOVING | _ARITHMETIC:
        kept = node.input[1:] if node.op_type in _FIRST_ONLY else [writer.number(name) for name in node.input[1:]]
        inputs = [writer.number(node.input[0]), *kept]
        del node.input[:]
        node.input.extend(inputs)
        writer.nodes.append(node)
    elif node.op_type in _FORMS:
        _FORMS[node.op_type](writer, node, shapes)
    else:
        raise UnsupportedModelError(
            f"the text tower's node '{node.name or out}' ({node.op_type}) computes whole numbers, for which ncnn has "
            "no form; compile the bundle for mnn or openvino"
        )


def _compare(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    one, other = (writer.number(name) for name in node.input)
    if node.op_type == "Equal":
        writer.equal(one, other, node.output[0])
        return
    larger, smaller = (one, other) if node.op_type.startswith("Greater") else (other, one)
    apart = writer.node("Sub", [larger, smaller])
    if node.op_type.endswith("OrEqual"):
        apart = writer.node("Add", [apart, writer.constant(1)])
    writer.unit(apart, node.output[0])


def _logic(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    inputs = [writer.number(name) for name in node.input]
    if node.op_type == "Not":
        writer.node("Sub", [writer.constant(1), *inputs], node.output[0])
    elif node.op_type == "And":
        writer.node("Mul", inputs, node.output[0])
    else:
        writer.unit(writer.node("Add", inputs), node.output[0])


def _where(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """Where(c, a, b) is b + c * (a - b)."""
    chosen, one, other = (writer.number(name) for name in node.input)
    a, b = writer.stored(one), writer.stored(other)
    apart = writer.node("Sub", [one, other]) if a is None or b is None else writer.constant(a - b)  # type: ignore[operator]
    writer.node("Add", [writer.node("Mul", [chosen, apart]), other], node.output[0])


def _arg_max(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """The first of the largest: of those that equal the largest, the one with the most places after it."""
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    name = node.input[0]
    shape = shapes.get(name, ())
    axis, kept = given.get("axis", 0), given.get("keepdims", 1)
    if not shape or axis % len(shape) != len(shape) - 1 or given.get("select_last_index", 0):
        raise UnsupportedModelError(
            f"the text tower's node '{node.name}' (ArgMax) is not the first of the last axis, for which ncnn has "
            "no form; compile the bundle for mnn or openvino"
        )
    length = shape[-1]
    largest = writer.node("ReduceMax", [name], axes=[-1], keepdims=1)
    left = writer.node("Mul", [writer.equal(name, largest), writer.constant(np.arange(length, 0, -1))])
    most = writer.node("ReduceMax", [left], axes=[-1], keepdims=kept)
    writer.node("Sub", [writer.constant(length), most], node.output[0])


def _gather(writer: _Writer, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """A choice of rows is a product with a matrix of zeros and ones."""
    data, index = node.input
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    rows = shapes.get(data, ())
    out = shapes.get(node.output[0], ())
    if axis % max(1, len(rows)) or len(rows) not in (1, 2) or not out:
        raise UnsupportedModelError(
            f"the text tower's node '{node.name}' (Gather) chooses along axis {axis} of {rows}, for which ncnn has no "
            "form; compile the bundle for mnn or openvino"
        )
    count = rows[0]
    known = writer.stored(index)
    if known is not None and rows in ((count,), (count, 1)) and np.array_equal(known.reshape(-1), np.arange(count)):
        writer.reshaped(data, out, node.output[0])
        return
    if known is not None:
        matrix = writer.constant(np.eye(count, dtype=np.float32)[known.reshape(-1).astype(int)][None])
    else:
        flat = writer.node("Reshape", [index, writer.shape((1, -1, 1))])
        matrix = writer.equal(flat, writer.constant(np.arange(count)[None, None]))
    # With a batch of one: ncnn multiplies a vector, which is what is left of a matrix of one row, otherwise.
    table = writer.node("Reshape", [data, writer.shape((1, count, rows[1] if len(rows) == 2 else 1))])
    product = writer.node("MatMul", [matrix, writer.number(table)])
    writer.node("Reshape", [product, writer.shape(out)], node.output[0])


_FORMS: dict[str, Callable[[_Writer, onnx.NodeProto, dict[str, tuple[int, ...]]], None]] = {
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _compare),
    **dict.fromkeys(("And", "Or", "Not"), _logic),
    "Where": _where,
    "ArgMax": _arg_max,
    "Gather": _gather,
}


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return what is known of shapes; static graphs have all of them."""
    graph = model.graph
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type != TensorProto.UNDEFINED:
            found[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return found


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element types of the graph's values; of a value that is not told, float32 is assumed."""
    graph = model.graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
