"""The shape of every tensor of an ONNX graph for inputs of one shape, free dimensions and computed shapes included.

`onnx.shape_inference` alone stops at the first node whose shape is computed (padding, masks) or whose operator it does
not know. Here the graph is walked node by node: what depends on shapes alone is computed with ONNX's reference
implementation, and the rest is inferred with those values at hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.limits import contrib

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx

# Values that shapes are made of are small; larger ones are data.
_MOST = 4096


@dataclass(frozen=True)
class Tensor:
    """Shape and ONNX element type of a tensor; the shape is None where it is not known."""

    shape: tuple[int, ...] | None
    kind: int

    @property
    def elements(self) -> int:
        """Number of elements; 0 where the shape is not known."""
        return 0 if self.shape is None else math.prod(self.shape)


def tensors(model: onnx.ModelProto, given: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Find every tensor's shape.

    Args:
        model: a graph without control flow; its weights may be outside.
        given: shape of each input.

    Returns:
        By name: inputs, weights, and every node's outputs; the shape is None where it depends on data, or comes after
        an operator that is not known.
    """
    walk = _Walk(model)
    for value in model.graph.input:
        if value.name in given:
            walk.put(value.name, given[value.name], value.type.tensor_type.elem_type)
    for node in model.graph.node:
        walk.step(node)
    return walk.found


class _Walk:
    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import TensorProto, numpy_helper

        self._imports = list(model.opset_import)
        self._versions = {entry.domain: entry.version for entry in model.opset_import}
        self.found: dict[str, Tensor] = {}
        self._values: dict[str, npt.NDArray[Any]] = {}
        for weight in model.graph.initializer:
            self.found[weight.name] = Tensor(tuple(weight.dims), weight.data_type)
            inside = weight.data_location != TensorProto.EXTERNAL
            if inside and math.prod(weight.dims) <= _MOST and weight.data_type != TensorProto.STRING:
                self._values[weight.name] = numpy_helper.to_array(weight)

    def put(self, name: str, shape: tuple[int, ...] | None, kind: int) -> None:
        self.found[name] = Tensor(shape, kind)

    def step(self, node: onnx.NodeProto) -> None:
        """Find one node's outputs."""
        names = [name for name in node.input if name]
        if node.op_type == "Shape" and not node.domain:
            self._shape_of(node)
        elif node.domain not in ("", "ai.onnx"):
            inputs = [self.found.get(name) if name else None for name in node.input]
            for name, tensor in zip(node.output, contrib.outputs(node, inputs, Tensor), strict=False):
                self.found[name] = tensor
        elif not self._computed(node, names):
            self._inferred(node, names)

    def _shape_of(self, node: onnx.NodeProto) -> None:
        from onnx import TensorProto

        shape = self.found[node.input[0]].shape if node.input[0] in self.found else None
        if shape is None:
            self.put(node.output[0], None, TensorProto.INT64)
            return
        span = {a.name: a.i for a in node.attribute}
        part = np.asarray(shape[span.get("start", 0) : span.get("end")], np.int64)
        self._keep(node.output[0], part)

    def _computed(self, node: onnx.NodeProto, names: list[str]) -> bool:
        """Compute a node whose inputs' values are all known; False where they are not, or the result is large."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type.startswith("Random") or not all(name in self._values for name in names):
            return False
        if node.op_type == "ConstantOfShape" and math.prod(self._values[names[0]].tolist()) > _MOST:
            return False
        try:
            found = ReferenceEvaluator(node).run(None, {name: self._values[name] for name in names})
        except Exception:
            # The reference implementation lacks some operators; the shape can still be inferred.
            return False
        for name, value in zip(node.output, found, strict=False):
            self._keep(name, np.asarray(value))
        return True

    def _keep(self, name: str, value: npt.NDArray[Any]) -> None:
        from onnx import helper

        self.put(name, value.shape, helper.np_dtype_to_tensor_dtype(value.dtype))
        if value.size <= _MOST:
            self._values[name] = value

    def _inferred(self, node: onnx.NodeProto, names: list[str]) -> None:
        from onnx import defs, helper, numpy_helper
        from onnx.shape_inference import infer_node_outputs

        types = {n: helper.make_tensor_type_proto(t.kind, t.shape) for n in names if (t := self.found.get(n))}
        data = {n: numpy_helper.from_array(self._values[n], n) for n in names if n in self._values}
        try:
            schema = defs.get_schema(node.op_type, self._versions.get(node.domain, 1), node.domain)
            # The operator's set alone: with others, ONNX 1.17 refuses.
            found = infer_node_outputs(schema, node, types, data, opset_imports=self._imports)
        except Exception:
            # Unknown operators and impossible inputs leave the shape unknown, which the count tells.
            found = {}
        for name in node.output:
            kind = found[name].tensor_type if name in found else None
            self.put(name, None if kind is None else _shape(kind), 0 if kind is None else kind.elem_type)


def _shape(kind: Any) -> tuple[int, ...] | None:
    if not kind.HasField("shape") or not all(size.HasField("dim_value") for size in kind.shape.dim):
        return None
    return tuple(int(size.dim_value) for size in kind.shape.dim)
