"""Cut rows out of a text tower's token table, and change what else the graph knows about ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods.editor import Editor, attribute
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx

# Operators that hand ids on.
_SAME = {
    "Cast",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
# Operators whose result is not an id; the order of ids is kept, so the position of the largest is too.
_ENDS = {"ArgMax", "ArgMin", "Shape", "Size"}


def compared_ids(model: onnx.ModelProto) -> set[int]:
    """Return the ids that the graph compares tokens with (padding, end of text); they must stay.

    Args:
        model: the text tower.

    Returns:
        Ids.

    Raises:
        UnsupportedModelError: the graph computes with ids in a way that does not survive renumbering.
    """
    editor = Editor(model)
    found: set[int] = set()
    for node in _comparisons(editor):
        for name in node.input:
            if editor.is_constant(name):
                found.update(int(value) for value in np.asarray(editor.value(name)).reshape(-1))
    return found


def cut_rows(model: onnx.ModelProto, kept: npt.NDArray[np.int64], new_ids: Mapping[int, int]) -> tuple[int, int]:
    """Keep only some rows of every table that is looked up by token id, in place.

    Args:
        model: a float text tower, weights in memory.
        kept: old ids, rising; row i of the new table is row ``kept[i]`` of the old.
        new_ids: old id to new id.

    Returns:
        Bytes of the tables before and after.

    Raises:
        UnsupportedModelError: there is no such table, it is too short, or the graph computes with ids in a way that
            does not survive renumbering.
    """
    editor = Editor(model)
    for node in _comparisons(editor):
        for position, name in enumerate(node.input):
            if editor.is_constant(name):
                old = np.asarray(editor.value(name))
                unknown = [int(value) for value in old.reshape(-1) if int(value) not in new_ids]
                if unknown:
                    raise UnsupportedModelError(
                        f"node '{node.name}' compares token ids with {unknown[0]}, which is no token of the tokenizer"
                    )
                new = np.array([new_ids[int(value)] for value in old.reshape(-1)], old.dtype).reshape(old.shape)
                node.input[position] = editor.constant(f"{name}.pruned", new)
    before = after = 0
    done: dict[str, str] = {}
    for node in _lookups(editor):
        name = node.input[0]
        if name not in done:
            table = editor.value(name)
            if len(table) <= int(kept[-1]):
                raise UnsupportedModelError(f"table '{name}' has {len(table)} rows, the tokenizer ids to {kept[-1]}")
            done[name] = editor.constant(f"{name}.pruned", table[kept])
            before += table.nbytes
            after += table[kept].nbytes
        node.input[0] = done[name]
    if not done:
        raise UnsupportedModelError("the text tower looks up no stored table by token id; there is nothing to prune")
    editor.close()
    return before, after


def _flow(editor: Editor) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """Return the look-ups by id and the comparisons of ids; refuse anything else that reads ids."""
    ids = {editor.model.graph.input[0].name}
    lookups, comparisons = [], []
    for node in editor.nodes():
        read = [position for position, name in enumerate(node.input) if name in ids]
        if not read or node.op_type in _ENDS:
            continue
        if node.op_type == "Gather" and read == [1] and editor.is_constant(node.input[0]):
            if attribute(node, "axis", 0):
                raise UnsupportedModelError(f"node '{node.name}' looks up ids along another axis than the first")
            lookups.append(node)
        elif node.op_type == "Equal" and len(read) == 1 and editor.is_constant(node.input[1 - read[0]]):
            comparisons.append(node)
        elif node.op_type in _SAME and read == [0]:
            ids.update(node.output)
        else:
            raise UnsupportedModelError(
                f"node '{node.name}' ({node.op_type}) computes with token ids: they cannot be renumbered safely"
            )
    return lookups, comparisons


def _lookups(editor: Editor) -> list[onnx.NodeProto]:
    return _flow(editor)[0]


def _comparisons(editor: Editor) -> list[onnx.NodeProto]:
    return _flow(editor)[1]
