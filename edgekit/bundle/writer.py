"""Write a bundle: digest every file of a folder, complete the manifest, pack all of it atomically."""

from __future__ import annotations

import hashlib
import io
import mmap
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from edgekit.atomic import atomic_file
from edgekit.bundle import schema
from edgekit.bundle.container import write
from edgekit.bundle.manifest import FileRecord, Manifest
from edgekit.bundle.members import MANIFEST, ZipMembers
from edgekit.bundle.reader import Bundle
from edgekit.bundle.rules import check_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_bundle(path: Path, manifest: Manifest, folder: Path) -> Manifest:
    """Pack the files of `folder` and a manifest into one bundle.

    Args:
        path: the ``.edge`` file to create or replace; it appears whole or not at all.
        manifest: complete but for ``files``, which is filled in here.
        folder: holds every member under its path in the bundle; it may hold no manifest.

    Returns:
        The manifest as written.

    Raises:
        BundleError: the manifest's values or references are wrong; `path` is left as it was.
        InputError: `path` cannot be written.
        OSError: the disk is full or failed; nothing is left behind.
    """
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    complete = replace(manifest, files=tuple(_record(folder, name) for name in names))
    text = schema.dumps(complete)
    check_manifest(schema.loads(Manifest, text, MANIFEST), MANIFEST)
    with atomic_file(path) as stream:
        write(stream, _members(text, complete, folder))
        stream.flush()
        # Whatever a reader would refuse must not replace what stood there before.
        written = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        Bundle(ZipMembers(written, path)).verify()
    return complete


def _members(text: str, manifest: Manifest, folder: Path) -> Iterator[tuple[str, BinaryIO]]:
    yield MANIFEST, io.BytesIO(text.encode())
    for record in manifest.files:
        with (folder / record.path).open("rb") as stream:
            yield record.path, stream


def _record(folder: Path, name: str) -> FileRecord:
    digest = hashlib.sha256()
    path = folder / name
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return FileRecord(name, path.stat().st_size, digest.hexdigest())
