"""ONNX graphs without weights: initializers have shapes, and their data is said to lie elsewhere, where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

FLOAT, UINT8, INT8, INT32, INT64 = (
    TensorProto.FLOAT,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
    TensorProto.INT64,
)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Sequence[str],
    shapes: Mapping[str, tuple[int, Sequence[int]]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """Return a model.

    Args:
        nodes: in the order they run.
        inputs: element type and shape by name; a text is a free dimension.
        outputs: names; of any type and shape.
        shapes: element type and shape of each weight without data.
        values: arrays stored in the graph.
    """
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (values or {}).items()]
    for name, (kind, shape) in (shapes or {}).items():
        weight = TensorProto(name=name, data_type=kind, dims=list(shape), data_location=TensorProto.EXTERNAL)
        weight.external_data.add(key="location", value="nowhere")
        weights.append(weight)
    given = [helper.make_tensor_value_info(name, kind, list(shape)) for name, (kind, shape) in inputs.items()]
    found = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph(list(nodes), "weightless", given, found, weights), opset_imports=sets)


def vision_transformer(width: int, layers: int, patch: int, size: int, dimension: int) -> onnx.ModelProto:
    """Return CLIP's image tower (Radford et al. 2021): patch embedding, blocks, projection of the class token."""
    tokens, side = (size // patch) ** 2 + 1, size // patch
    nodes, shapes = [], {"patches": (FLOAT, (width, 3, patch, patch)), "class": (FLOAT, (1, 1, width))}

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def product(x: str, name: str, rows: int, columns: int) -> str:
        shapes[name] = (FLOAT, (rows, columns))
        return add("MatMul", [x, name], f"{name}.out")

    add("Conv", ["planes", "patches"], "cut", strides=[patch, patch])
    add("Reshape", ["cut", "flat"], "rows")
    add("Transpose", ["rows"], "embedded", perm=[0, 2, 1])
    x = add("Concat", ["class", "embedded"], "x", axis=1)
    for i in range(layers):
        q, k, v = (product(x, f"{i}.{name}", width, width) for name in "qkv")
        turned = add("Transpose", [k], f"{i}.turned", perm=[0, 2, 1])
        scores = add("Softmax", [add("MatMul", [q, turned], f"{i}.scores")], f"{i}.weights")
        mixed = add("MatMul", [scores, v], f"{i}.mixed")
        x = add("Add", [x, product(mixed, f"{i}.out", width, width)], f"{i}.x")
        wide = add("Relu", [product(x, f"{i}.fc", width, 4 * width)], f"{i}.wide")
        x = add("Add", [x, product(wide, f"{i}.proj", 4 * width, width)], f"{i}.y")
    first = add("Gather", [x, "zero"], "first", axis=1)
    product(first, "projection", width, dimension)
    assert side * side + 1 == tokens
    values = {"flat": np.array([1, width, side * side]), "zero": np.array(0)}
    return graph(nodes, {"planes": (FLOAT, (1, 3, size, size))}, ["projection.out"], shapes, values)
