"""docs/reference/bundle.md says what is true: its fields are the records', and a writer made from it alone works."""

from __future__ import annotations

import struct
import zlib
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundle_reference as reference
import tiny_bundle as tiny
from edgekit.bundle import container
from edgekit.bundle.manifest import SCHEMA_VERSION, Manifest

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 0xFFFFFFFF


def test_the_pages_fields_are_the_records() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    _, _, rest = page.partition(reference.BEGIN + "\n")
    found, _, _ = rest.partition(reference.END)
    assert found == reference.section(), "run: python tests/helpers/bundle_reference.py"


def test_every_record_says_what_each_field_means() -> None:
    records = reference.records()
    assert records[0] is Manifest
    assert len(records) >= 15
    for record in records:
        assert list(reference.meanings(record)) == [field.name for field in fields(record)], record


def test_the_page_is_about_this_version() -> None:
    assert reference.PAGE.read_text(encoding="utf-8").startswith(f"# The bundle format, version {SCHEMA_VERSION}\n")


def test_types_are_named_as_json_has_them() -> None:
    assert reference.json_type(tuple[float, float, float]) == "list of 3 × number"
    assert reference.json_type(tuple[int | str, ...]) == "list of integer or string"
    assert reference.json_type(dict[str, str]) == "object of string"


def written_after_the_page(members: dict[str, bytes], sizes: dict[str, int] | None = None) -> tuple[bytes, bytes]:
    """Local headers and data, and what follows them, from the page alone; `sizes` pretends that data is longer."""
    body, central, offset = b"", b"", 0
    for name, data in members.items():
        size, raw, crc = (sizes or {}).get(name, len(data)), name.encode(), zlib.crc32(data)
        extra = struct.pack("<HHQQ", 1, 16, size, size) if size >= LARGE else b""
        padding = 0
        while (offset + 30 + len(raw) + len(extra) + 4 + padding) % 64:
            padding += 1
        extra += struct.pack("<HH", 0xEDE0, padding) + bytes(padding)
        middle = struct.pack("<HHHHLLL", 0x800, 0, 0, 0x21, crc, min(size, LARGE), min(size, LARGE))
        header = b"PK\3\4" + struct.pack("<H", 45 if size >= LARGE else 20) + middle
        header += struct.pack("<HH", len(raw), len(extra)) + raw + extra
        wide = [value for value in (size, size, offset) if value >= LARGE]
        more = struct.pack("<HH", 1, 8 * len(wide)) + struct.pack(f"<{len(wide)}Q", *wide) if wide else b""
        version = 45 if wide else 20
        central += b"PK\1\2" + struct.pack("<HH", 0x300 | version, version) + middle
        central += struct.pack("<HHHHHLL", len(raw), len(more), 0, 0, 0, 0o100644 << 16, min(offset, LARGE))
        central += raw + more
        body += header + data
        offset += len(header) + size
    end, count, length = b"", len(members), len(central)
    if offset >= LARGE or length >= LARGE or count >= 0xFFFF:
        end += b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 0x32D, 45, 0, 0, count, count, length, offset)
        end += b"PK\6\7" + struct.pack("<LQL", 0, offset + length, 1)
    short = (min(count, 0xFFFF),) * 2
    end += b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, *short, min(length, LARGE), min(offset, LARGE), 0)
    return body, central + end


def test_a_bundle_written_after_the_page_is_the_same_file(tiny_bundle: Path) -> None:
    assert b"".join(written_after_the_page(tiny.contents(tiny_bundle))) == tiny_bundle.read_bytes()


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc/é", min_size=1, max_size=5), st.binary(max_size=99), min_size=1, max_size=5))
def test_any_members_written_after_the_page(members: dict[str, bytes]) -> None:
    plain = {name.replace("/", "_"): data for name, data in members.items()}
    assert b"".join(written_after_the_page(plain)) == tiny.pack(plain)


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, 1 << 40])
def test_large_bundles_written_after_the_page(size: int) -> None:
    sizes = {"manifest.json": 2, "weights": size, "z": 0}
    members: list[container.Member] = []
    at = 0
    for name, length in sizes.items():
        members.append(container.Member(name, 0, length, at))
        at = members[-1].start + length
    body, rest = written_after_the_page(dict.fromkeys(sizes, b""), sizes)
    assert b"".join(member.local_header for member in members) == body
    assert container.directory(members) == rest
