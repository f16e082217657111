"""Check that a graph keeps the contract between converters and runtimes, without running it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgekit.converters.graph import store, walk
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.manifest import TensorSpec

OPSET = 17
_FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}


def check_file(path: Path) -> None:
    """Run ONNX's own checker on a graph file with its weights beside it, of any size.

    Args:
        path: the graph file.

    Raises:
        ConversionError: the checker refuses the file; the message is the checker's.
    """
    try:
        onnx.checker.check_model(str(path), full_check=False)
    except Exception as error:
        raise ConversionError(f"{path.name}: refused by onnx.checker: {error}") from error


def check_contract(model: onnx.ModelProto, given: TensorSpec, taken: TensorSpec) -> None:
    """Check names, types, shapes, operator sets and constants against the graph contract.

    Args:
        model: the graph; weights may be in memory or outside (then their values are not looked at).
        given: the only input the graph may have; named dimensions stand for free ones.
        taken: the only output the graph may have.

    Raises:
        ConversionError: the first departure, named with the tensor, node or operator concerned.
    """
    _check_opsets(model)
    _check_interface("input", list(model.graph.input), given)
    _check_interface("output", list(model.graph.output), taken)
    for name, tensor in walk.constants(model):
        _check_constant(name, tensor)
    for node in walk.nodes(model):
        for attribute in node.attribute:
            if not all(math.isfinite(value) for value in (attribute.f, *attribute.floats)):
                raise ConversionError(f"node '{node.name}' ({node.op_type}) has a non-finite '{attribute.name}'")


def _check_opsets(model: onnx.ModelProto) -> None:
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if versions.get("ai.onnx") != OPSET:
        raise ConversionError(f"the graph uses opset {versions.get('ai.onnx')}, the contract is opset {OPSET}")
    for node in walk.nodes(model):
        if node.domain not in ("", "ai.onnx"):
            raise ConversionError(
                f"node '{node.name}' uses {node.domain}::{node.op_type}, which is not a standard ONNX operator"
            )


def _check_interface(kind: str, values: list[onnx.ValueInfoProto], spec: TensorSpec) -> None:
    if [value.name for value in values] != [spec.name]:
        raise ConversionError(f"graph {kind}s are {[value.name for value in values]}, the contract is ['{spec.name}']")
    tensor = values[0].type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    if dtype != spec.dtype:
        raise ConversionError(f"graph {kind} '{spec.name}' is {dtype}, the contract is {spec.dtype}")
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim)
    if len(shape) != len(spec.shape) or any(
        wanted != found for wanted, found in zip(spec.shape, shape, strict=True) if isinstance(wanted, int)
    ):
        raise ConversionError(f"graph {kind} '{spec.name}' has shape {shape}, the contract is {spec.shape}")
    for wanted, found in zip(spec.shape, shape, strict=True):
        if isinstance(wanted, str) and isinstance(found, int):
            raise ConversionError(
                f"graph {kind} '{spec.name}' has a fixed length {found} where '{wanted}' must be free"
            )


def _check_constant(name: str, tensor: TensorProto) -> None:
    location = store.external_location(tensor)
    if location is not None:
        if not store.is_inside(location):
            raise ConversionError(f"tensor '{name}' points outside its folder: '{location}'")
        return
    if tensor.data_type in _FLOATS and not np.isfinite(numpy_helper.to_array(tensor)).all():
        raise ConversionError(f"constant '{name}' holds infinity or NaN, which does not survive float16 or int8")
