"""External data of an ONNX model: the sidecars it uses, and files on disk for engines that read nothing else."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_external

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.runtimes.onnx_external import External
    from edgekit.runtimes.protocol import Artifact, Blob

MODEL = "model.onnx"


def used(model: bytes, artifact: Artifact) -> list[str]:
    """Return the sidecars that a model refers to, having checked every reference.

    Args:
        model: a serialised ModelProto.
        artifact: the model and its sidecars.

    Returns:
        Names of sidecars, sorted.

    Raises:
        ExecutionError: the model is malformed, or points at anything but its sidecars.
    """
    used: set[str] = set()
    for reference in onnx_external.references(model, artifact.name):
        blob = artifact.sidecars.get(reference.location)
        if blob is None:
            raise ExecutionError(
                f"{artifact.name}: the model points at {reference.location!r}, which is not one of its files; "
                "it is not safe to open"
            )
        end = len(blob.view) if reference.length is None else reference.offset + reference.length
        if not 0 <= reference.offset <= end <= len(blob.view):
            raise ExecutionError(f"{artifact.name}: a tensor lies outside {reference.location}; convert it again")
        used.add(reference.location)
    return sorted(used)


def relocated(reference: External, blobs: Mapping[str, Blob]) -> External:
    """Return a reference into the file that holds its sidecar.

    Args:
        reference: into one of `blobs`.
        blobs: sidecars by name; one that is on disk is referred to by its file's name.

    Returns:
        The same bytes, found from the folder of that file.
    """
    blob = blobs[reference.location]
    length = len(blob.view) - reference.offset if reference.length is None else reference.length
    name = blob.path.name if blob.path is not None else reference.location
    return replace(reference, location=name, offset=blob.offset + reference.offset, length=length)


def lay_out(artifact: Artifact, folder: Path) -> Path:
    """Put a model and its sidecars into a folder, for an engine that reads nothing but files below the model's folder.

    A sidecar inside a bundle is linked where the folder is on the same file system, and copied elsewhere.

    Args:
        artifact: the model and its sidecars.
        folder: empty.

    Returns:
        The model's path.

    Raises:
        ExecutionError: the model is malformed, points at anything but its sidecars, or there is no room for a copy.
    """
    model = bytes(artifact.model.view)
    blobs = {name: artifact.sidecars[name] for name in used(model, artifact)}
    try:
        placed = {name: _placed(blob, folder / f"{i}.data") for i, (name, blob) in enumerate(blobs.items())}
        path = folder / MODEL
        path.write_bytes(onnx_external.rewrite(model, artifact.name, lambda one: relocated(one, placed)))
    except OSError as error:
        raise ExecutionError(f"{artifact.name}: no file for the engine can be written ({error}); free disk") from error
    return path


def _placed(blob: Blob, path: Path) -> Blob:
    if blob.path is not None:
        try:
            os.link(blob.path.resolve(), path)
            return replace(blob, path=path)
        except OSError:
            # Another file system, or one without links: copied from the file, which need not fit into memory.
            with blob.path.open("rb") as source, path.open("wb") as target:
                source.seek(blob.offset)
                shutil.copyfileobj(source, target)
                target.truncate(len(blob.view))
            return replace(blob, path=path, offset=0)
    path.write_bytes(blob.view)
    return replace(blob, path=path, offset=0)
