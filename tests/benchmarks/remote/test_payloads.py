"""Files and folders for boards: named so that nothing can be taken amiss, and the same bytes for the same content."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.remote import payload
from edgekit.errors import InputError

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=30), min_size=1, max_size=5))
def test_a_folder_of_any_names_arrives_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("x")
    (folder / "src/inner").mkdir(parents=True)
    for name, content in files.items():
        (folder / "src/inner" / name).write_bytes(content)
    sent = payload.of_path(folder / "src", "inputs/0/src", folder / "a.tar")
    assert (sent.name, sent.folder, sent.size) == ("inputs/0/src", True, sent.path.stat().st_size)
    assert sent.digest == hashlib.sha256(sent.path.read_bytes()).hexdigest()
    with tarfile.open(sent.path) as archive:
        archive.extractall(folder / "out", filter="data")
    assert {path.name: path.read_bytes() for path in (folder / "out/inner").iterdir()} == files


def test_the_same_files_give_the_same_bytes_whoever_owns_them(tmp_path: Path) -> None:
    digests = set()
    for place, mode, when in (("one", 0o600, 1), ("two", 0o755, 2_000_000_000)):
        (tmp_path / place / "b").mkdir(parents=True)
        for name in ("b/2", "a") if place == "one" else ("a", "b/2"):
            path = tmp_path / place / name
            path.write_bytes(name.encode())
            path.chmod(mode)
            os.utime(path, (when, when))
        if os.geteuid() == 0:
            os.chown(tmp_path / place / "a", when, when)
        digests.add(payload.of_path(tmp_path / place, "x", tmp_path / f"{place}.tar").digest)
    assert len(digests) == 1


def test_links_are_sent_as_what_they_point_to_and_those_to_nothing_are_left_out(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "elsewhere.jpg").write_bytes(b"real")
    (photos / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (photos / "dangling.jpg").symlink_to(tmp_path / "none")
    sent = payload.of_path(photos, "x", tmp_path / "a.tar")
    with tarfile.open(sent.path) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.isreg(), archive.extractfile(member).read()) == ("link.jpg", True, b"real")  # type: ignore[union-attr]


def test_a_file_that_becomes_shorter_while_it_is_packed_is_one_clear_error(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    # Such a file says that it is a page long, and holds a few bytes.
    (photos / "short.jpg").symlink_to("/sys/devices/system/cpu/online")
    with pytest.raises(InputError, match=r"photos: cannot be packed to be sent: unexpected end of data"):
        payload.of_path(photos, "x", tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["fifo", "none", "folder"])
def test_what_is_no_ordinary_file_is_named(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=name):
        payload.of_path(tmp_path / name, "x", tmp_path / "a.tar")
    if name != "fifo":
        with pytest.raises(InputError, match=f"{name}: cannot be read: "):
            payload.of_file(tmp_path / name, "x")


def test_two_inputs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "labels.txt").write_text(folder)
    paths = [tmp_path / "a/labels.txt", tmp_path / "b/labels.txt"]
    words, sent = payload.of_arguments(["--labels", paths[0], "-x", paths[1], "labels.txt"], tmp_path)
    assert words == ("--labels", "inputs/0/labels.txt", "-x", "inputs/1/labels.txt", "labels.txt")
    assert [one.path for one in sent] == paths


@settings(deadline=None, max_examples=50)
@given(NAMES)
def test_every_name_becomes_one_that_keeps_its_ending_and_means_nothing(name: str) -> None:
    found = payload.plain_name(Path("/d") / name)
    assert found == payload.plain_name(Path(found)), "a plain name stays as it is"
    assert found.isascii()
    assert all(c.isalnum() or c in "._-" for c in found)
    assert found[0] not in ".-"
    assert len(found) <= 64


@pytest.mark.parametrize(
    ("name", "plain"),
    [("photo.jpg", "photo.jpg"), ("Zürich 1.png", "Zrich1.png"), ("x" * 99 + ".tar", "x" * 60 + ".tar"), ("日本", "x")],
)
def test_names_that_people_give(name: str, plain: str) -> None:
    assert payload.plain_name(Path(name)) == plain
