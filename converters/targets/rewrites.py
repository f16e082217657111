"""Changes to a static graph that keep a chip's compiler right: each answers a fault that was seen, and says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.adapting import PROJECTION, unit_rows
from edgekit.converters.graph import walk
from edgekit.converters.graph.simplify import drop_unused
from edgekit.converters.targets import static
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx


MASKED = -30.0
"""exp(-30) is nothing beside 1, and leaves int8 most of its range for the logits themselves."""

_SEEN_AS_MASK = -1.0e3
_MASKING = frozenset({"Add", "Mul", "Where", "Sub"})
# What brings a row to length one, however it is written.
_LENGTH = frozenset(
    {"Abs", "ReduceMax", "Clip", "Max", "Div", "Mul", "ReduceL2", "ReduceSum", "Pow", "Sqrt", "Expand", "Reciprocal"}
)
# Between two ways to compute the same length in float32.
_SAME = 1e-4
# Far below what float16 resolves beside any activation, and not all the same.
_SPECK = 1e-7


def bound_masks(model: onnx.ModelProto) -> int:
    """Raise attention masks to `MASKED`, in place; return how many constants changed.

    A range of -10000..10 leaves 8 bits none of the logits: MiniLM's centred cosine on rk3588 in int8 was -0.1.
    """
    readers = walk.consumers(model)
    changed = 0
    for tensor in model.graph.initializer:
        kinds = {node.op_type for node, _ in readers.get(tensor.name, [])}
        if tensor.data_type != TensorProto.FLOAT or not kinds or not kinds <= _MASKING:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size and bool(((values == 0) | (values <= _SEEN_AS_MASK)).all()) and bool(values.min() < 0):
            tensor.CopyFrom(numpy_helper.from_array(np.maximum(values, np.float32(MASKED)), tensor.name))
            changed += 1
    return changed


def move_length_out(model: onnx.ModelProto) -> None:
    """End the graph before its rows are brought to length one, in place; its output is `PROJECTION` then.

    Dividing by a length needs a range that 16 bits do not always have, and 8 bits spend theirs twice.

    Args:
        model: static, with one output, weights in memory.

    Raises:
        UnsupportedModelError: the graph does not end in a division by its rows' length, or in more than that.
    """
    graph = model.graph
    (taken,) = graph.output
    makers = {name: node for node in graph.node for name in node.output}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    tail, open_ = set[str](), [taken.name]
    outside = set[str]()
    while open_:
        node = makers.get(open_.pop())
        if node is None or node.output[0] in tail:
            continue
        tail.add(node.output[0])
        for name in node.input:
            if name and name not in stored:
                inner = name in makers and _may_be_of_a_length(makers[name], stored)
                open_.append(name) if inner else outside.add(name)
    if len(outside) != 1 or not outside <= set(makers) or not _may_be_of_a_length(makers[taken.name], stored):
        raise UnsupportedModelError(
            "the tower does not end in rows of length one that are made of one tensor, but in what is made of "
            f"{', '.join(sorted(outside)) or 'nothing'}; convert the bundle again"
        )
    (before,) = outside
    _check_length(model, [node for node in graph.node if node.output[0] in tail], before)
    _free_name(model, PROJECTION)
    makers[before].output[0] = PROJECTION
    walk.rename_inputs(model, {before: PROJECTION})
    kept = [node for node in graph.node if node.output[0] not in tail]
    del graph.node[:]
    graph.node.extend(kept)
    taken.name = PROJECTION
    drop_unused(model)


def _may_be_of_a_length(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    """Tell whether a node can belong to a length: one with a stored factor a channel is the tower's last layer."""
    factors = [stored[name].dims for name in node.input if name in stored and node.op_type in ("Mul", "Div")]
    return node.op_type in _LENGTH and not any(int(np.prod(dims)) > 1 for dims in factors)


def _check_length(model: onnx.ModelProto, tail: list[onnx.NodeProto], before: str) -> None:
    """Compute the last nodes on random rows: an Abs or a Pow may be the tower's own."""
    size = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    rows = np.random.default_rng(0).normal(size=size).astype(np.float32)
    wanted = unit_rows(rows.reshape(-1, size[-1])).reshape(size)
    if not np.allclose(static.compute(model, tail, before, rows), wanted, atol=_SAME):
        raise UnsupportedModelError(
            f"the tower's nodes after '{before}' ({', '.join(node.op_type for node in tail)}) do more than bring rows "
            "to length one; convert the bundle again"
        )


def spell_lengths_out(model: onnx.ModelProto) -> int:
    """Replace every ReduceL2 by squares, their sum and its root, in place; return how many.

    Qualcomm's processors of version 68 have no ReduceL2.

    Args:
        model: static, operator set 13 or newer, weights in memory.

    Returns:
        How many were replaced.
    """
    found = [node for node in model.graph.node if node.op_type == "ReduceL2"]
    for node in found:
        place = [one.output[0] for one in model.graph.node].index(node.output[0])
        squares, total, axes = (f"{node.output[0]}.{part}" for part in ("squares", "sum", "axes"))
        given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if "axes" in given:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(given["axes"], np.int64), axes))
        inputs = [squares, axes] if "axes" in given else [squares, *node.input[1:]]
        parts = [
            helper.make_node("Mul", [node.input[0]] * 2, [squares], f"{node.name}/squares"),
            helper.make_node("ReduceSum", inputs, [total], f"{node.name}/sum", keepdims=given.get("keepdims", 1)),
            helper.make_node("Sqrt", [total], [node.output[0]], f"{node.name}/root"),
        ]
        model.graph.node.remove(node)
        for offset, part in enumerate(parts):
            model.graph.node.insert(place + offset, part)
    return len(found)


def store_fills(model: onnx.ModelProto) -> int:
    """Store every ConstantOfShape of a known shape as the constant that it is, in place; return how many.

    MNN 3.6.1 leaves one of a shape without dimensions unset, without a message: whatever lies in memory then masks a
    sentence tower's attention (centred cosine 0.61).

    Args:
        model: weights in memory.

    Returns:
        How many were stored.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type == "ConstantOfShape" and node.input[0] in stored]
    for node in found:
        given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        value = numpy_helper.to_array(given["value"]) if "value" in given else np.zeros(1, np.float32)
        shape = numpy_helper.to_array(stored[node.input[0]])
        filled = np.full([int(size) for size in shape], value.reshape(-1)[0], value.dtype)
        model.graph.initializer.append(numpy_helper.from_array(filled, node.output[0]))
        model.graph.node.remove(node)
    drop_unused(model)
    return len(found)


def _free_name(model: onnx.ModelProto, name: str) -> None:
    """Give whatever bears a name another one."""
    other = f"{name}.inner"
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.name = other
    for node in model.graph.node:
        for position, written in enumerate(node.output):
            if written == name:
                node.output[position] = other
    walk.rename_inputs(model, {name: other})


def give_biases(model: onnx.ModelProto) -> int:
    """Follow every product with stored weights by an addition of a bias whose values differ, in place; return how many.

    rknn-toolkit2 2.5.0 computes the projection after attention wrongly when no bias follows it (cosine 0.71, no
    message), and crashes on a packed query-key-value bias whose values are all the same. Values of 1e-7 and 0 in turn
    change nothing that float16 can hold.

    Args:
        model: static, weights in memory.

    Returns:
        How many were given or changed.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = walk.consumers(model)
    changed = 0
    nodes = list(model.graph.node)
    for node in nodes:
        if node.op_type != "MatMul" or node.input[1] not in stored:
            continue
        width = int(stored[node.input[1]].dims[-1])
        after = readers.get(node.output[0], [])
        bias = _bias(after[0][0], stored, width) if len(after) == 1 else None
        if bias is None:
            _insert_bias(model, node, width)
        elif np.ptp(bias[1]) == 0 and width > 1:
            name = f"{node.output[0]}.bias"
            model.graph.initializer.append(numpy_helper.from_array(bias[1] + _speck(width), name))
            reader = after[0][0]
            reader.input[[*reader.input].index(bias[0])] = name
        else:
            continue
        changed += 1
    drop_unused(model)
    return changed


def _bias(
    node: onnx.NodeProto, stored: dict[str, onnx.TensorProto], width: int
) -> tuple[str, npt.NDArray[np.float32]] | None:
    if node.op_type != "Add":
        return None
    for name in node.input:
        if name in stored:
            values = numpy_helper.to_array(stored[name])
            if values.shape == (width,):
                return name, values
    return None


def _insert_bias(model: onnx.ModelProto, node: onnx.NodeProto, width: int) -> None:
    name, plain = f"{node.output[0]}.bias", f"{node.output[0]}.plain"
    model.graph.initializer.append(numpy_helper.from_array(_speck(width), name))
    place = [one.output[0] for one in model.graph.node].index(node.output[0])
    added = helper.make_node("Add", [plain, name], [node.output[0]], f"{node.name}/bias")
    node.output[0] = plain
    model.graph.node.insert(place + 1, added)


def _speck(width: int) -> npt.NDArray[np.float32]:
    values = np.zeros(width, np.float32)
    values[::2] = _SPECK
    return values
