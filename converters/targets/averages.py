"""Write averages over a whole picture as convolutions, for compilers that average only what has channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper, numpy_helper

from edgekit.converters.graph.simplify import drop_unused
from edgekit.converters.targets.static import array_of

if TYPE_CHECKING:
    import onnx

_PICTURE = (2, 3)


def spell_averages_out(model: onnx.ModelProto) -> int:
    """Replace averages over height and width by a convolution of each channel with equal weights, in place.

    Vela 5.2.0 leaves a mean over the last two dimensions to the processor (reduction over depth); it takes the
    convolution. Equal weights are exact in 8 bits: each is the largest number of its scale.

    Args:
        model: static, weights in memory, shapes inferred.

    Returns:
        How many were replaced.
    """
    changed = 0
    for node in [one for one in model.graph.node if one.op_type in ("GlobalAveragePool", "ReduceMean")]:
        shape = _shape(model, node.input[0])
        if len(shape) == 4 and min(shape) > 0 and _over_picture(model, node):
            _replace(model, node, shape)
            changed += 1
    drop_unused(model)
    return changed


def _over_picture(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    axes = _attribute(node, "axes")
    if axes is None and len(node.input) > 1:
        axes = array_of(model, node.input[1])
    return axes is not None and tuple(sorted(int(axis) % 4 for axis in axes)) == _PICTURE


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, shape: tuple[int, ...]) -> None:
    _, channels, height, width = shape
    out, label = node.output[0], node.name or node.output[0]
    flat = node.op_type == "ReduceMean" and _attribute(node, "keepdims") == 0
    weights = np.full((channels, 1, height, width), 1 / (height * width), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, f"{out}.equal"))
    made = f"{out}.averages" if flat else out
    convolution = helper.make_node(
        "Conv",
        [node.input[0], f"{out}.equal"],
        [made],
        f"{label}/averages",
        group=channels,
        kernel_shape=[height, width],
    )
    place = [one.output[0] for one in model.graph.node].index(out)
    model.graph.node.remove(node)
    model.graph.node.insert(place, convolution)
    if flat:
        rows = np.asarray((shape[0], channels), np.int64)
        model.graph.initializer.append(numpy_helper.from_array(rows, f"{out}.rows"))
        model.graph.node.insert(place + 1, helper.make_node("Reshape", [made, f"{out}.rows"], [out], f"{label}/rows"))


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    for value in (*model.graph.value_info, *model.graph.input):
        if value.name == name:
            return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return ()
