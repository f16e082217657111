"""Archives are unpacked into their folder and nowhere else."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.converters.data.archives import unpack
from edgekit.errors import FetchError

GOOD = [("./pkg/a.txt", b"a"), ("pkg/deep/b.txt", b"b" * 70_000), ("other/c.txt", b"c")]
KINDS = {"deb": "x.deb", "npm": "x.tgz", "pip": "x.whl"}
OUTSIDE = ("../evil", "pkg/../../evil", "/nowhere/evil", "pkg\\..\\evil")


def made(registry, kind, members, folder):
    content = {"deb": registry.deb, "npm": registry.tar, "pip": registry.wheel}[kind](members)
    path = folder / KINDS[kind]
    path.write_bytes(content)
    return path


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_the_wanted_files_are_unpacked(registry, tmp_path, kind):
    members = GOOD if kind != "pip" else [(name.removeprefix("./"), content) for name, content in GOOD]
    out = tmp_path / "out"
    unpack(made(registry, kind, members, tmp_path), out, ("pkg/",))
    assert below(out) == ["pkg/a.txt", "pkg/deep/b.txt"]
    assert (out / "pkg" / "deep" / "b.txt").read_bytes() == b"b" * 70_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OUTSIDE, ids=["parent", "inner-parent", "absolute", "backslash"])
def test_a_path_outside_is_refused_even_where_it_is_not_wanted(registry, tmp_path, kind, name):
    out = tmp_path / "out"
    archive = made(registry, kind, [(name, b"evil"), ("pkg/a.txt", b"a")], tmp_path)
    with pytest.raises(FetchError, match="outside the archive"):
        unpack(archive, out, ("pkg/",))
    assert not list(tmp_path.rglob("evil*"))
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize("kind", ["deb", "npm"])
@pytest.mark.parametrize("what", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(registry, tmp_path, kind, what):
    link = tarfile.TarInfo("pkg/link")
    link.type, link.linkname = what, "/etc/passwd"
    archive = made(registry, kind, [(link, b""), ("pkg/a.txt", b"a")], tmp_path)
    with pytest.raises(FetchError, match="link or a device"):
        unpack(archive, tmp_path / "out", ("pkg/",))
    assert below(tmp_path / "out") == []


def test_a_link_in_a_wheel_is_refused(registry, tmp_path):
    link = zipfile.ZipInfo("pkg/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(FetchError, match="is a link"):
        unpack(made(registry, "pip", [(link, b"/etc/passwd")], tmp_path), tmp_path / "out", ("pkg/",))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_given_twice_is_refused(registry, tmp_path, kind):
    with pytest.warns(UserWarning) if kind == "pip" else nullcontext():
        archive = made(registry, kind, [("pkg/a", b"1"), ("pkg/a", b"2")], tmp_path)
    with pytest.raises(FetchError, match="twice"):
        unpack(archive, tmp_path / "out", ("pkg/",))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wanted_must_be_there(registry, tmp_path, kind):
    archive = made(registry, kind, [("pkg/a", b"1")], tmp_path)
    with pytest.raises(FetchError, match="holds nothing below pkg/b"):
        unpack(archive, tmp_path / "out", ("pkg/a", "pkg/b/"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00broken"], ids=["empty", "text", "gzip"]
)
def test_what_is_no_archive_is_refused(tmp_path, kind, content):
    path = tmp_path / KINDS[kind]
    path.write_bytes(content)
    with pytest.raises(FetchError, match=r"x\.\w+: "):
        unpack(path, tmp_path / "out", ("pkg/",))


def test_a_truncated_archive_is_refused(registry, tmp_path):
    archive = made(registry, "npm", GOOD, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(FetchError, match="is damaged"):
        unpack(archive, tmp_path / "out", ("pkg/",))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text("ab./\\\0", min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
def test_no_name_writes_outside(registry, tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("any")
    archive = made(registry, "npm", [(name, b"x") for name in names], folder)
    out = folder / "in" / "out"
    out.mkdir(parents=True)
    with suppress(FetchError):
        unpack(archive, out, ("",))
    assert {path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(out)} == {archive}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("pkg/a", "pkg/a/b"), ("pkg/a/b", "pkg/a")], ids=["file first", "folder first"])
def test_a_name_of_a_file_and_of_a_folder_is_refused(registry, tmp_path, kind, names):
    archive = made(registry, kind, [(name, b"x") for name in names], tmp_path)
    with pytest.raises(FetchError, match=r"x\.\w+: holds 'pkg/a(/b)?' as a file and as a folder; it is not unpacked"):
        unpack(archive, tmp_path / "out", ("pkg/",))
    assert below(tmp_path / "out") == [names[0]]


@pytest.mark.parametrize("kind", ["npm", "pip"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_what_is_unpacked(registry, tmp_path_factory, kind, place, bit):
    members = [(f"pkg/{n}.bin", np.random.default_rng(n).bytes(4000) + b"a" * 900) for n in range(3)]
    folder = tmp_path_factory.mktemp("flipped")
    archive = made(registry, kind, members, folder)
    content = bytearray(archive.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    archive.write_bytes(content)
    out = folder / "out"
    with suppress(FetchError):
        unpack(archive, out, ("pkg/",))
        assert {name: (out / name).read_bytes() for name in below(out)} == dict(members)
