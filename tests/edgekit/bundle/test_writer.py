"""Writing: what a reader would refuse is never written, and an interruption leaves everything as it was."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

import tiny_bundle as tiny
from edgekit.bundle import container, writer
from edgekit.bundle.reader import open_bundle, sha256
from edgekit.bundle.writer import write_bundle
from edgekit.errors import BundleError, EdgekitError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgekit.bundle.manifest import Manifest

BEFORE = b"what stood here before"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file to be replaced, alone in its folder."""
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "model.edge"
    path.write_bytes(BEFORE)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Manifest, Path]:
    """Members to pack, and their manifest without the list of files."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return tiny.tree(folder), folder


def _untouched(target: Path) -> None:
    assert target.read_bytes() == BEFORE
    assert list(target.parent.iterdir()) == [target]


def test_what_is_returned_is_what_was_written(target: Path, tree: tuple[Manifest, Path]) -> None:
    manifest, folder = tree
    written = write_bundle(target, manifest, folder)
    assert open_bundle(target).manifest == written
    assert replace(written, files=()) == manifest
    expected = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert [record.path for record in written.files] == sorted(expected)
    for record in written.files:
        content = expected[record.path].read_bytes()
        assert (record.size, record.sha256) == (len(content), sha256(content))
    assert list(target.parent.iterdir()) == [target]


def test_the_files_of_the_manifest_given_are_replaced(target: Path, tree: tuple[Manifest, Path]) -> None:
    manifest, folder = tree
    once = write_bundle(target, manifest, folder)
    assert write_bundle(target, once, folder) == once


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, name=""),
        lambda m: replace(m, variants=()),
        lambda m: replace(m, provenance=()),
        lambda m: replace(m, schema_version=2),
        lambda m: replace(m, name=5),
        lambda m: replace(m, description="\ud800"),
        lambda m: replace(m, description=b"bytes"),
        lambda m: replace(m, embedding=replace(m.embedding, scores="hardmax")),
        lambda m: replace(m, embedding=replace(m.embedding, logit_bias=math.nan)),
        lambda m: replace(m, text=replace(m.text, tokenizer="text/none.json")),
        lambda m: replace(m, text=replace(m.text, context_length=8.0)),
    ],
)
def test_a_manifest_that_no_reader_would_take(
    change: Callable[[Any], Any], target: Path, tree: tuple[Manifest, Path]
) -> None:
    manifest, folder = tree
    with pytest.raises(BundleError):
        write_bundle(target, change(manifest), folder)
    _untouched(target)


@pytest.mark.parametrize("name", ["manifest.json", "Manifest.JSON", "a\\b", "a:b", "CARD.md"])
def test_a_member_that_no_reader_would_take(name: str, target: Path, tree: tuple[Manifest, Path]) -> None:
    manifest, folder = tree
    (folder / name).write_bytes(b"x")
    with pytest.raises(BundleError):
        write_bundle(target, manifest, folder)
    _untouched(target)


def test_bytes_that_change_on_the_way_to_the_disk(
    target: Path, tree: tuple[Manifest, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read back before anything is replaced."""

    def careless(stream: BinaryIO, members: Iterator[tuple[str, BinaryIO]]) -> None:
        container.write(stream, members)
        stream.seek(-3000, 2)
        stream.write(b"?")

    monkeypatch.setattr(writer, "write", careless)
    with pytest.raises(BundleError, match=r"model\.edge"):
        write_bundle(target, *tree)
    _untouched(target)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit, OSError(28, "No space left on device")])
@pytest.mark.parametrize("after", [0, 1, 5, 11])
def test_an_interruption(
    error: Any, after: int, target: Path, tree: tuple[Manifest, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two members."""

    def interrupted(stream: BinaryIO, members: Iterator[tuple[str, BinaryIO]]) -> None:
        def some() -> Iterator[tuple[str, BinaryIO]]:
            yield from islice(members, after)
            raise error

        container.write(stream, some())

    monkeypatch.setattr(writer, "write", interrupted)
    with pytest.raises(error if isinstance(error, type) else OSError):
        write_bundle(target, *tree)
    _untouched(target)


def test_an_interruption_while_reading_back(
    target: Path, tree: tuple[Manifest, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "ZipMembers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(target, *tree)
    _untouched(target)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import tiny_bundle as tiny
from edgekit.bundle.writer import write_bundle
folder, target = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir()
manifest = tiny.tree(folder)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails, as it does on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    write_bundle(target, manifest, folder)
except OSError as error:
    print("refused:", error.strerror)
"""


@pytest.mark.parametrize("limit", [0, 1, 5000, 20_000, 30_000])
def test_a_disk_that_fills(limit: int, target: Path, tmp_path: Path) -> None:
    helpers = str(Path(tiny.__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.append({helpers!r})\n{FULL_DISK}"]
    done = subprocess.run(
        [*command, str(tmp_path / "members"), str(target), str(limit)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused: File too large\n"
    _untouched(target)


def test_targets_that_cannot_be_written(tree: tuple[Manifest, Path], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "a.edge", Path("/dev/null"), Path("/proc/a.edge")):
        with pytest.raises(InputError, match=str(path)):
            write_bundle(path, *tree)
    assert Path("/dev/null").is_char_device()


def test_every_kind_of_tiny_bundle_is_a_valid_bundle(tmp_path: Path) -> None:
    """Their faults are in the models, where the bundle's reader does not look."""
    path = tiny.build(tmp_path / "all.edge", variants=tiny.KINDS)
    assert open_bundle(path).verify() > 2 * len(tiny.KINDS)
    assert [variant.id for variant in open_bundle(path).manifest.variants] == list(tiny.KINDS)


def test_errors_of_writing_are_edgekits_own() -> None:
    assert issubclass(BundleError, EdgekitError)
