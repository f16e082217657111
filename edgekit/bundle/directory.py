"""Reading a bundle's zip: parse the central directory, refuse what is unsafe, then demand the exact bytes."""

from __future__ import annotations

import stat
import struct
import zlib

from edgekit.bundle.container import Member, check_name, directory
from edgekit.errors import BundleError

_CENTRAL, _END, _END64 = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR_SIZE, _MAX16, _MAX32 = 20, 0xFFFF, 0xFFFFFFFF
_REPACK = "unpack it and load the folder, or convert it again"


def members(data: memoryview, where: str) -> dict[str, Member]:
    """Return the members of a bundle, having checked every byte outside the members' own data.

    Args:
        data: the whole file.
        where: its name, for messages.

    Returns:
        Members by name, in file order.

    Raises:
        BundleError: the file is no zip, is cut short, was altered, or has an unsafe or compressed member.
    """
    start, count = _end_record(data, where)
    found: dict[str, Member] = {}
    seen: set[str] = set()
    offset = start
    for _ in range(count):
        member, offset = _central(data, offset, where)
        check_name(member.name, seen, where)
        found[member.name] = member
    if not found:
        raise BundleError(f"{where}: the zip is empty; this is not an edgekit bundle")
    _compare(data, list(found.values()), where)
    return found


def check_crc(data: memoryview, member: Member, where: str) -> None:
    """Check the CRC-32 of one member's data.

    Args:
        data: the whole file.
        member: which member.
        where: the file's name, for messages.

    Raises:
        BundleError: the data was altered.
    """
    if zlib.crc32(data[member.start : member.start + member.size]) != member.crc:
        raise BundleError(f"{where}: {member.name}: the checksum is wrong; the file is damaged, copy it again")


def _end_record(data: memoryview, where: str) -> tuple[int, int]:
    offset = len(data) - _END.size
    if bytes(data[:4]) not in (b"PK\3\4", b"PK\5\6"):
        raise BundleError(f"{where}: not an edgekit bundle (not a zip file)")
    if offset < 0 or bytes(data[offset : offset + 4]) != b"PK\5\6":
        raise BundleError(f"{where}: the end of the zip is missing; the file was cut short or appended to")
    count, _size, start = _END.unpack_from(data, offset)[4:7]
    if count == _MAX16 or start == _MAX32 or _size == _MAX32:
        offset -= _LOCATOR_SIZE + _END64.size
        if offset < 0 or bytes(data[offset : offset + 4]) != b"PK\6\6":
            raise BundleError(f"{where}: the zip64 end record is missing; the file is damaged")
        count, _size, start = _END64.unpack_from(data, offset)[7:10]
    return start, count


def _central(data: memoryview, offset: int, where: str) -> tuple[Member, int]:
    try:
        fields = _CENTRAL.unpack_from(data, offset)
    # An offset of zip64 can be larger than an index may be.
    except (struct.error, OverflowError) as error:
        raise BundleError(f"{where}: the zip's directory is damaged at byte {offset}") from error
    if fields[0] != b"PK\1\2":
        raise BundleError(f"{where}: the zip's directory is damaged at byte {offset}")
    flags, method = fields[3], fields[4]
    crc, packed, size, name_length, extra_length, comment_length = fields[7:13]
    attributes, header = fields[15], fields[16]
    offset += _CENTRAL.size
    try:
        name = bytes(data[offset : offset + name_length]).decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{where}: a member name at byte {offset} is not UTF-8; the file is damaged") from error
    extra = bytes(data[offset + name_length : offset + name_length + extra_length])
    if stat.S_ISLNK(attributes >> 16):
        raise BundleError(f"{where}: the member {name!r} is a symbolic link; the bundle is not safe")
    if flags & 1:
        raise BundleError(f"{where}: the member {name!r} is encrypted; {_REPACK}")
    if method != 0:
        raise BundleError(f"{where}: the member {name!r} is compressed, a bundle's are not; {_REPACK}")
    size, header = _wide(size, packed, header, extra, f"{where}: {name}")
    return Member(name, crc, size, header), offset + name_length + extra_length + comment_length


def _wide(size: int, packed: int, header: int, extra: bytes, where: str) -> tuple[int, int]:
    wanted = [value == _MAX32 for value in (size, packed, header)]
    if not any(wanted):
        return size, header
    values = struct.unpack(f"<{sum(wanted)}Q", extra[4:]) if len(extra) == 4 + 8 * sum(wanted) else None
    if values is None:
        raise BundleError(f"{where}: the zip64 sizes are damaged")
    return (values[0] if wanted[0] else size), (values[-1] if wanted[2] else header)


def _compare(data: memoryview, found: list[Member], where: str) -> None:
    end = 0
    for member in found:
        if member.header != end:
            raise BundleError(f"{where}: {member.name}: is not where the zip's order puts it; {_altered(end)}")
        header = member.local_header
        end += len(header) + member.size
        if end > len(data):
            raise BundleError(f"{where}: {member.name}: is longer than the file; the file was cut short")
        _same(data, member.header, header, where)
    tail = directory(found)
    _same(data, end, tail, where)
    if end + len(tail) != len(data):
        raise BundleError(f"{where}: {_altered(end)}")


def _same(data: memoryview, offset: int, wanted: bytes, where: str) -> None:
    actual = bytes(data[offset : offset + len(wanted)])
    if actual != wanted:
        first = next((i for i, (a, b) in enumerate(zip(actual, wanted, strict=False)) if a != b), len(actual))
        raise BundleError(f"{where}: {_altered(offset + first)}")


def _altered(offset: int) -> str:
    return f"the zip was altered at byte {offset} or written by another tool; copy it again, or {_REPACK}"
