"""Take the embedding at the end of a text without ArgMax, for compilers that have it only as the last operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import walk
from edgekit.converters.graph.simplify import drop_unread
from edgekit.converters.targets.static import array_of
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx

_BETWEEN = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
_WHOLE = frozenset({TensorProto.INT32, TensorProto.INT64})
_PREFIX = "pooling"


def by_table(model: onnx.ModelProto) -> int:
    """Replace the row at the place where a text ends by a sum whose weights come from a table, in place.

    CLIP's texts end in the largest id of the vocabulary; newer exports of transformers ask for the first id that equals
    the end's. A table has 1 for that id and 0 for all others; products with ones and zeros leave the first 1 of each
    text alone, and the sum of the rows so weighted is the row at that place. Every number on the way is a small
    integer, which bfloat16 and float16 hold exactly: ids themselves they do not.

    Args:
        model: static, batch 1, weights in memory. Its texts have an end, as every tokenizer writes one.

    Returns:
        How many were replaced: 0 or 1.

    Raises:
        UnsupportedModelError: there is an ArgMax that is used in another way.
    """
    found = [node for node in model.graph.node if node.op_type == "ArgMax"]
    if not found:
        return 0
    last = found[0]
    readers = walk.consumers(model)
    users = [node for node, _ in readers.get(last.output[0], [])]
    if len(found) > 1 or len(users) != 1 or users[0].op_type != "Gather" or not _first_of_last_axis(model, last):
        raise _unsupported(last)
    rows, gather = _source(model, users[0].input[0]), users[0]
    shape, (sought, end) = _shape(model, rows), _end(model, last.input[0])
    ids, vocabulary = _looked_up(model, sought)
    if len(shape) != 3 or shape[0] != 1 or not vocabulary or not 0 <= (end or 0) < vocabulary:
        raise _unsupported(last)
    length, width = shape[1:]
    table = np.zeros((vocabulary, 1), np.float32)
    table[-1 if end is None else end] = 1
    constants = {
        "table": table,
        "before": -np.triu(np.ones((length, length), np.float32), 1),
        "one": np.ones(length, np.float32),
        "shape": np.asarray(_shape(model, gather.output[0]) or (1, width), np.int64),
    }
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(values, f"{_PREFIX}.{name}"))
    place = [node.output[0] for node in model.graph.node].index(gather.output[0])
    for node in reversed(_nodes(ids, rows, gather.output[0])):
        model.graph.node.insert(place, node)
    model.graph.node.remove(gather)
    drop_unread(model)
    return 1


def _nodes(ids: str, rows: str, out: str) -> list[onnx.NodeProto]:
    steps: tuple[tuple[str, tuple[str, ...], str, dict[str, Any]], ...] = (
        ("Gather", ("table", ids), "column", {"axis": 0}),
        ("Transpose", ("column",), "ends", {"perm": [0, 2, 1]}),
        # One less the number of ends before each place; more than none lets a place weigh nothing. A product with a
        # bias: tpu-mlir 1.30.2 forgets a Relu after a Sub on CV18xx in bf16 (texts padded with their end: cosine -0.6).
        ("MatMul", ("ends", "before"), "earlier", {}),
        ("Add", ("earlier", "one"), "none", {}),
        ("Relu", ("none",), "first", {}),
        ("Mul", ("ends", "first"), "weights", {}),
        ("MatMul", ("weights", rows), "row", {}),
        ("Reshape", ("row", "shape"), out, {}),
    )
    own = {"table", "before", "one", "shape", *(made for _, _, made, _ in steps if made != out)}
    named = {name: f"{_PREFIX}.{name}" for name in own if name not in (ids, rows)}
    return [
        helper.make_node(
            kind, [named.get(name, name) for name in read], [named.get(made, made)], f"{_PREFIX}/{number}", **given
        )
        for number, (kind, read, made, given) in enumerate(steps)
    ]


def _source(model: onnx.ModelProto, name: str) -> str:
    """Return the tensor that a reshaped one was made of."""
    makers = {written: node for node in model.graph.node for written in node.output}
    while name in makers and (makers[name].op_type in _BETWEEN or _keeps_ids(makers[name])):
        name = makers[name].input[0]
    return name


def _keeps_ids(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and helper.get_attribute_value(node.attribute[0]) in _WHOLE


def _first_of_last_axis(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    rank = len(_shape(model, node.input[0]))
    return bool(rank) and given.get("axis", 0) % rank == rank - 1 and not given.get("select_last_index", 0)


def _end(model: onnx.ModelProto, name: str) -> tuple[str, int | None]:
    """Return the ids whose place is sought by what ArgMax reads, and which of them; None stands for the largest."""
    source = _source(model, name)
    for node in model.graph.node:
        if node.op_type == "Equal" and node.output[0] == source:
            for ids, other in (tuple(node.input), tuple(reversed(node.input))):
                value = array_of(model, other)
                if value is not None and value.size == 1:
                    return _source(model, ids), int(value.reshape(-1)[0])
    return source, None


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        if value.name == name:
            return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return ()


def _looked_up(model: onnx.ModelProto, sought: str) -> tuple[str, int]:
    """Return the ids as they are looked up in the table of embeddings, and its rows; 0 where there is no table."""
    for node in model.graph.node:
        if node.op_type == "Gather" and _source(model, node.input[1]) == sought:
            table = array_of(model, node.input[0])
            if table is not None and table.ndim == 2:
                return node.input[1], int(table.shape[0])
    return sought, 0


def _unsupported(node: onnx.NodeProto) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the text tower's node '{node.name or node.output[0]}' (ArgMax) does not take the embedding at the largest "
        "token id, or at the first of one id, which are the uses of it that can be written without it; compile for "
        "another chip"
    )
