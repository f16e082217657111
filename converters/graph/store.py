"""Write a model with its weights in one file beside it, and read it back without following a path outside."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, numpy_helper

from edgekit.converters.graph import walk
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from typing import BinaryIO

INLINE_BYTES = 1024
"""Initializers smaller than this stay in the graph file: shapes and scalars belong with the nodes."""

_PAGE = 4096
_CACHE_LINE = 64
_PAGE_ALIGNED_BYTES = 64 * 1024


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` to `path` and its weights to ``<path name>.data`` beside it.

    Weights are stored in the order of the graph's initializers, little-endian, tensors of 64 KiB and more at
    offsets that are a multiple of 4096 (so that a runtime can map them), smaller ones at a multiple of 64. The
    same model always gives the same bytes. Neither file is limited to 2 GB of weights: only the graph itself
    passes through protobuf. Both files are written under a temporary name and renamed, the graph last. Where no
    initializer reaches 1 KiB there is no data file.

    Args:
        model: the model, weights in memory. On return the weights have moved out of it: use the file.
        path: where the graph goes; the folder exists.

    Raises:
        OSError: the disk is full or the folder cannot be written; temporary files are removed.
    """
    data = path.with_name(f"{path.name}.data")
    parts = (data.with_name(f"{data.name}.part"), path.with_name(f"{path.name}.part"))
    try:
        with parts[0].open("wb") as file:
            stored = sum(_move_out(tensor, file, data.name) for tensor in model.graph.initializer)
            _flush(file)
        with parts[1].open("wb") as file:
            file.write(model.SerializeToString(deterministic=True))
            _flush(file)
        data.unlink(missing_ok=True)
        if stored:
            parts[0].replace(data)
        parts[1].replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def load(path: Path) -> onnx.ModelProto:
    """Read a model with all its weights in memory.

    Args:
        path: the graph file.

    Returns:
        The model, without external data.

    Raises:
        ConversionError: the file is no ONNX graph, a weight file is missing, or a tensor points outside the
            folder of `path`.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ConversionError(f"{path}: not a readable ONNX graph ({error})") from error
    for name, tensor in walk.constants(model):
        if onnx.external_data_helper.uses_external_data(tensor):
            _read_in(name, tensor, path)
    return model


def external_location(tensor: TensorProto) -> str | None:
    """Return the relative path that holds the tensor's values, or None when they are in the graph file."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def is_inside(location: str) -> bool:
    """Tell whether a location names a file in the graph's own folder or below, whatever the platform."""
    path = PurePosixPath(location.replace("\\", "/"))
    return bool(location) and not path.is_absolute() and ".." not in path.parts and ":" not in location


def _move_out(tensor: TensorProto, file: BinaryIO, location: str) -> int:
    raw = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
    if len(raw) < INLINE_BYTES:
        return 0
    alignment = _PAGE if len(raw) >= _PAGE_ALIGNED_BYTES else _CACHE_LINE
    file.write(b"\0" * (-file.tell() % alignment))
    offset = file.tell()
    file.write(raw)
    shape, data_type, name = tuple(tensor.dims), tensor.data_type, tensor.name
    tensor.Clear()
    tensor.name, tensor.data_type = name, data_type
    tensor.dims.extend(shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(len(raw)))):
        tensor.external_data.add(key=key, value=value)
    return 1


def _read_in(name: str, tensor: TensorProto, path: Path) -> None:
    location = external_location(tensor) or ""
    if not is_inside(location):
        raise ConversionError(f"{path}: tensor '{name}' points outside its folder: '{location}'")
    try:
        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    except Exception as error:
        raise ConversionError(f"{path}: weights of '{name}' in '{location}' cannot be read ({error})") from error
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
