"""Bring a foreign graph to the contract's opset, or say which operator stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import defs, inliner, version_converter

from edgekit.converters.graph import checks, walk
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

# The version converter passes the whole model through one protobuf message, whose limit is 2 GiB.
_MESSAGE_LIMIT = 2**31 - 2**20


def to_contract(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return the model at opset 17 with its local functions inlined.

    Where every operator in use means the same at both opsets, only the number changes; otherwise ONNX's own
    version converter is asked.

    Args:
        model: the graph, weights in memory.
        path: its file, for messages.

    Returns:
        A model at opset 17; the one given, changed in place, where that is enough.

    Raises:
        UnsupportedModelError: an operator has no form at opset 17, or the operator set is unknown.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if version is None:
        raise UnsupportedModelError(f"{path}: the graph imports no standard operator set")
    if version == checks.OPSET:
        return model
    changed = _changed_operator(model, version, path)
    if changed is None:
        for entry in model.opset_import:
            if entry.domain in ("", "ai.onnx"):
                entry.version = checks.OPSET
        return model
    reason = f"{path}: node '{changed.name}' ({changed.op_type}) of opset {version} has no form at opset {checks.OPSET}"
    if model.ByteSize() > _MESSAGE_LIMIT:
        raise UnsupportedModelError(f"{reason} and the graph is too large to be converted; export it at opset 17")
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, checks.OPSET)
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedModelError(f"{reason} ({line}); export it at opset 17") from error
    return converted


def _changed_operator(model: onnx.ModelProto, version: int, path: Path) -> onnx.NodeProto | None:
    """The first node whose operator was redefined between the two opsets, or None."""
    for node in walk.nodes(model):
        if node.domain not in ("", "ai.onnx"):
            continue
        try:
            own = defs.get_schema(node.op_type, version, "").since_version
        except defs.SchemaError as error:
            raise UnsupportedModelError(
                f"{path}: node '{node.name}' uses {node.op_type}, unknown to the installed onnx at opset {version}"
            ) from error
        try:
            contract = defs.get_schema(node.op_type, checks.OPSET, "").since_version
        except defs.SchemaError:
            return node
        if own != contract:
            return node
    return None
