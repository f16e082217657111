"""Write a static float graph as the TensorRT of a JetPack reads it, and refuse by name what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph.simplify import drop_unused, set_nodes, strip_metadata
from edgekit.converters.targets import half, operators
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.converters.targets.jetson_chips import JetsonChip, Widened

# The intermediate representation that came with each operator set (ONNX's versioning document).
_IR = {13: 7, 17: 8}


def fit(model: onnx.ModelProto, chip: JetsonChip, tower: str) -> dict[str, int]:
    """Rewrite a graph for a chip, in place.

    Args:
        model: static and float32, operator set 17 or less, weights in memory.
        chip: for which.
        tower: for messages.

    Returns:
        What was changed, and how often.

    Raises:
        UnsupportedModelError: a node that the chip's TensorRT has no form of; the message names it.
    """
    changed = {
        "LayerNormalization spelled out": 0 if chip.layer_norm else spell_norms_out(model),
        "inputs of another type": widen(model, chip.widened),
    }
    strip_metadata(model)
    declare(model, chip.opset)
    check(model, chip, tower)
    return changed


def check(model: onnx.ModelProto, chip: JetsonChip, tower: str) -> None:
    """Refuse what the chip's TensorRT does not read.

    Args:
        model: as it will be packed; its weights may be outside.
        chip: for which.
        tower: for messages.

    Raises:
        UnsupportedModelError: the message names the node, the reason and what to do.
    """
    table = operators.read(chip.table)
    operators.check(model, table, tower)
    for node in model.graph.node:
        reason = ""
        if node.op_type not in table.proven:
            reason = f"NVIDIA's table of operators for {table.tool} does not list it"
        elif not onnx.defs.has(node.op_type) or _since(node.op_type, chip.opset) is None:
            reason = f"operator set {chip.opset} does not have it"
        if reason:
            raise UnsupportedModelError(
                f"the {tower} tower's node '{node.name or node.output[0]}' ({node.op_type}) cannot be compiled for "
                f"{chip.name}: {reason}. Compile for a chip with a newer TensorRT, or convert another model"
            )
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        readers = {node.op_type for node in model.graph.node if value.name in node.input}
        if kind == TensorProto.UINT8 and readers != {"Cast"}:
            raise UnsupportedModelError(
                f"the {tower} tower's input '{value.name}' is uint8 and read by {', '.join(sorted(readers))}: TensorRT "
                "takes uint8 inputs only where a Cast reads them; convert the bundle again"
            )


def spell_norms_out(model: onnx.ModelProto) -> int:
    """Replace every LayerNormalization by means, squares and a root, in place; return how many.

    ``(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon) * scale + bias``, as ONNX defines it.

    Args:
        model: static, operator set 13 to 17, weights in memory.

    Returns:
        How many were replaced.

    Raises:
        UnsupportedModelError: one whose mean or deviation is read by another node.
    """
    ranks = _ranks(model)
    nodes: list[onnx.NodeProto] = []
    found = 0
    for node in model.graph.node:
        if node.op_type != "LayerNormalization":
            nodes.append(node)
            continue
        if len([name for name in node.output if name]) > 1:
            raise UnsupportedModelError(f"node '{node.name}': its mean is read by another node; convert again")
        nodes += _spelled(model, node, ranks)
        found += 1
    set_nodes(model.graph, nodes)
    return found


def widen(model: onnx.ModelProto, rules: Sequence[Widened]) -> int:
    """Convert inputs of operators to a type that the chip takes, in place; return how many.

    Args:
        model: weights in memory or not.
        rules: which operators, from which type to which.

    Returns:
        How many nodes were changed.
    """
    types = half.types_of(model)
    wanted = {(rule.op, int(TensorProto.DataType.Value(rule.given))): rule.taken for rule in rules}
    changed = 0
    for place in range(len(model.graph.node) - 1, -1, -1):
        node = model.graph.node[place]
        taken = wanted.get((node.op_type, types.get(node.input[0], 0) if node.input else 0))
        if taken is None:
            continue
        given, out = node.input[0], node.output[0]
        inside = f"{out}.{taken.lower()}"
        node.input[0] = inside
        if types.get(out) == types[given]:
            node.output[0] = f"{out}.wide"
            back = helper.make_node("Cast", [f"{out}.wide"], [out], f"{out}/back", to=types[given])
            model.graph.node.insert(place + 1, back)
        number = int(TensorProto.DataType.Value(taken))
        model.graph.node.insert(place, helper.make_node("Cast", [given], [inside], f"{out}/widened", to=number))
        changed += 1
    return changed


def _spelled(model: onnx.ModelProto, node: onnx.NodeProto, ranks: dict[str, int]) -> list[onnx.NodeProto]:
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    axis = int(given.get("axis", -1))
    rank = ranks[node.input[0]]
    axes = list(range(axis - rank if axis >= 0 else axis, 0))
    out = node.output[0]
    name = {part: f"{out}.{part}" for part in ("mean", "centred", "squares", "variance", "safe", "deviation", "unit")}
    epsilon = f"{out}.epsilon"
    value = np.array(given.get("epsilon", 1e-5), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(value, epsilon))
    bias = node.input[2] if len(node.input) > 2 else ""
    scaled = f"{out}.scaled" if bias else out
    steps = [
        ("ReduceMean", [node.input[0]], name["mean"]),
        ("Sub", [node.input[0], name["mean"]], name["centred"]),
        ("Mul", [name["centred"], name["centred"]], name["squares"]),
        ("ReduceMean", [name["squares"]], name["variance"]),
        ("Add", [name["variance"], epsilon], name["safe"]),
        ("Sqrt", [name["safe"]], name["deviation"]),
        ("Div", [name["centred"], name["deviation"]], name["unit"]),
        ("Mul", [name["unit"], node.input[1]], scaled),
    ]
    if bias:
        steps.append(("Add", [scaled, bias], out))
    made = []
    for op, read, written in steps:
        step = helper.make_node(op, read, [written], f"{node.name or out}/{written.removeprefix(out).strip('.')}")
        if op == "ReduceMean":
            step.attribute.extend([helper.make_attribute("axes", axes), helper.make_attribute("keepdims", 1)])
        made.append(step)
    return made


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def declare(model: onnx.ModelProto, opset: int) -> None:
    """Say which operator set is used, alone, in place: ONNX Runtime leaves the names of all that it knows.

    Args:
        model: whose operators mean the same in the set that it names now.
        opset: 13 or 17.

    Raises:
        UnsupportedModelError: a node has an attribute that says something, and that the set does not know.
    """
    used = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    for node in model.graph.node:
        _drop_young_attributes(node, opset)
    made = [helper.make_opsetid("", opset), *(helper.make_opsetid(entry.domain, entry.version) for entry in kept)]
    del model.opset_import[:]
    model.opset_import.extend(made)
    model.ir_version = _IR[opset]
    model.producer_name = "edgekit"
    model.producer_version = ""
    drop_unused(model)


def _drop_young_attributes(node: onnx.NodeProto, opset: int) -> None:
    """Remove attributes that the operator set does not know, where they say what it does anyway: nothing."""
    if node.domain not in ("", "ai.onnx") or _since(node.op_type, opset) is None:
        return
    known = onnx.defs.get_schema(node.op_type, opset, "").attributes
    for attribute in [one for one in node.attribute if one.name not in known]:
        if helper.get_attribute_value(attribute):
            raise UnsupportedModelError(
                f"node '{node.name or node.output[0]}' ({node.op_type}): operator set {opset} has no {attribute.name}; "
                "compile for a chip with a newer TensorRT"
            )
        node.attribute.remove(attribute)


def _since(op: str, opset: int) -> int | None:
    """Return the version of an operator that a set has; None where it is younger."""
    try:
        return int(onnx.defs.get_schema(op, opset, "").since_version)
    except Exception:  # onnx raises a type of its own binding
        return None
