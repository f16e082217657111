"""Tell ONNX Runtime where a model's external data lies: in a file, in memory, or, for old releases, in a copy."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_external, onnx_sidecars

if TYPE_CHECKING:
    from contextlib import ExitStack

    from edgekit.runtimes.protocol import Artifact, Blob

_FOLDER = "session.model_external_initializers_file_folder_path"


def attach(options: Any, artifact: Artifact, scratch: ExitStack) -> bytes:
    """Set up a session's options so that it finds the external data of a model, and nothing but that.

    Args:
        options: an `onnxruntime.SessionOptions`, changed in place.
        artifact: the model and its sidecars.
        scratch: holds what must exist until the session is open.

    Returns:
        The model to open.

    Raises:
        ExecutionError: the model is malformed, or points at anything but its sidecars.
    """
    model = bytes(artifact.model.view)
    blobs = {name: _resolved(artifact.sidecars[name]) for name in onnx_sidecars.used(model, artifact)}
    if not blobs:
        return model
    folder = _common_folder(list(blobs.values()))
    if folder is None and hasattr(options, "add_external_initializers_from_files_in_memory"):
        views = [blob.view for blob in blobs.values()]
        options.add_external_initializers_from_files_in_memory(list(blobs), views, [len(view) for view in views])
        return model
    if folder is None:
        # onnxruntime before 1.24 reads files only.
        folder = _temporary(artifact.name, scratch)
        blobs = {name: _copied(blob, Path(folder) / f"{i}.data") for i, (name, blob) in enumerate(blobs.items())}
    # By path onnxruntime reads each tensor straight from the file, which halves the peak memory.
    options.add_session_config_entry(_FOLDER, folder)
    return onnx_external.rewrite(model, artifact.name, lambda reference: onnx_sidecars.relocated(reference, blobs))


def _resolved(blob: Blob) -> Blob:
    # onnxruntime refuses a file that is a symbolic link to another folder, as package managers and caches make them.
    return blob if blob.path is None else replace(blob, path=blob.path.resolve())


def _common_folder(blobs: list[Blob]) -> str | None:
    """Return the folder of every blob's file; None when there is not one, or it cannot be told to onnxruntime."""
    paths = [blob.path for blob in blobs if blob.path is not None]
    folders = {str(path.parent) for path in paths}
    if len(paths) != len(blobs) or len(folders) != 1:
        return None
    try:
        "".join(map(str, paths)).encode()
    except UnicodeEncodeError:
        return None
    return folders.pop()


def _temporary(name: str, scratch: ExitStack) -> str:
    try:
        return scratch.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-"))
    except OSError as error:
        raise ExecutionError(
            f"{name}: this onnxruntime reads weights from files only, and no temporary one can be made ({error}); load "
            "the bundle by its path, or use onnxruntime 1.24 or newer"
        ) from error


def _copied(blob: Blob, path: Path) -> Blob:
    path.write_bytes(blob.view)
    return replace(blob, path=path, offset=0)
