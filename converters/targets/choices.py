"""Write a choice between two constants as arithmetic, for compilers that take no Where on a computed condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph.simplify import drop_unused

if TYPE_CHECKING:
    import onnx


def spell_choices_out(model: onnx.ModelProto) -> int:
    """Replace every Where between two stored values by ``condition * (yes - no) + no``, in place; return how many.

    The QNN provider leaves a Where to the host whose condition is computed from the token ids, as a sentence tower's
    attention mask is. A mask's two values are both exact in any number of bits: they are the ends of its range.

    Args:
        model: static, weights in memory; masks bounded, see `rewrites.bound_masks`.

    Returns:
        How many were replaced. Left as it is: a Where that chooses between computed tensors, or between values that are
        not finite or too far apart for float32.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = 0
    for node in [one for one in model.graph.node if one.op_type == "Where"]:
        if not all(name in stored and stored[name].data_type == TensorProto.FLOAT for name in node.input[1:]):
            continue
        yes, no = (numpy_helper.to_array(stored[name]) for name in node.input[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            apart = yes - no
        # Zero times infinity is no number.
        if not (np.isfinite(apart).all() and np.isfinite(no).all()):
            continue
        _replace(model, node, apart, no)
        changed += 1
    drop_unused(model)
    return changed


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, factor: object, term: object) -> None:
    out, label = node.output[0], node.name or node.output[0]
    number, scaled = f"{out}.number", f"{out}.scaled"
    for name, values in ((f"{out}.factor", factor), (f"{out}.term", term)):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    parts = (
        helper.make_node("Cast", [node.input[0]], [number], f"{label}/number", to=TensorProto.FLOAT),
        helper.make_node("Mul", [number, f"{out}.factor"], [scaled], f"{label}/scaled"),
        helper.make_node("Add", [scaled, f"{out}.term"], [out], f"{label}/chosen"),
    )
    place = [one.output[0] for one in model.graph.node].index(out)
    model.graph.node.remove(node)
    for offset, part in enumerate(parts):
        model.graph.node.insert(place + offset, part)
