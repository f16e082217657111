"""What ncnn needs of a tower's graph: pixels as float32, and whole numbers only where a table of words is looked up.

ncnn knows one type, float32. Its one layer that reads whole numbers looks rows of a table up. So the look-up is taken
out of the graph (`take_table_out`), to be the layer before it, and all else that is computed of ids is computed in
float32 (`compute_in_float`): masks become 0 and 1, and a choice of rows becomes a product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import walk
from edgekit.converters.graph.simplify import drop_unread, drop_unused
from edgekit.converters.targets import whole_numbers
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

WORDS = "words"
"""Name of the input that gets the rows looked up, float32 (1, L, W)."""


def float_pixels(model: onnx.ModelProto) -> None:
    """Make the pixels an input of float32 with the same values 0..255, in place.

    Args:
        model: static, its input uint8 (1, H, W, 3), cast to float32 at once.

    Raises:
        UnsupportedModelError: something else reads the pixels.
    """
    (given,) = model.graph.input
    readers = walk.consumers(model).get(given.name, [])
    if not readers or any(node.op_type != "Cast" for node, _ in readers):
        raise UnsupportedModelError("the image tower does not begin by casting its pixels; convert the bundle again")
    for node, _ in readers:
        walk.rename_inputs(model, {node.output[0]: given.name})
        model.graph.node.remove(node)
    given.type.tensor_type.elem_type = TensorProto.FLOAT


def take_table_out(model: onnx.ModelProto) -> npt.NDArray[np.float32]:
    """Make the rows of the table of words an input named `WORDS`, in place, and return the table.

    Args:
        model: static, weights in memory, its input ids int32 (1, L).

    Returns:
        The table, float32 (V, W).

    Raises:
        UnsupportedModelError: no table, or more than one, is looked up by the ids.
    """
    graph = model.graph
    (given,) = graph.input
    stored = {tensor.name: tensor for tensor in graph.initializer}
    ids = _same_as(model, given.name)
    found = [node for node in graph.node if node.op_type == "Gather" and node.input[1] in ids]
    names = {node.input[0] for node in found}
    if len(names) != 1 or not names <= set(stored) or any(_axis(node) for node in found):
        raise UnsupportedModelError(
            f"the text tower looks its ids up in {sorted(names) or 'no table'}, ncnn's form of a tower has one table; "
            "compile it for mnn or openvino"
        )
    table: npt.NDArray[np.float32] = numpy_helper.to_array(stored[names.pop()])
    for node in found:
        walk.rename_inputs(model, {node.output[0]: WORDS})
        graph.node.remove(node)
    length = given.type.tensor_type.shape.dim[1].dim_value
    words = helper.make_tensor_value_info(WORDS, TensorProto.FLOAT, [1, length, table.shape[1]])
    graph.input.insert(0, words)
    # Casts that were made for the look-up alone would keep the ids as an input that nothing uses.
    drop_unread(model)
    return table


def compute_in_float(model: onnx.ModelProto) -> bool:
    """Compute in float32 whatever is computed of the ids, in place; see `whole_numbers`.

    Args:
        model: after `take_table_out`.

    Returns:
        Whether anything reads the ids still; they are no input any more where nothing does.

    Raises:
        UnsupportedModelError: an operator on ids has no form in float32; the message names the node.
    """
    ids = model.graph.input[1]
    whole_numbers.rewrite(model, ids.name)
    read = any(ids.name in node.input for node in model.graph.node)
    if read:
        ids.type.tensor_type.elem_type = TensorProto.FLOAT
    else:
        model.graph.input.remove(ids)
    drop_unused(model)
    return read


def anchor_batches(model: onnx.ModelProto) -> None:
    """Begin each input by a layer that changes nothing and has a batch, in place.

    pnnx finds which axis is the batch from layers that have one, such as a convolution; where none follows an input it
    keeps the batch as an axis like the others, which ncnn's inputs do not have. A normalization of mean 0 and variance
    1 is exact.

    Args:
        model: static, weights in memory, its inputs float32 (1, L, …).
    """
    for given in model.graph.input:
        length, name = given.type.tensor_type.shape.dim[1].dim_value, f"{given.name}.anchored"
        walk.rename_inputs(model, {given.name: name})
        parts = {f"{name}.{part}": value for part, value in (("ones", 1), ("zeros", 0))}
        stored = [numpy_helper.from_array(np.full(length, value, np.float32), part) for part, value in parts.items()]
        model.graph.initializer.extend(stored)
        ones, zeros = parts
        anchor = helper.make_node(
            "BatchNormalization", [given.name, ones, zeros, zeros, ones], [name], f"{name}/anchor", epsilon=0.0
        )
        model.graph.node.insert(0, anchor)


def sums_as_means(model: onnx.ModelProto) -> int:
    """Write every ReduceSum as a mean times the number of its terms, in place; return how many.

    pnnx 20261020 reads one axis that is an input as a single number, looks for a list, and sums over nothing. Axes of a
    mean are an attribute up to operator set 17, which it reads right.

    Args:
        model: static, operator set 13 to 17, weights in memory, shapes told.

    Returns:
        How many were written so.

    Raises:
        UnsupportedModelError: its axes or its input's shape are not known.
    """
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*model.graph.value_info, *model.graph.input)}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type == "ReduceSum"]
    for node in found:
        name, sizes = node.output[0], [dim.dim_value for dim in shapes.get(node.input[0], ())]
        if len(node.input) < 2 or node.input[1] not in stored or not all(sizes) or not sizes:
            raise UnsupportedModelError(
                f"the node '{node.name or name}' (ReduceSum) has no fixed axes; convert it again"
            )
        axes = [int(axis) for axis in numpy_helper.to_array(stored[node.input[1]]).reshape(-1)]
        kept = next((one.i for one in node.attribute if one.name == "keepdims"), 1)
        count = np.float32(np.prod([sizes[axis] for axis in axes]))
        model.graph.initializer.append(numpy_helper.from_array(count, f"{name}.count"))
        place = [one.output[0] for one in model.graph.node].index(name)
        mean = helper.make_node(
            "ReduceMean", [node.input[0]], [f"{name}.mean"], f"{name}/mean", axes=axes, keepdims=kept
        )
        times = helper.make_node("Mul", [f"{name}.mean", f"{name}.count"], [name], f"{name}/times")
        model.graph.node.remove(node)
        model.graph.node.insert(place, mean)
        model.graph.node.insert(place + 1, times)
    drop_unused(model)
    return len(found)


def _same_as(model: onnx.ModelProto, name: str) -> set[str]:
    """Return the names of a value, of its casts, and of reshapes to the shape that it has."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.value_info)
    }
    found = {name}
    for node in model.graph.node:
        same = node.op_type == "Reshape" and shapes.get(node.output[0]) == shapes[name]
        if (same or node.op_type in ("Cast", "Identity")) and node.input[0] in found:
            found.add(node.output[0])
    return found


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


def forget_values(model: onnx.ModelProto) -> None:
    """Drop what is told of values in between, in place: whole numbers became float32."""
    del model.graph.value_info[:]
