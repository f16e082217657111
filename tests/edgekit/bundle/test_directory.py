"""Zips that other tools make, or that somebody made on purpose: each refused, with the reason."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest

import tiny_bundle as tiny
from edgekit.bundle import container, directory
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _refused(data: bytes, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as caught:
        directory.members(memoryview(data), "some.edge")
    assert str(caught.value).startswith("some.edge: ")


def _zipfile(members: Iterable[tuple[zipfile.ZipInfo | str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the duplicate names that are wanted here
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for info, data in members:
                archive.writestr(info, data)
    return stream.getvalue()


def _forged(members: list[tuple[bytes, bytes]]) -> bytes:
    """Pack under harmless names of the same length, then put the wanted names in; headers and sizes stay right."""
    harmless = {f"{i}".ljust(len(name), "_"): data for i, (name, data) in enumerate(members)}
    data = tiny.pack(harmless)
    for plain, (name, _) in zip(harmless, members, strict=True):
        assert data.count(plain.encode()) == 2
        data = data.replace(plain.encode(), name)
    return data


def test_a_forged_zip_of_harmless_names_is_accepted() -> None:
    """Otherwise the refusals below would prove nothing."""
    data = _forged([(b"a/b.bin", b"1"), (b"manifest.json", b"2"), ("é貓".encode(), b"3")])
    assert list(directory.members(memoryview(data), "x")) == ["a/b.bin", "manifest.json", "é貓"]


@pytest.mark.parametrize(
    "name",
    [
        b"/etc/passwd",
        b"//host/share",
        b"../outside",
        b"a/../../outside",
        b"a/..",
        b"..",
        b".",
        b"./a",
        b"a//b",
        b"folder/",
        b"..\\outside",
        b"a\\b",
        b"C:\\x",
        b"c:x",
        b"a\0b",
        b"a\nb",
        b"a\x1b[31mb",
        b"a*b",
        "a\u202eb".encode(),
    ],
)
def test_unsafe_names(name: bytes) -> None:
    _refused(_forged([(b"manifest.json", b""), (name, b"")]), "is not a plain relative path; the bundle is not safe")


@pytest.mark.parametrize("name", [b"\xff\xfe", b"abc\xc3", b"\xed\xa0\x80"])
def test_names_that_are_not_utf8(name: bytes) -> None:
    _refused(_forged([(name, b"")]), "not UTF-8")


@pytest.mark.parametrize("second", [b"a/weights", b"A/Weights", b"a/WEIGHTS"])
def test_duplicate_names(second: bytes) -> None:
    _refused(_forged([(b"a/weights", b"1"), (second, b"2")]), "stands in it twice")


def test_duplicate_names_as_zipfile_writes_them() -> None:
    _refused(_zipfile([("manifest.json", b"1"), ("manifest.json", b"2")]), "stands in it twice")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members(method: int) -> None:
    _refused(_zipfile([("manifest.json", b"x" * 1000)], method), "is compressed, a bundle's are not; unpack it")


def test_encrypted_members() -> None:
    data = bytearray(tiny.pack({"manifest.json": b"{}"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    _refused(bytes(data), "is encrypted")


def test_symbolic_links() -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    _refused(_zipfile([(info, b"/etc/passwd")]), "is a symbolic link; the bundle is not safe")


def test_folders_as_members() -> None:
    _refused(_zipfile([("folder/", b""), ("folder/a", b"1")]), "is not a plain relative path")


def test_a_zip_repacked_by_another_tool(tiny_bundle: Path) -> None:
    """Contents and order are right, but nothing is aligned: told apart from damage, with what to do."""
    _refused(_zipfile(tiny.contents(tiny_bundle).items()), "written by another tool; copy it again, or unpack it")


def test_a_comment_and_trailing_bytes(tiny_bundle: Path) -> None:
    data = tiny_bundle.read_bytes()
    _refused(data[:-2] + struct.pack("<H", 2) + b"hi", "cut short or appended to")
    _refused(data[:-2] + struct.pack("<H", 2), "altered at byte")
    _refused(data + b"\0", "cut short or appended to")
    _refused(data + data, "is not where the zip's order puts it|altered")


def test_bytes_in_front(tiny_bundle: Path) -> None:
    """Other readers look for the directory from the end and would open this (self-extracting archives)."""
    data = b"#!/bin/sh\nexit\n" + tiny_bundle.read_bytes()
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    _refused(data, "not a zip file")
    _refused(b"PK\3\4" + tiny_bundle.read_bytes(), "directory is damaged|not where")


def test_members_listed_in_another_order_than_they_lie() -> None:
    members = list(directory.members(memoryview(tiny.pack({"a": b"1", "b": b"2"})), "x").values())
    data = tiny.pack({"a": b"1", "b": b"2"})
    end = data.index(b"PK\1\2")
    swapped = b"".join(member.central_header for member in members[::-1]) + data[-22:]
    _refused(data[:end] + swapped, "b: is not where the zip's order puts it")


def test_a_gap_between_members() -> None:
    first = container.Member("a", 0, 0, 0)
    second = container.Member("b", 0, 0, first.start + 64)
    data = first.local_header + bytes(64) + second.local_header + container.directory([first, second])
    _refused(data, "b: is not where the zip's order puts it")


def test_overlapping_members() -> None:
    """Two names for the same bytes: the trick of zip bombs."""
    member = container.Member("a", 0, 0, 0)
    other = container.Member("b", 0, 0, 0)
    _refused(member.local_header + container.directory([member, other]), "b: is not where the zip's order puts it")


def test_a_member_longer_than_the_file() -> None:
    member = container.Member("a", 0, 1 << 20, 0)
    central = member.central_header
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(member.local_header), 0)
    _refused(member.local_header + central + end, "a: is longer than the file; the file was cut short")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a zip file"),
        (b"PK", "not a zip file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a zip file"),
        (b"PK\3\4", "the end of the zip is missing"),
        (b"PK\3\4" + bytes(100), "the end of the zip is missing"),
        (_zipfile([]), "the zip is empty"),
    ],
)
def test_what_is_no_bundle_at_all(data: bytes, reason: str) -> None:
    _refused(data, reason)


END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR, END = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1), struct.Struct("<4s4H2LH")
FULL = END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


@pytest.mark.parametrize("start", [1, 200, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("count", [1, (1 << 64) - 1])
def test_zip64_offsets_and_counts_beyond_everything(start: int, count: int) -> None:
    body = container.Member("a", 0, 0, 0).local_header
    end64 = END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, 1, start)
    _refused(body + end64 + LOCATOR + FULL, "the zip's directory is damaged at byte")


def test_a_missing_zip64_record() -> None:
    _refused(container.Member("a", 0, 0, 0).local_header + FULL, "the zip64 end record is missing")


@pytest.mark.parametrize("values", [0, 1, 3])
def test_zip64_sizes_that_are_not_all_there(values: int) -> None:
    member = container.Member("a", 0, 0, 0)
    extra = struct.pack(f"<2H{values}Q", 1, 8 * values, *[1] * values)
    sizes = (0xFFFFFFFF, 0xFFFFFFFF)  # two values are wanted
    fields = (0x314, 20, 0x800, 0, 0, 0x21, 0, *sizes, 1, len(extra), 0, 0, 0, 0, 0)
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + b"a" + extra
    end = END.pack(b"PK\5\6", 0, 0, 1, 1, len(central), len(member.local_header), 0)
    _refused(member.local_header + central + end, "a: the zip64 sizes are damaged")


def test_the_message_of_a_refused_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.edge"
    path.write_bytes(b"\xff\xd8\xff\xe0JFIF")
    with pytest.raises(BundleError, match=r"photo\.edge: not an edgekit bundle \(not a zip file\)"):
        open_bundle(path)
