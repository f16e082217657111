"""Write a float32 graph as a typed one that computes in float16, but for nodes that are to stay in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import walk
from edgekit.converters.graph.simplify import drop_unused

if TYPE_CHECKING:
    from collections.abc import Collection

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_LARGEST = float(np.finfo(np.float16).max)
# They tell numbers apart, or hold integers: float16 knows no odd number above 2048.
_EXACT = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "CumSum",
        "DequantizeLinear",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "QuantizeLinear",
        "Range",
        "TopK",
    }
)
_SMALL = frozenset({TensorProto.UINT8, TensorProto.INT8, TensorProto.BOOL})


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor whose type can be told.

    Args:
        model: weights in memory or not.

    Returns:
        ONNX's numbers of types, by the tensor's name.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    found = {
        value.name: int(value.type.tensor_type.elem_type)
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    found.update({tensor.name: int(tensor.data_type) for tensor in model.graph.initializer})
    return found


def eligible(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name the nodes that may be computed in float16, by their first outputs, in order.

    Left out are operators that ONNX does not define on float16; those that compare or hold integers; conversions from
    integers of more than 8 bits; nodes with a constant beyond float16's range, or with an input whose type cannot be
    told; and what a control-flow body reads.

    Args:
        model: static and float32, weights in memory.

    Returns:
        The names.
    """
    types = types_of(model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    inside = {name for graph in walk.graphs(model) if graph is not model.graph for n in graph.node for name in n.input}
    opset = _opset(model)
    return tuple(
        node.output[0]
        for node in model.graph.node
        if not inside & set(node.output) and _may_be_half(node, types, stored, opset)
    )


def typed(model: onnx.ModelProto, kept: Collection[str]) -> onnx.ModelProto:
    """Return the graph in float16, with the nodes of `kept` and all that are not `eligible` in float32.

    Inputs and outputs of the graph keep their types; casts stand where the two meet, one for each tensor.

    Args:
        model: static and float32, weights in memory; it is left as it was.
        kept: first outputs of nodes.

    Returns:
        A new graph.
    """
    types, opset = types_of(model), _opset(model)
    halves = set(eligible(model)) - set(kept)
    writer = _Writer(model, types)
    for node in model.graph.node:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        half = node.output[0] in halves
        if half and node.op_type == "Cast":
            _attribute(made, "to").i = HALF
        for position, name in enumerate(node.input):
            if types.get(name) == FLOAT:
                wanted = HALF if half and _takes_half(node, position, opset) else FLOAT
                made.input[position] = writer.read(name, wanted)
        writer.write(made, half=half)
    return writer.close()


class _Writer:
    """The new graph: which type each tensor has there, and the casts that were made."""

    def __init__(self, model: onnx.ModelProto, types: dict[str, int]) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._types = types
        self._stored = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._outputs = {value.name for value in model.graph.output}
        self._halves: set[str] = set()
        self._made: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def read(self, name: str, wanted: int) -> str:
        """Return the name under which a float tensor is read in a type."""
        if (HALF if name in self._halves else FLOAT) == wanted:
            return name
        key = (name, wanted)
        if key not in self._made:
            out = f"{name}.{'half' if wanted == HALF else 'float'}"
            if name in self._stored:
                values = numpy_helper.to_array(self._stored[name]).astype(np.float16)
                self._model.graph.initializer.append(numpy_helper.from_array(values, out))
            else:
                self._nodes.append(helper.make_node("Cast", [name], [out], f"{out}/Cast", to=wanted))
            self._made[key] = out
        return self._made[key]

    def write(self, node: onnx.NodeProto, *, half: bool) -> None:
        """Add a node, whose float outputs are float16 where `half`."""
        self._nodes.append(node)
        for position, name in enumerate(list(node.output) if half else []):
            if self._types.get(name) != FLOAT:
                continue
            if name in self._outputs:
                # Nodes that read it in float16 read it before the cast.
                inner = node.output[position] = self._made[name, HALF] = f"{name}.half"
                self._nodes.append(helper.make_node("Cast", [inner], [name], f"{name}/Cast", to=FLOAT))
            else:
                self._halves.add(name)

    def close(self) -> onnx.ModelProto:
        """Return the graph."""
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        del graph.value_info[:]
        drop_unused(self._model)
        return self._model


def _may_be_half(node: onnx.NodeProto, types: dict[str, int], stored: dict[str, TensorProto], opset: int) -> bool:
    if node.op_type in _EXACT or node.domain not in ("", "ai.onnx"):
        return False
    # What another domain's operator writes may be float32, which nothing would cast.
    if any(name and not types.get(name) for name in node.input):
        return False
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute):
        return False
    if node.op_type == "Cast":
        return _attribute(node, "to").i == FLOAT and types.get(node.input[0]) in _SMALL
    numbers = [(i, name) for i, name in enumerate(node.input) if types.get(name) == FLOAT]
    halves = [name for i, name in numbers if _takes_half(node, i, opset)]
    if not halves or not any(types.get(name) == FLOAT for name in node.output):
        return False
    return all(name not in stored or _fits(stored[name]) for name in halves)


def _takes_half(node: onnx.NodeProto, position: int, opset: int) -> bool:
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    formal = schema.inputs[min(position, len(schema.inputs) - 1)]
    return "tensor(float16)" in formal.types


def _fits(tensor: TensorProto) -> bool:
    """Tell whether float16 holds a constant: nothing overflows, and no scalar becomes 0 or a subnormal number."""
    values = np.abs(numpy_helper.to_array(tensor).astype(np.float64))
    if values.size == 0:
        return True
    tiny = float(np.finfo(np.float16).tiny)
    return bool(values.max() <= _LARGEST and not (values.size == 1 and 0 < values.max() < tiny))


def _attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next(attribute for attribute in node.attribute if attribute.name == name)


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
