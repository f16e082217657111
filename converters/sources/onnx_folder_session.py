"""Opening a foreign ONNX graph with care: nothing outside its folder is read, and a fixed batch is served in pieces."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edgekit.converters.export import first_line
from edgekit.converters.graph import store, walk
from edgekit.errors import ConversionError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt


def session(path: Path) -> Any:
    """Open a graph in ONNX Runtime on the CPU; the two opened last are kept while their files stay unchanged.

    Args:
        path: the graph.

    Returns:
        The ``onnxruntime.InferenceSession``.

    Raises:
        InputError: it is no ONNX graph, a weight file is missing, or a tensor points outside its folder.
    """
    _refuse_outside(path)
    state = path.stat()
    return _opened(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _opened(path: Path, modified_ns: int, size: int) -> Any:
    import onnxruntime

    del modified_ns, size  # part of the key: a file written again is opened again
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{path}: ONNX Runtime cannot open it: {first_line(error)}") from error


def run(
    opened: Any, path: Path, output: str, feeds: Mapping[str, npt.NDArray[np.generic]], fixed: int
) -> npt.NDArray[np.float32]:
    """Run a batch, in pieces where the graph fixes the batch.

    Args:
        opened: what `session` gives.
        path: its file, for messages.
        output: name of the output wanted.
        feeds: value of each input, first axis N.
        fixed: N where the graph fixes it, else 0.

    Returns:
        (N, D) float32 unit rows.

    Raises:
        UnsupportedModelError: the graph does not run on such inputs.
    """
    rows = len(next(iter(feeds.values())))
    step = fixed or max(rows, 1)
    parts = []
    for start in range(0, max(rows, 1), step):
        part = {key: value[start : start + step] for key, value in feeds.items()}
        missing = step - len(next(iter(part.values()))) if fixed else 0
        padded = {key: np.concatenate([value, np.repeat(value[-1:], missing, axis=0)]) for key, value in part.items()}
        try:
            parts.append(opened.run([output], padded)[0])
        except Exception as error:
            shapes = ", ".join(f"'{name}' {list(value.shape)}" for name, value in padded.items())
            raise UnsupportedModelError(f"{path}: fails on {shapes}: {first_line(error)}") from error
    features = np.concatenate(parts)[:rows].astype(np.float32)
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = features / np.maximum(norms, np.float32(1e-12))
    return unit


def read(path: Path) -> onnx.ModelProto:
    """Read a graph with its weights in memory, following no path out of its folder.

    Args:
        path: the graph.

    Returns:
        The model.

    Raises:
        InputError: it is no ONNX graph, a weight file is missing, or a tensor points outside the folder.
    """
    try:
        return store.load(path)
    except ConversionError as error:
        raise InputError(str(error)) from error


def digest(paths: Iterable[Path]) -> str:
    """Return the hexadecimal SHA-256 over the weights of some graphs: names, types, shapes and values.

    Args:
        paths: the graphs, in order.

    Returns:
        64 digits. Some exporters store weights as constants in nodes: those count as well as initializers.

    Raises:
        InputError: as for `read`.
    """
    total = hashlib.sha256()
    for path in paths:
        for name, tensor in sorted(walk.constants(read(path)), key=lambda stored: stored[0]):
            total.update(f"{name}|{tensor.data_type}|{','.join(map(str, tensor.dims))}\n".encode())
            total.update(tensor.raw_data or onnx.numpy_helper.to_array(tensor).tobytes())
    return total.hexdigest()


def _refuse_outside(path: Path) -> None:
    """Look at every tensor's location before any engine follows one."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise InputError(f"{path}: not a readable ONNX graph ({first_line(error)})") from error
    for name, tensor in walk.constants(model):
        location = store.external_location(tensor)
        if location is None:
            continue
        if not store.is_inside(location):
            raise InputError(f"{path}: tensor '{name}' points outside its folder: '{location}'")
        if not (path.parent / location).is_file():
            raise InputError(f"{path}: missing {path.parent / location}, which holds the weights of '{name}'")
