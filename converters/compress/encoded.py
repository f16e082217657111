"""Replace a stored weight by an encoded one and the nodes that decode it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import walk
from edgekit.converters.graph.simplify import set_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

MIN_ELEMENTS = 1024
"""Smaller weights stay float32: they are few bytes, and scales and biases matter most."""


@dataclass(frozen=True)
class Encoded:
    """A weight as stored; its value is ``float32(data) * scale``.

    Attributes:
        data: float16 or int8, the weight's shape.
        scale: float32, broadcasting against `data` with the same rank; None stands for one.
    """

    data: npt.NDArray[np.generic]
    scale: npt.NDArray[np.float32] | None = None

    def decoded(self) -> npt.NDArray[np.float32]:
        """Return the value, float32, of the shape of `data`."""
        floats = self.data.astype(np.float32)
        return floats if self.scale is None else floats * self.scale


def large_weights(model: onnx.ModelProto) -> Iterator[tuple[TensorProto, npt.NDArray[np.float32]]]:
    """Yield the float32 initializers of the main graph of `MIN_ELEMENTS` or more, each with its value."""
    for tensor in list(model.graph.initializer):
        if tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) >= MIN_ELEMENTS:
            yield tensor, numpy_helper.to_array(tensor)


def is_table(model: onnx.ModelProto, name: str) -> bool:
    """Tell whether every reader of an initializer is a Gather of its rows in the main graph."""
    readers = walk.consumers(model).get(name, [])
    main = {id(node) for node in model.graph.node}
    return bool(readers) and all(
        id(node) in main and node.op_type == "Gather" and position == 0 and _axis(node) == 0
        for node, position in readers
    )


def replace(model: onnx.ModelProto, tensor: TensorProto, encoded: Encoded) -> None:
    """Store `encoded` in the place of `tensor`, in place, and decode it for all its readers.

    A table is decoded after the look-up, where only its selected rows are; anything else as a whole, by nodes that
    depend on nothing but constants.

    Args:
        model: the model, weights in memory.
        tensor: an initializer of the main graph.
        encoded: what to store; for a table, `scale` must have the extent 1 on all axes but the first.
    """
    name = tensor.name
    stored, scale = f"{name}.stored", f"{name}.scale" if encoded.scale is not None else ""
    if is_table(model, name):
        nodes = [
            node for old in model.graph.node for node in (looked_up(old, stored, scale) if name in old.input else [old])
        ]
    else:
        nodes = [*decode(stored, scale, name), *model.graph.node]
    set_nodes(model.graph, nodes)
    model.graph.initializer.remove(tensor)
    model.graph.initializer.append(numpy_helper.from_array(encoded.data, stored))
    if encoded.scale is not None:
        model.graph.initializer.append(numpy_helper.from_array(encoded.scale, scale))


def looked_up(node: onnx.NodeProto, stored: str, scale: str) -> list[onnx.NodeProto]:
    """Return what looks up rows of a stored table and decodes them into the output of a Gather of the float table.

    Args:
        node: the Gather of rows.
        stored: name of the encoded table.
        scale: name of its scales, one a row, or an empty string where there are none.

    Returns:
        The nodes, in order.
    """
    out = node.output[0]
    rows = helper.make_node("Gather", [stored, node.input[1]], [f"{out}.stored"], axis=0)
    if not scale:
        return [rows, *decode(f"{out}.stored", "", out)]
    scales = helper.make_node("Gather", [scale, node.input[1]], [f"{out}.scale"], axis=0)
    return [rows, scales, *decode(f"{out}.stored", f"{out}.scale", out)]


def decode(stored: str, scale: str, out: str) -> list[onnx.NodeProto]:
    """Return the nodes that compute ``out = float32(stored) * scale``; an empty `scale` stands for one."""
    if not scale:
        return [helper.make_node("Cast", [stored], [out], to=TensorProto.FLOAT)]
    cast = helper.make_node("Cast", [stored], [f"{out}.cast"], to=TensorProto.FLOAT)
    return [cast, helper.make_node("Mul", [f"{out}.cast", scale], [out])]


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
