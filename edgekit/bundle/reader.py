"""Open a bundle: its manifest, and members whose digest was checked before a byte of them is used."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.bundle.manifest import SCHEMA_VERSION, Manifest
from edgekit.bundle.members import MANIFEST, Members, open_members
from edgekit.bundle.rules import check_manifest
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from edgekit.bundle.manifest import FileRecord, TextSpec

_CHUNK = 1 << 24
_MAX_MANIFEST = 1 << 24


class Bundle:
    """A bundle opened for reading. Nothing in it is executed, and nothing outside it is touched.

    Safe to share between threads.
    """

    def __init__(self, members: Members) -> None:
        """Read and check the manifest; members are checked when first read."""
        self._members = members
        self._checked: set[str] = set()
        self._lock = threading.Lock()
        if MANIFEST not in members.names():
            raise BundleError(f"{members.where}: has no {MANIFEST}; this is not an edgekit bundle")
        view = members.view(MANIFEST)
        where = f"{members.where}: {MANIFEST}"
        if len(view) > _MAX_MANIFEST:
            raise BundleError(f"{where}: has {len(view)} bytes, at most {_MAX_MANIFEST} are read; it is not safe")
        text = bytes(view)
        _check_version(text, where)
        self.manifest = schema.loads(Manifest, text, where)
        self.digest = hashlib.sha256(text).hexdigest()
        check_manifest(self.manifest, where)
        self._files = {record.path: record for record in self.manifest.files}
        _check_listing(set(self._files), set(members.names()) - {MANIFEST}, members.where)

    @property
    def where(self) -> str:
        """Name of the bundle, for messages: its path, or ``<bytes>``."""
        return self._members.where

    @property
    def text(self) -> TextSpec:
        """How a text becomes token ids; an `InputError` in a bundle without a text tower."""
        if self.manifest.text is None:
            raise InputError(
                f"{self.where}: has no text tower: its labels were frozen by 'edgekit specialize'; use those, or a "
                "bundle with the tower (specialize with --keep-text)"
            )
        return self.manifest.text

    def read(self, path: str) -> memoryview:
        """Return a member's bytes, mapped rather than copied where possible.

        Args:
            path: a member named by the manifest.

        Returns:
            Read-only bytes; valid as long as the bundle's file is not overwritten in place.

        Raises:
            BundleError: the member's size or SHA-256 is not the manifest's, or there is no such member.
        """
        record = self._record(path)
        view = self._members.view(path)
        with self._lock:
            checked = path in self._checked
        if len(view) != record.size:
            raise BundleError(f"{self.where}: {path}: has {len(view)} bytes, the manifest says {record.size}")
        if not checked:
            if sha256(view) != record.sha256:
                raise BundleError(f"{self.where}: {path}: the SHA-256 is not the manifest's; the file is damaged")
            self._members.release(path)
            with self._lock:
                self._checked.add(path)
        return view

    @property
    def checked(self) -> frozenset[str]:
        """Members whose digest was found right, by this object or by whoever called `trust`."""
        with self._lock:
            return frozenset(self._checked)

    def trust(self, paths: Iterable[str]) -> None:
        """Take the digests of some members for right, because their files are those of an earlier check."""
        with self._lock:
            self._checked.update(path for path in paths if path in self._files)

    def location(self, path: str) -> tuple[Path, int] | None:
        """Say where a member's bytes lie on disk.

        Args:
            path: a member named by the manifest.

        Returns:
            The file and the offset in it where they start; None when they are only in memory.

        Raises:
            BundleError: there is no such member.
        """
        self._record(path)
        return self._members.location(path)

    def verify(self) -> int:
        """Check the size and digest of every member.

        Returns:
            Number of members checked.

        Raises:
            BundleError: a member is damaged; the message names it.
        """
        for path in self._files:
            self.read(path)
        return len(self._files)

    def _record(self, path: str) -> FileRecord:
        record = self._files.get(path)
        if record is None:
            raise BundleError(f"{self.where}: the manifest lists no member {path!r}")
        return record


def open_bundle(source: str | os.PathLike[str] | bytes) -> Bundle:
    """Open a bundle for reading.

    Args:
        source: path of a ``.edge`` file or an unpacked bundle, or the bytes of a ``.edge`` file.

    Returns:
        The bundle, its manifest checked.

    Raises:
        BundleError: it is missing, damaged, malformed, unsafe, or of a newer schema.
    """
    return Bundle(open_members(source))


def sha256(data: memoryview | bytes) -> str:
    """Return the lower-case hexadecimal SHA-256 of `data`."""
    digest = hashlib.sha256()
    view = memoryview(data)
    for start in range(0, len(view), _CHUNK):
        digest.update(view[start : start + _CHUNK])
    return digest.hexdigest()


def _check_version(text: bytes, where: str) -> None:
    # Before the strict parse, so that a newer bundle is told apart from a damaged one.
    plain = schema.parse(text, where)
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{where}: schema_version is {version}, this edgekit reads up to {SCHEMA_VERSION}; upgrade edgekit"
        )


def _check_listing(listed: set[str], present: set[str], where: str) -> None:
    missing, extra = sorted(listed - present), sorted(present - listed)
    if missing:
        raise BundleError(f"{where}: {missing[0]} is missing; the bundle is incomplete, copy it again")
    if extra:
        raise BundleError(f"{where}: {extra[0]} is not listed in the manifest; the bundle is not safe")
