"""Where a bundle's members live: one zip file, the same tree as a folder, or bytes in memory."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Protocol

from edgekit.bundle import directory
from edgekit.bundle.container import Member, check_name
from edgekit.errors import BundleError

MANIFEST = "manifest.json"


class Members(Protocol):
    """Read access to members by name."""

    @property
    def where(self) -> str:
        """Name of the bundle, for messages."""

    def names(self) -> tuple[str, ...]:
        """Return every member's name."""

    def view(self, name: str) -> memoryview:
        """Return a member's bytes; mapped from the file where possible, not copied."""

    def location(self, name: str) -> tuple[Path, int] | None:
        """Return the file that holds a member's bytes and the offset where they start; None when in memory only."""

    def release(self, name: str) -> None:
        """Let the system drop a mapped member's pages from memory; the next use of its view reads them again."""


class ZipMembers:
    """Members of one zip, given as its bytes, or a map of the file at `path`."""

    def __init__(self, data: bytes | mmap.mmap, path: Path | None) -> None:
        self._map = data if isinstance(data, mmap.mmap) else None
        self._data = memoryview(data)
        self._path = path
        self._where = where = "<bytes>" if path is None else str(path)
        self._members: dict[str, Member] = directory.members(self._data, where)
        if MANIFEST in self._members:
            directory.check_crc(self._data, self._members[MANIFEST], where)

    @property
    def where(self) -> str:
        """Name of the bundle, for messages."""
        return self._where

    def names(self) -> tuple[str, ...]:
        """Return every member's name."""
        return tuple(self._members)

    def view(self, name: str) -> memoryview:
        """Return a member's bytes as a view of the file."""
        member = self._members[name]
        return self._data[member.start : member.start + member.size]

    def location(self, name: str) -> tuple[Path, int] | None:
        """Return the bundle's file and the member's offset in it."""
        return None if self._path is None else (self._path.absolute(), self._members[name].start)

    def release(self, name: str) -> None:
        """Drop the member's pages from memory."""
        if self._map is not None:
            member = self._members[name]
            first = member.start - member.start % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, first, member.start + member.size - first)


class FolderMembers:
    """Members of an unpacked bundle."""

    def __init__(self, folder: Path) -> None:
        if not (folder / MANIFEST).is_file():
            raise BundleError(f"{folder}: has no {MANIFEST}; this is not an edgekit bundle")
        self._folder = folder
        self._names = tuple(_walk(folder))

    @property
    def where(self) -> str:
        """Name of the bundle, for messages."""
        return str(self._folder)

    def names(self) -> tuple[str, ...]:
        """Return every member's name."""
        return self._names

    def view(self, name: str) -> memoryview:
        """Return a member's bytes as a map of its file."""
        return mapped(self._folder / name)

    def location(self, name: str) -> tuple[Path, int]:
        """Return the member's own file."""
        return (self._folder / name).absolute(), 0

    def release(self, name: str) -> None:
        """Nothing to do: each view is a map of its own and goes with it."""


def open_members(source: str | os.PathLike[str] | bytes) -> Members:
    """Open a bundle's container.

    Args:
        source: path of a ``.edge`` file or of an unpacked bundle, or the bytes of a ``.edge`` file.

    Returns:
        Access to its members.

    Raises:
        BundleError: it does not exist, cannot be read, or is not a bundle.
    """
    if isinstance(source, bytes):
        return ZipMembers(source, None)
    path = Path(source)
    try:
        folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        folder = False  # opening it as a file gives the reason
    return FolderMembers(path) if folder else ZipMembers(_mapped(path), path)


def mapped(path: Path) -> memoryview:
    """Map a file.

    Args:
        path: an ordinary file.

    Returns:
        Its bytes, read when they are used.

    Raises:
        BundleError: it does not exist, cannot be read, or is no ordinary file.
    """
    return memoryview(_mapped(path))


def _walk(folder: Path) -> list[str]:
    names: list[str] = []
    seen: set[str] = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise BundleError(f"{folder}: {name} is a symbolic link or no ordinary file; the bundle is not safe")
        check_name(name, seen, str(folder))
        names.append(name)
    return names


def _mapped(path: Path) -> bytes | mmap.mmap:
    try:
        # O_NONBLOCK, so that a pipe given by mistake is refused below instead of waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such bundle; give the path of a .edge file, or the name 'starter'") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BundleError(f"{str(path)!r}: is no path: {error}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path}: is no ordinary file; give the path of a .edge file")
        # An empty file cannot be mapped.
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ) if status.st_size else b""
    finally:
        os.close(handle)
