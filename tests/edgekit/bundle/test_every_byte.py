"""One byte changed anywhere, or the file cut anywhere: always noticed, always a BundleError."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def _accepted(data: bytes) -> bool:
    """True when nothing is noticed; any error but a BundleError fails the test."""
    try:
        open_bundle(data).verify()
    except BundleError:
        return False
    return True


def test_the_untouched_bundles_are_accepted(hollow: Path, tiny_bundle: Path) -> None:
    assert _accepted(hollow.read_bytes())
    assert _accepted(tiny_bundle.read_bytes())


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])  # 0x20 turns an upper-case letter into a lower-case one
def test_every_flipped_byte_is_refused(hollow: Path, mask: int) -> None:
    data = bytearray(hollow.read_bytes())
    unnoticed = []
    for i in range(len(data)):
        data[i] ^= mask
        if _accepted(bytes(data)):
            unnoticed.append(i)
        data[i] ^= mask
    assert unnoticed == []


def test_every_cut_is_refused(hollow: Path) -> None:
    data = hollow.read_bytes()
    assert [i for i in range(len(data)) if _accepted(data[:i])] == []


def test_every_missing_beginning_is_refused(hollow: Path) -> None:
    data = hollow.read_bytes()
    assert [i for i in range(1, len(data)) if _accepted(data[i:])] == []


def test_bytes_added_anywhere_are_refused(hollow: Path) -> None:
    data = hollow.read_bytes()
    for added in (b"\0", b"PK\5\6", b"x" * 64):
        places = (*range(0, len(data), 61), len(data))
        assert [i for i in places if _accepted(data[:i] + added + data[i:])] == []


def test_flipped_weights_of_a_real_bundle_are_refused(tiny_bundle: Path) -> None:
    data = bytearray(tiny_bundle.read_bytes())
    for i in range(0, len(data), 101):
        bit = 1 << i % 8
        data[i] ^= bit
        assert not _accepted(bytes(data)), f"bit {bit:#x} of byte {i}"
        data[i] ^= bit


def test_cuts_of_a_real_bundle_are_refused_by_path(tiny_bundle: Path, tmp_path: Path) -> None:
    data, cut = tiny_bundle.read_bytes(), tmp_path / "cut.edge"
    for length in (0, 1, 3, 4, 21, 22, 100, 4096, len(data) // 2, len(data) - 22, len(data) - 1):
        cut.write_bytes(data[:length])
        with pytest.raises(BundleError, match=r"cut\.edge"):
            open_bundle(cut)


def test_a_flipped_byte_in_a_folder_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    for name in _members(tiny_folder):
        copy = tmp_path / name.replace("/", "_")
        shutil.copytree(tiny_folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 0x10
        (copy / name).write_bytes(content)
        with pytest.raises(BundleError, match=name):
            open_bundle(copy).verify()


def _members(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in paths if name != "manifest.json"]
