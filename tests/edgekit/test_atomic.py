"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edgekit.atomic import atomic_file, write_bytes
from edgekit.errors import InputError


def _alone(path: Path) -> bool:
    return list(path.parent.iterdir()) == [path]


def test_a_new_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert _alone(tmp_path / "a")


def test_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"something longer")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert _alone(tmp_path / "a")


def test_nothing_shows_until_the_block_ends(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as stream:
        stream.write(b"1")
        stream.flush()
        assert not (tmp_path / "a").exists()
        stream.seek(0)
        assert stream.read() == b"1"
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, OSError])
@pytest.mark.parametrize("existed", [True, False])
def test_whatever_interrupts_leaves_everything_as_it_was(
    error: type[BaseException], existed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    if existed:
        path.write_bytes(b"before")
    with pytest.raises(error), atomic_file(path) as stream:
        stream.write(b"half")
        raise error
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == ([(path, b"before")] if existed else [])


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if name == "fsync" else Path, name, failing)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "a", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is in its place by then."""
    original = os.fsync

    def only_files(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112 - a link to an open file
            raise OSError(22, "Invalid argument")
        original(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    write_bytes(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert _alone(tmp_path / "a")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_the_mode_is_that_of_an_ordinary_file(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a", b"")
        (tmp_path / "b").write_bytes(b"")
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode == 0o100666 & ~mask
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the whole process: other threads would create files that everybody may write to."""
    monkeypatch.delattr(os, "umask")
    write_bytes(tmp_path / "a", b"")


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_bytes, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert _alone(tmp_path / "a")


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, ".hidden", "with space"])
def test_any_name_that_a_file_may_have(name: str, tmp_path: Path) -> None:
    write_bytes(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("a"), b"content")
    assert _alone(tmp_path / "a")


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("target")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"kept"
    assert (tmp_path / "link").read_bytes() == b"new"
    assert not (tmp_path / "link").is_symlink()


def test_a_broken_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("folder", "is a folder; give the name of a file to write"),
        ("none/a", "the folder .*none does not exist; create it first"),
        ("file/a", "cannot be written: Not a directory"),
        ("pipe", "is no ordinary file"),
        ("to-null", "is no ordinary file"),
        ("n" * 256, "cannot be written: File name too long"),
        ("a\0b", "cannot be written: embedded null byte"),
    ],
)
def test_targets_that_are_refused(path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "to-null").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        write_bytes(tmp_path / path, b"content")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_without_permission() -> None:
    """The kernel's own, which not even root may write to."""
    with pytest.raises(InputError, match="cannot write into /proc"):
        write_bytes(Path("/proc/a"), b"content")
