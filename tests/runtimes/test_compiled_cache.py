"""Compiled models are used for the very key they were made for, whole, and for nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.runtimes import compiled_cache, compiled_entry
from edgekit.runtimes.compiled_cache import LIMIT
from edgekit.runtimes.compiled_entry import MANIFEST, Key
from edgekit.runtimes.protocol import Artifact, Blob, NodePlacement, Placement

KEY = Key("a" * 64, "onnxruntime 1.31.1", "onnxruntime-qnn 2.7.0", "qnn:QCS6490 htp_arch=68", "")
PLACED = Placement((NodePlacement("conv", "Conv", "qnn"), NodePlacement("rows", "MatMul", "qnn")))


def make(content: bytes = b"binary", placement: Placement | None = PLACED):
    def write(folder: Path) -> Placement | None:
        (folder / "context.onnx").write_bytes(b"graph")
        (folder / "context.bin").write_bytes(content)
        return placement

    return write


def test_what_was_kept_is_found_with_its_placement() -> None:
    assert compiled_cache.find(KEY) == compiled_cache.Found(None, "")
    assert compiled_cache.keep(KEY, make()) == ""
    found = compiled_cache.find(KEY)
    assert found.note == ""
    assert found.entry is not None
    assert found.entry.placement == PLACED
    assert (found.entry.folder / "context.bin").read_bytes() == b"binary"
    assert found.entry.size == 11
    # Nothing else is left: no work folder, no lock.
    assert [path.name for path in compiled_cache.home().iterdir()] == [KEY.name]


@pytest.mark.parametrize("field", [field.name for field in fields(Key)])
def test_another_key_is_another_model(field: str) -> None:
    compiled_cache.keep(KEY, make())
    other = replace(KEY, **{field: "b" * 64})
    assert other.name != KEY.name
    assert compiled_cache.find(other).entry is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"compiler": "onnxruntime-qnn 2.6.0"}, "compiler was onnxruntime-qnn 2.6.0, is onnxruntime-qnn 2.7.0"),
        ({"runtime": "onnxruntime 1.30"}, "runtime was onnxruntime 1.30, is onnxruntime 1.31.1"),
    ],
)
def test_another_version_is_out_of_date_and_replaced(changed: dict[str, str], told: str) -> None:
    compiled_cache.keep(replace(KEY, **changed), make(b"old"))
    found = compiled_cache.find(KEY)
    assert found.entry is None
    assert found.note == f"the compiled model kept for {KEY.device} is out of date: {told}; it was compiled again"
    compiled_cache.keep(KEY, make(b"new"))
    assert [entry.key for entry in compiled_cache.entries()] == [KEY]
    assert compiled_cache.find(KEY).note == ""


@pytest.mark.parametrize(
    "changed", [{"device": "qnn:SM8650"}, {"options": "provider.vtcm_mb=4"}, {"artifact": "c" * 64}]
)
def test_what_is_for_another_device_stays(changed: dict[str, str]) -> None:
    other = replace(KEY, **changed)
    compiled_cache.keep(other, make())
    assert compiled_cache.find(KEY).note == ""
    compiled_cache.keep(KEY, make())
    assert {entry.key for entry in compiled_cache.entries()} == {KEY, other}


def _truncate(folder: Path) -> None:
    (folder / "context.bin").write_bytes(b"bin")


def _flip(folder: Path) -> None:
    (folder / "context.bin").write_bytes(b"binarx")


def _lose(folder: Path) -> None:
    (folder / "context.bin").unlink()


def _cut_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


def _lie(folder: Path) -> None:
    found = json.loads((folder / MANIFEST).read_text())
    found["key"]["device"] = "qnn:SM8650"
    (folder / MANIFEST).write_text(json.dumps(found))


def _empty(folder: Path) -> None:
    found = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**found, "files": {}}))


def _shorten_a_node(folder: Path) -> None:
    found = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**found, "placement": [["conv", "Conv"]]}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_truncate, "context.bin was changed"),
        (_flip, "context.bin was changed"),
        (_lose, "context.bin cannot be read (No such file or directory)"),
        (_cut_manifest, "its manifest.json cannot be read (JSONDecodeError)"),
        (_lie, "device was qnn:SM8650, is qnn:QCS6490 htp_arch=68"),
        (_empty, "it holds no file"),
        (_shorten_a_node, "its manifest.json cannot be read (ValueError)"),
    ],
)
def test_damage_is_told_and_never_used(damage, told: str) -> None:
    compiled_cache.keep(KEY, make())
    damage(compiled_cache.home() / KEY.name)
    found = compiled_cache.find(KEY)
    assert found.entry is None
    assert found.note == f"the compiled model kept for {KEY.device} is damaged: {told}; it was compiled again"
    assert compiled_cache.find(KEY) == compiled_cache.Found(None, "")


def test_what_compiles_to_nothing_is_not_kept() -> None:
    assert compiled_cache.keep(KEY, make(placement=None)) == ""
    assert list(compiled_cache.home().iterdir()) == []


def test_an_error_of_the_compiler_passes_through_and_leaves_nothing() -> None:
    def fail(folder: Path) -> Placement:
        (folder / "half").write_bytes(b"x")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        compiled_cache.keep(KEY, fail)
    assert list(compiled_cache.home().iterdir()) == []


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1")
    keys = [replace(KEY, artifact=name * 64) for name in "abc"]
    for i, key in enumerate(keys[:2]):
        compiled_cache.keep(key, make(b"x" * 400_000))
        os.utime(compiled_cache.home() / key.name / MANIFEST, (i, i))
    assert compiled_cache.find(keys[0]).entry is not None  # used just now
    compiled_cache.keep(keys[2], make(b"x" * 400_000))
    assert {entry.key for entry in compiled_cache.entries()} == {keys[0], keys[2]}
    # One that is too large alone stays, since it was just made for a load that uses it.
    compiled_cache.keep(keys[1], make(b"x" * 2_000_000))
    assert [entry.key for entry in compiled_cache.entries()] == [keys[1]]


def test_a_limit_of_nothing_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "0")
    called = []
    assert compiled_cache.keep(KEY, lambda folder: called.append(folder)) == ""
    assert not called
    assert not compiled_cache.home().exists()


@pytest.mark.parametrize("given", ["-1", "2 GB", "1.5", "many"])
def test_a_limit_that_is_no_number_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, given)
    with pytest.raises(InputError, match=f"{LIMIT} is '{given}'; give megabytes"):
        compiled_cache.limit_bytes()


def test_where_nothing_can_be_written_the_reason_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    called = []
    told = compiled_cache.keep(KEY, lambda folder: called.append(folder))
    assert told.startswith(f"the compiled model could not be kept: {tmp_path / 'file'}")
    assert not called
    assert compiled_cache.find(KEY) == compiled_cache.Found(None, "")
    assert compiled_cache.entries() == ()


def test_clear_removes_everything() -> None:
    compiled_cache.keep(KEY, make())
    (compiled_cache.home() / "strange").mkdir()
    assert compiled_cache.clear() == 11
    assert list(compiled_cache.home().iterdir()) == []
    assert compiled_cache.clear() == 0


_KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {helpers!r})
from test_compiled_cache import KEY
from edgekit.runtimes import compiled_cache
def make(folder):
    (folder / "context.onnx").write_bytes(b"half")
    Path({ready!r}).touch()
    time.sleep(60)
compiled_cache.keep(KEY, make)
"""


def test_a_process_that_was_killed_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = _KILLED.format(helpers=str(Path(__file__).parent), ready=str(ready))
    child = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not ready.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # While it lives, its half-written folder is not ours to remove, and nobody sees it.
    compiled_cache.keep(replace(KEY, artifact="d" * 64), make())
    assert list(compiled_cache.home().glob(".work-*"))
    assert compiled_cache.find(KEY).entry is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert compiled_cache.find(KEY) == compiled_cache.Found(None, "")
    assert compiled_cache.keep(KEY, make()) == ""
    assert not list(compiled_cache.home().glob(".work-*"))
    assert compiled_cache.find(KEY).entry is not None


_TOGETHER = """
import sys, time
sys.path.insert(0, {helpers!r})
from test_compiled_cache import KEY, make
from edgekit.runtimes import compiled_cache
def slowly(folder):
    placement = make(bytes([{number}]) * 100_000)(folder)
    time.sleep(max(0, {until} - time.time()))
    return placement
sys.exit(compiled_cache.keep(KEY, slowly) or 0)
"""


def test_processes_that_compile_the_same_at_once_all_succeed() -> None:
    helpers, until = str(Path(__file__).parent), time.time() + 4
    children = [
        subprocess.Popen([sys.executable, "-c", _TOGETHER.format(helpers=helpers, number=i, until=until)])
        for i in range(3)
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    found = compiled_cache.find(KEY).entry
    assert found is not None
    content = (found.folder / "context.bin").read_bytes()
    assert len(content) == 100_000
    assert len(set(content)) == 1
    assert [path.name for path in compiled_cache.home().iterdir()] == [KEY.name]


TEXT = st.text(max_size=20)


@given(st.builds(Key, TEXT, TEXT, TEXT, TEXT, TEXT), st.builds(Key, TEXT, TEXT, TEXT, TEXT, TEXT))
def test_names_and_differences_of_any_keys(one: Key, other: Key) -> None:
    assert (one.name == other.name) == (one == other)
    assert (one.differences(other) == "") == (one == other)
    assert len(one.name) == 32
    assert one.name.isalnum()


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_an_entry_or_a_clear_refusal(tmp_path_factory: pytest.TempPathFactory, found: object) -> None:
    folder = tmp_path_factory.mktemp("entry")
    for text in (found, {"key": found, "files": found, "placement": found}):
        (folder / MANIFEST).write_text(json.dumps(text))
        with pytest.raises(ValueError, match=r"its manifest\.json cannot be read"):
            compiled_entry.read(folder)


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".", ".."])
def test_a_file_outside_the_entry_is_no_file_of_it(name: str) -> None:
    compiled_cache.keep(KEY, make())
    path = compiled_cache.home() / KEY.name / MANIFEST
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "files": {name: "0" * 64}}))
    assert "cannot be read" in compiled_cache.find(KEY).note


def test_a_digest_covers_the_sidecars_and_their_names() -> None:
    def artifact(model: bytes, **sidecars: bytes) -> Artifact:
        return Artifact("m", "onnx", Blob(memoryview(model)), {k: Blob(memoryview(v)) for k, v in sidecars.items()})

    digests = {
        compiled_entry.digest(one)
        for one in (
            artifact(b"m"),
            artifact(b"n"),
            artifact(b"m", a=b"1"),
            artifact(b"m", a=b"2"),
            artifact(b"m", b=b"1"),
            artifact(b"m", a=b"1", b=b""),
            artifact(b"", m=b""),
        )
    }
    assert len(digests) == 7
    assert compiled_entry.digest(artifact(b"m", a=b"1")) == compiled_entry.digest(artifact(b"m", a=b"1"))
