"""Opening a bundle: as a file, a folder or bytes; what is missing, extra, wrong or no bundle at all is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import tiny_bundle as tiny
from edgekit.bundle import schema
from edgekit.bundle.members import mapped
from edgekit.bundle.reader import open_bundle, sha256
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """An unpacked bundle to damage."""
    return shutil.copytree(tiny_folder, tmp_path / "unpacked")


def test_file_folder_and_bytes_give_the_same(tiny_bundle: Path, tiny_folder: Path) -> None:
    expected = tiny.contents(tiny_bundle)
    for source in (tiny_bundle, str(tiny_bundle), tiny_folder, str(tiny_folder), tiny_bundle.read_bytes()):
        bundle = open_bundle(source)
        assert bundle.manifest.name == "tiny"
        assert bundle.digest == hashlib.sha256(expected["manifest.json"]).hexdigest()
        assert bundle.verify() == len(expected) - 1
        for path in (record.path for record in bundle.manifest.files):
            view = bundle.read(path)
            assert view.readonly
            assert bytes(view) == expected[path]


def test_where_names_the_bundle(tiny_bundle: Path, tiny_folder: Path) -> None:
    assert open_bundle(tiny_bundle).where == str(tiny_bundle)
    assert open_bundle(tiny_folder).where == str(tiny_folder)
    assert open_bundle(tiny_bundle.read_bytes()).where == "<bytes>"


def test_the_manifest_is_written_as_it_is_read(tiny_bundle: Path) -> None:
    text = tiny.contents(tiny_bundle)["manifest.json"].decode()
    assert schema.dumps(open_bundle(tiny_bundle).manifest) == text


def test_a_members_location_holds_its_bytes(
    tiny_bundle: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    for source in (tiny_bundle.name, tiny_folder):
        bundle = open_bundle(source)
        for record in bundle.manifest.files:
            found = bundle.location(record.path)
            assert found is not None
            path, offset = found
            assert path.is_absolute()
            assert path.read_bytes()[offset : offset + record.size] == bundle.read(record.path)
    assert open_bundle(tiny_bundle.read_bytes()).location("card.md") is None


@pytest.mark.parametrize("path", ["no.such", "manifest.json", "../tiny.edge", "/etc/passwd", ""])
def test_a_member_that_the_manifest_does_not_list(tiny_bundle: Path, tiny_folder: Path, path: str) -> None:
    for source in (tiny_bundle, tiny_folder):
        bundle = open_bundle(source)
        for use in (bundle.read, bundle.location):
            with pytest.raises(BundleError, match="the manifest lists no member"):
                use(path)


def test_many_threads_may_read_one_bundle(tiny_bundle: Path) -> None:
    bundle, expected = open_bundle(tiny_bundle), tiny.contents(tiny_bundle)
    paths = [record.path for record in bundle.manifest.files] * 20
    with ThreadPoolExecutor(8) as pool:
        for path, view in zip(paths, pool.map(bundle.read, paths), strict=True):
            assert bytes(view) == expected[path]


def test_views_outlive_the_bundle(tiny_bundle: Path) -> None:
    view = open_bundle(tiny_bundle).read("card.md")
    assert bytes(view) == tiny.contents(tiny_bundle)["card.md"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.edge: no such bundle; give the path of a \.edge file"):
        open_bundle(tmp_path / "none.edge")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.edge").touch()
    with pytest.raises(BundleError, match=r"empty\.edge: not an edgekit bundle"):
        open_bundle(tmp_path / "empty.edge")
    with pytest.raises(BundleError, match="<bytes>: not an edgekit bundle"):
        open_bundle(b"")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has no manifest\.json; this is not an edgekit bundle"):
        open_bundle(tmp_path)


def test_a_zip_that_is_no_bundle() -> None:
    with pytest.raises(BundleError, match=r"has no manifest\.json; this is not an edgekit bundle"):
        open_bundle(tiny.pack({"readme.txt": b"hello"}))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.edge")
    with pytest.raises(BundleError, match=r"pipe\.edge: is no ordinary file"):
        open_bundle(tmp_path / "pipe.edge")


def test_devices_and_sockets(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="/dev/zero: is no ordinary file"):
        open_bundle("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.edge"))
        with pytest.raises(BundleError, match=r"s\.edge: cannot be read"):
            open_bundle(tmp_path / "s.edge")


def test_paths_that_no_file_can_have(tmp_path: Path, tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match="is no path"):
        open_bundle("a\0b.edge")
    with pytest.raises(BundleError, match="cannot be read: File name too long"):
        open_bundle(tmp_path / ("n" * 5000))
    with pytest.raises(BundleError, match="cannot be read: Not a directory"):
        open_bundle(tiny_bundle / "inside")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BundleError, match="cannot be read: Too many levels of symbolic links"):
        open_bundle(tmp_path / "loop")


def test_a_file_without_permission(tiny_bundle: Path, tmp_path: Path) -> None:
    """As another user where the tests run as root, who may read everything."""
    shutil.copy(tiny_bundle, tmp_path / "secret.edge")
    (tmp_path / "secret.edge").chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(BundleError, match=r"secret\.edge: cannot be read: Permission denied"):
            open_bundle(tmp_path / "secret.edge")
    finally:
        if root:
            os.seteuid(0)


def test_a_link_to_a_bundle_is_followed(tiny_bundle: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """The caller chose it; only links inside a bundle are refused."""
    (tmp_path / "a.edge").symlink_to(tiny_bundle)
    (tmp_path / "b.edge").symlink_to(tiny_folder)
    assert open_bundle(tmp_path / "a.edge").verify() == open_bundle(tmp_path / "b.edge").verify() == 11


@pytest.mark.parametrize("kind", ["file", "folder", "outside", "broken"])
def test_a_link_inside_a_folder(folder: Path, kind: str, tmp_path: Path) -> None:
    link = folder / "golden" / "photo0.jpg"
    content = link.read_bytes()
    link.unlink()
    (tmp_path / "outside").write_bytes(content)
    targets = {"file": folder / "golden/photo1.jpg", "outside": tmp_path / "outside", "broken": tmp_path / "none"}
    link.symlink_to(targets.get(kind, folder / "text"))
    with pytest.raises(BundleError, match=r"golden/photo0\.jpg is a symbolic link or no ordinary file; .* not safe"):
        open_bundle(folder)


def test_a_linked_manifest(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").rename(tmp_path / "manifest.json")
    (folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json is a symbolic link"):
        open_bundle(folder)


def test_a_pipe_inside_a_folder(folder: Path) -> None:
    (folder / "card.md").unlink()
    os.mkfifo(folder / "card.md")
    with pytest.raises(BundleError, match=r"card\.md is a symbolic link or no ordinary file"):
        open_bundle(folder)


def test_an_extra_file(folder: Path) -> None:
    (folder / "text" / ".hidden").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"text/\.hidden is not listed in the manifest"):
        open_bundle(folder)


def test_a_file_whose_name_is_not_text(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    with pytest.raises(BundleError, match="is not a plain relative path") as caught:
        open_bundle(folder)
    str(caught.value).encode()


def test_empty_folders_do_no_harm(folder: Path) -> None:
    (folder / "variants" / "empty").mkdir()
    assert open_bundle(folder).verify() == 11


@pytest.mark.parametrize("name", ["card.md", "text/tokenizer.json", "variants/fp32/image.onnx.data"])
def test_a_missing_member(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing; the bundle is incomplete, copy it again"):
        open_bundle(folder)


def test_a_missing_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        open_bundle(folder)


def test_extra_and_missing_members_of_a_zip(tiny_bundle: Path) -> None:
    members = tiny.contents(tiny_bundle)
    with pytest.raises(BundleError, match=r"extra\.bin is not listed in the manifest; the bundle is not safe"):
        open_bundle(tiny.pack({**members, "extra.bin": b"x"}))
    del members["card.md"]
    with pytest.raises(BundleError, match=r"card\.md is missing"):
        open_bundle(tiny.pack(members))


def test_a_member_of_another_size_or_digest(tiny_bundle: Path) -> None:
    """In zips whose own checksums are right: only the manifest's digests can tell."""
    members = tiny.contents(tiny_bundle)
    card = members["card.md"]
    for content, message in (
        (card + b"x", f"card.md: has {len(card) + 1} bytes, the manifest says {len(card)}"),
        (card[:-1], f"card.md: has {len(card) - 1} bytes, the manifest says {len(card)}"),
        (b"", "card.md: has 0 bytes"),
        (card.swapcase(), "card.md: the SHA-256 is not the manifest's; the file is damaged"),
    ):
        bundle = open_bundle(tiny.pack({**members, "card.md": content}))
        for _ in range(2):  # a refusal is not forgotten
            with pytest.raises(BundleError, match=message):
                bundle.read("card.md")
        with pytest.raises(BundleError, match=message):
            bundle.verify()
        assert bytes(bundle.read("text/tokenizer.json")) == members["text/tokenizer.json"]


def test_digests_are_checked_before_a_byte_is_used(folder: Path) -> None:
    path = folder / "golden" / "image_embeddings.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    bundle = open_bundle(folder)
    with pytest.raises(BundleError, match=r"image_embeddings\.npy: the SHA-256"):
        bundle.read("golden/image_embeddings.npy")


def test_a_manifest_of_absurd_size(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 1 << 40)
    with pytest.raises(BundleError, match=r"manifest\.json: has 1099511627776 bytes, at most 16777216 are read"):
        open_bundle(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}"])
def test_a_manifest_that_is_none(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"unpacked: manifest\.json"):
        open_bundle(folder)


def test_refusals_are_input_errors() -> None:
    """So that the command line exits with 2, and `except ValueError` works too."""
    assert issubclass(BundleError, InputError)
    assert issubclass(BundleError, ValueError)


def test_mapped_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    assert bytes(mapped(path)) == b"content"
    path.write_bytes(b"")
    assert bytes(mapped(path)) == b""
    with pytest.raises(BundleError, match="is no ordinary file"):
        mapped(tmp_path)


def test_sha256_of_more_than_one_chunk() -> None:
    data = bytes(range(256)) * (1 << 17)
    assert sha256(data) == hashlib.sha256(data).hexdigest()
    assert sha256(memoryview(data)[5:]) == hashlib.sha256(data[5:]).hexdigest()
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
