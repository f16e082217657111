"""The zip that a bundle is: stored members, data aligned for mapping, every structural byte determined.

A bundle must notice one flipped byte anywhere. Members are covered by the manifest's SHA-256 and the manifest by
the zip's CRC-32; what remains are the zip's own headers. Here they follow from the names, sizes and CRCs alone, so
a reader builds them again and compares. Any zip tool can open the result; only `write` can make it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from edgekit.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALIGNMENT = 64
_CHUNK = 1 << 20
_MAX_NAME = 255
_MAX32 = 0xFFFFFFFF
_PAD_ID = 0xEDE0  # private header id of the padding field; readers skip ids they do not know
_DATE, _MODE = 0x21, 0o100644 << 16  # 1980-01-01; a regular file
_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_END64, _LOCATOR64 = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")


@dataclass(frozen=True)
class Member:
    """A member's name, CRC-32, size in bytes and the offset of its local header in the file."""

    name: str
    crc: int
    size: int
    header: int

    @property
    def local_header(self) -> bytes:
        """The bytes before the data: local header, name, zip64 sizes, padding up to `ALIGNMENT`."""
        name = self.name.encode()
        extra = _zip64(self.size, self.size) if self.size >= _MAX32 else b""
        short = min(self.size, _MAX32)
        length = -(self.header + _LOCAL.size + len(name) + len(extra) + 4) % ALIGNMENT
        extra += struct.pack("<2H", _PAD_ID, length) + bytes(length)
        fields = (45 if self.size >= _MAX32 else 20, 0x800, 0, 0, _DATE, self.crc, short, short, len(name), len(extra))
        return _LOCAL.pack(b"PK\3\4", *fields) + name + extra

    @property
    def start(self) -> int:
        """Offset of the data; a multiple of `ALIGNMENT`."""
        return self.header + len(self.local_header)

    @property
    def central_header(self) -> bytes:
        """This member's record in the central directory."""
        name = self.name.encode()
        large = [value for value in (self.size, self.size, self.header) if value >= _MAX32]
        extra = _zip64(*large) if large else b""
        short = min(self.size, _MAX32)
        version = 45 if large else 20
        fields = (0x300 | version, version, 0x800, 0, 0, _DATE, self.crc, short, short)
        return (
            _CENTRAL.pack(b"PK\1\2", *fields, len(name), len(extra), 0, 0, 0, _MODE, min(self.header, _MAX32))
            + name
            + extra
        )


def write(stream: BinaryIO, members: Iterable[tuple[str, BinaryIO]]) -> None:
    """Write a zip of `members` to `stream`, in the order given.

    Args:
        stream: seekable, empty, opened for writing bytes.
        members: name and readable content of each member; a content is read once, in chunks.

    Raises:
        BundleError: a name is unsafe or given twice, or there are no members.
    """
    done: list[Member] = []
    seen: set[str] = set()
    for name, content in members:
        check_name(name, seen, "new bundle")
        header = stream.tell()
        size = _measured(content)
        stream.write(Member(name, 0, size, header).local_header)
        crc = 0
        while chunk := content.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
            stream.write(chunk)
        member = Member(name, crc, size, header)
        end = stream.tell()
        if end != member.start + size:
            raise BundleError(f"{name}: the content changed size while it was being packed; try again")
        stream.seek(header)
        stream.write(member.local_header)
        stream.seek(end)
        done.append(member)
    if not done:
        raise BundleError("new bundle: has no members; an empty bundle cannot be read")
    stream.write(directory(done))


def directory(members: Sequence[Member]) -> bytes:
    """Return everything after the last member's data: central directory and end records."""
    last = members[-1]
    start = last.start + last.size
    central = b"".join(member.central_header for member in members)
    count, size = len(members), len(central)
    tail = b""
    if start >= _MAX32 or size >= _MAX32 or count >= 0xFFFF:
        tail = _END64.pack(b"PK\6\6", 44, 0x32D, 45, 0, 0, count, count, size, start)
        tail += _LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
    short = min(count, 0xFFFF)
    return central + tail + _END.pack(b"PK\5\6", 0, 0, short, short, min(size, _MAX32), min(start, _MAX32), 0)


def check_name(name: str, seen: set[str], where: str) -> None:
    """Refuse a member name that is not a plain relative POSIX path, or stands twice (also if only by case).

    Args:
        name: the name.
        seen: the names checked before, case-folded; this one is added.
        where: name of the bundle, for messages.

    Raises:
        BundleError: names the member and what is wrong with it.
    """
    path = PurePosixPath(name)
    plain = name == str(path) and name.isprintable() and not set(name) & set('\\:*?"<>|')
    if not plain or path.is_absolute() or ".." in path.parts or name in ("", ".") or len(name) > _MAX_NAME:
        shown = name[:_MAX_NAME]
        raise BundleError(f"{where}: the member name {shown!r} is not a plain relative path; the bundle is not safe")
    folded = name.casefold()
    if folded in seen:
        raise BundleError(f"{where}: the member {name!r} stands in it twice; the bundle is not safe")
    seen.add(folded)


def _zip64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def _measured(content: BinaryIO) -> int:
    start = content.tell()
    size = content.seek(0, 2) - start
    content.seek(start)
    return size
