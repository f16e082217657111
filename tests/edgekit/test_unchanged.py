"""Skipping the hash of files that did not change, and only of those."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import edgekit
from edgekit import unchanged
from edgekit.bundle import reader
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError


@pytest.fixture
def settled(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that was written long enough ago, for a clock that waits less long."""
    monkeypatch.setattr(unchanged, "SETTLED_NS", 50_000_000)
    path = Path(shutil.copy(tiny_bundle, tmp_path / "copy.edge"))
    time.sleep(0.1)
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of everything that is hashed."""
    sizes: list[int] = []
    real = reader.sha256

    def spy(data: memoryview | bytes) -> str:
        sizes.append(len(data))
        return real(data)

    monkeypatch.setattr(reader, "sha256", spy)
    return sizes


def test_second_load_hashes_nothing(settled: Path, hashed: list[int]) -> None:
    edgekit.load(settled).close()
    assert hashed
    hashed.clear()
    with edgekit.load(settled) as clip:
        assert clip.explain().cached
        assert len(clip.embed_texts(["a cat"])) == 1
    assert hashed == []


def test_always_hashes_each_time(settled: Path, hashed: list[int]) -> None:
    edgekit.load(settled).close()
    hashed.clear()
    edgekit.load(settled, check="always").close()
    assert hashed


def test_a_file_changed_in_place_is_hashed_and_refused(settled: Path) -> None:
    edgekit.load(settled).close()
    opened = open_bundle(settled)
    sidecar = opened.manifest.variants[0].image.sidecars[0]
    location = opened.location(sidecar)
    assert location is not None
    before = settled.stat()
    with settled.open("r+b") as stream:
        stream.seek(location[1])
        byte = stream.read(1)
        stream.seek(location[1])
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(settled, ns=(before.st_atime_ns, before.st_mtime_ns))
    time.sleep(0.1)
    with pytest.raises(BundleError, match="SHA-256"):
        edgekit.load(settled)


def test_a_file_written_just_now_is_not_trusted(
    tiny_bundle: Path, tmp_path: Path, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "SETTLED_NS", 10**15)  # whatever this machine takes, it is less
    fresh = Path(shutil.copy(tiny_bundle, tmp_path / "fresh.edge"))
    edgekit.load(fresh).close()
    hashed.clear()
    edgekit.load(fresh).close()
    assert hashed


def test_a_copy_is_hashed_again(settled: Path, tmp_path: Path, hashed: list[int]) -> None:
    edgekit.load(settled).close()
    hashed.clear()
    other = Path(shutil.copy(settled, tmp_path / "other.edge"))
    edgekit.load(other).close()
    assert hashed


def test_bytes_have_no_state(tiny_bundle: Path) -> None:
    opened = open_bundle(tiny_bundle.read_bytes())
    opened.verify()
    assert unchanged.states(opened) == {}


def test_states_cover_what_was_checked_and_no_more(settled: Path) -> None:
    opened = open_bundle(settled)
    assert unchanged.states(opened) == {}
    path = opened.manifest.text.tokenizer
    opened.read(path)
    found = unchanged.states(opened)
    assert set(found) == {path}
    assert unchanged.unchanged(open_bundle(settled), found) == {path}
    assert unchanged.unchanged(open_bundle(settled), {path: "other", "missing": found[path]}) == frozenset()
