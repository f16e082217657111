"""Where each file lies in a tar archive, without extracting anything, and whether the archive is whole."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 512
_CHUNK = 1 << 20
_COMPRESSED = {b"\x1f\x8b": "gzip -d", b"BZh": "bzip2 -d", b"\xfd7zXZ": "xz -d", b"\x28\xb5\x2f\xfd": "zstd -d"}


@dataclass(frozen=True)
class Member:
    """A regular file in an archive: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


def refuse_compressed(path: Path) -> None:
    """Refuse a compressed archive: its members cannot be read in place.

    Args:
        path: any file.

    Raises:
        InputError: it is compressed, or cannot be read; the message gives the command that unpacks it.
    """
    start = read_at(path, 0, 8)
    tool = next((tool for magic, tool in _COMPRESSED.items() if start.startswith(magic)), None)
    if tool is not None:
        raise InputError(f"{path}: is compressed; images are read in place, so unpack the archive first: {tool} {path}")


def index(path: Path) -> list[Member]:
    """List the regular files of an uncompressed tar archive.

    Args:
        path: the archive.

    Returns:
        Its files in order; folders and links are left out.

    Raises:
        InputError: it is compressed, damaged, truncated, or has data after its end.
    """
    refuse_compressed(path)
    try:
        with tarfile.open(path, "r:") as archive:
            infos = list(archive)
        total = path.stat().st_size
    # ValueError: a header gives a size that no file has.
    except (tarfile.TarError, ValueError) as error:
        raise InputError(f"{path}: is no whole tar archive: {error}; copy it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    end = 0
    for info in infos:
        if info.issparse():
            raise InputError(f"{path}: {info.name}: is stored sparsely; write the archive without --sparse")
        end = max(end, info.offset_data + (-(-info.size // _BLOCK) * _BLOCK if info.isreg() else 0))
    _check_end(path, end, total)
    return [Member(info.name, info.offset_data, info.size) for info in infos if info.isreg()]


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read bytes of a file.

    Args:
        path: the file.
        offset: of the first byte.
        size: number of bytes.

    Returns:
        The bytes; fewer where the file ends before.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _check_end(path: Path, end: int, total: int) -> None:
    """Check that only zeros follow the last member, and a block of them at least.

    Python's reader takes an archive that was cut between two members, or that has a damaged header, for a shorter one.
    """
    if total - end < _BLOCK:
        raise InputError(f"{path}: the archive is truncated: its end mark is missing; copy it again")
    while chunk := read_at(path, end, _CHUNK):
        if chunk.count(0) != len(chunk):
            raise InputError(
                f"{path}: has data after byte {end} that belongs to no member: a damaged header, or another archive"
                " joined on; copy it again, or name the archives apart"
            )
        end += len(chunk)
