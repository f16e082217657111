"""The zip that `container.write` makes: readable by every zip tool, aligned, deterministic, large when it must be."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_bundle as tiny
from edgekit.bundle import container, directory
from edgekit.bundle.members import ZipMembers, open_members
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
NAMES = st.text("abcdefgé貓-_0123456789", min_size=1, max_size=80)
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=6)


def _distinct(members: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for i, (name, data) in enumerate(members.items()) if name.casefold() not in list(members)[:i]}


@settings(max_examples=100, deadline=None)
@given(CONTENTS)
def test_any_members_come_back_by_the_reader_and_by_zipfile(members: dict[str, bytes]) -> None:
    members = _distinct(members)
    data = tiny.pack(members)
    found = directory.members(memoryview(data), "x")
    assert {name: data[m.start : m.start + m.size] for name, m in found.items()} == members
    assert all(member.start % container.ALIGNMENT == 0 for member in found.values())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == members


def test_a_bundle_is_an_ordinary_zip(tiny_bundle: Path) -> None:
    with zipfile.ZipFile(tiny_bundle) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
    assert infos[0].filename == "manifest.json"
    assert [info.filename for info in infos[1:]] == sorted(info.filename for info in infos[1:])
    for info in infos:
        assert info.compress_type == zipfile.ZIP_STORED
        assert info.file_size == info.compress_size
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert info.external_attr >> 16 == 0o100644


def test_the_same_bundle_always_has_the_same_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    again = tiny.build(tmp_path / "another-name.edge")
    assert again.read_bytes() == tiny_bundle.read_bytes()


def test_every_member_is_aligned_in_the_file(tiny_bundle: Path) -> None:
    data = tiny_bundle.read_bytes()
    for name, content in tiny.contents(tiny_bundle).items():
        start = directory.members(memoryview(data), "x")[name].start
        assert start % 64 == 0
        assert data[start : start + len(content)] == content


def test_the_local_header_is_what_the_zip_specification_says() -> None:
    member = container.Member("a/b.bin", 0x12345678, 1000, 0)
    header = member.local_header
    fields = struct.unpack("<4s5H3L2H", header[:30])
    assert fields[0] == b"PK\3\4"
    assert fields[2] & 0x800, "names are UTF-8"
    assert fields[3] == 0, "stored"
    assert fields[6:9] == (0x12345678, 1000, 1000)
    assert header[30:37] == b"a/b.bin"
    assert len(header) == 30 + fields[9] + fields[10] == member.start == 64


@pytest.mark.parametrize("size", [0, 1, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 5 << 40])
@pytest.mark.parametrize("header", [0, 64, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 7 << 40])
def test_large_sizes_and_offsets_use_zip64(size: int, header: int) -> None:
    member = container.Member("m", 1, size, header)
    assert member.start % 64 == 0
    central = member.central_header
    short = struct.unpack("<4s6H3L5H2L", central[:46])
    assert (short[8], short[9], short[16]) == (min(size, 0xFFFFFFFF),) * 2 + (min(header, 0xFFFFFFFF),)
    wide = [value for value in (size, size, header) if value >= 0xFFFFFFFF]
    expected = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    assert central[47:] == expected
    local_extra = member.local_header[31:]
    assert local_extra.startswith(struct.pack("<2H2Q", 1, 16, size, size)) == (size >= 0xFFFFFFFF)


def test_a_file_beyond_four_gib_is_read(tmp_path: Path) -> None:
    """Sparse: the members' headers and the directory are real, the four gibibytes between them are a hole."""
    manifest, last = b"{}", b"behind the hole"
    first = container.Member("manifest.json", zlib.crc32(manifest), len(manifest), 0)
    hole = container.Member("variants/a/image.onnx.data", 0, 4 * GIB + 5, first.start + first.size)
    end = container.Member("z.bin", zlib.crc32(last), len(last), hole.start + hole.size)
    path = tmp_path / "large.edge"
    with path.open("wb") as stream:
        for member, data in ((first, manifest), (hole, None), (end, last)):
            stream.write(member.local_header)
            if data is None:
                stream.seek(member.size, 1)
            else:
                stream.write(data)
        stream.write(container.directory([first, hole, end]))
    members = open_members(path)
    assert isinstance(members, ZipMembers)
    assert members.names() == ("manifest.json", "variants/a/image.onnx.data", "z.bin")
    assert len(members.view("variants/a/image.onnx.data")) == 4 * GIB + 5
    assert bytes(members.view("z.bin")) == last
    assert members.location("z.bin") == (path, end.start)
    assert end.start > 4 * GIB
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == [2, 4 * GIB + 5, len(last)]
        assert archive.read("z.bin") == last
    # The same headers with one wrong byte in a 64-bit size.
    with path.open("r+b") as stream:
        stream.seek(-22 - 20 - 56 + 48, 2)
        stream.write(b"\1")
    with pytest.raises(BundleError):
        open_members(path)


def test_more_members_than_a_plain_zip_can_count() -> None:
    members = {f"{i}": b"" for i in range(0x10001)}
    data = tiny.pack(members)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 0x10001
    assert list(directory.members(memoryview(data), "x")) == list(members)


def test_writing_refuses_what_reading_would() -> None:
    with pytest.raises(BundleError, match="has no members"):
        tiny.pack({})
    for name in ("/a", "../a", "a/../b", "a//b", "a/", "./a", "", ".", "a\\b", "a\nb", "C:a", "a" * 256):
        with pytest.raises(BundleError, match="not a plain relative path"):
            tiny.pack({name: b""})
    with pytest.raises(BundleError, match="twice"):
        tiny.pack({"a/Card.md": b"", "a/card.MD": b""})


def test_a_content_that_grows_while_it_is_packed_is_noticed() -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            return data + b"more" if data else data

    with pytest.raises(BundleError, match="changed size"):
        container.write(io.BytesIO(), [("a", Growing(b"abc"))])
