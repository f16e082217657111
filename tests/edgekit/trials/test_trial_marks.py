"""A candidate that ends the process at one load is not tried at the next; one that another load tries now is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import edgekit
from edgekit import locations
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices
from edgekit.errors import RuntimeUnavailableError
from edgekit.judging import Choice
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials import marks, process
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MARK = "a" * 64
# Judges the mark named by its argument, says so, and waits for a line before it ends.
JUDGE = """
import sys
from edgekit.trials import marks
with marks.judging(sys.argv[1]):
    print("judging", flush=True)
    sys.stdin.readline()
"""
# Loads a bundle with an engine that ends the process for one device.
LOAD = """
import os, sys
sys.path.insert(0, sys.argv[2])
import pytest, edgekit
from spy_runtime import SpyRuntime, install
class Fatal(SpyRuntime):
    def open(self, artifact, device, settings):
        if device == "npu":
            os.abort()
        return super().open(artifact, device, settings)
install(pytest.MonkeyPatch(), Fatal(offers=("npu", "cpu")))
for candidate in edgekit.load(sys.argv[1]).explain().candidates:
    print(candidate)
"""
HELPERS = str(Path(__file__).parents[2] / "helpers")


def mark_files() -> list[Path]:
    folder = locations.cache_dir() / "judging"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def start(mark: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", JUDGE, mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"judging\n"
    return child


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSEGV], ids=["SIGKILL", "SIGSEGV"])
def test_a_process_that_was_ended_leaves_its_mark(way: signal.Signals) -> None:
    child = start(MARK)
    assert not marks.crashed(MARK)  # it is alive
    child.send_signal(way)
    child.communicate()
    assert marks.crashed(MARK)
    assert marks.crashed(MARK)  # looking changes nothing
    assert not marks.crashed("b" * 64)
    marks.forget(MARK)
    assert not marks.crashed(MARK)
    assert not mark_files()


def test_a_process_that_ends_well_leaves_nothing() -> None:
    child = start(MARK)
    assert len(mark_files()) == 1
    child.communicate(b"\n")
    assert child.returncode == 0
    assert not mark_files()
    assert not marks.crashed(MARK)


def test_two_at_once_do_not_misread_each_other() -> None:
    with marks.judging(MARK):
        assert not marks.crashed(MARK)
        with marks.judging(MARK):
            assert not marks.crashed(MARK)
        assert len(mark_files()) == 1
    found: list[bool] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            found.append(marks.crashed(MARK))

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    for _ in range(200):
        with marks.judging(MARK):
            pass
    stop.set()
    for looker in lookers:
        looker.join()
    assert found
    assert not any(found)


def test_an_exception_is_no_crash() -> None:
    with pytest.raises(KeyboardInterrupt), marks.judging(MARK):
        raise KeyboardInterrupt
    assert not mark_files()


def test_a_mark_of_an_earlier_boot_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = start(MARK)
    child.kill()
    child.communicate()
    monkeypatch.setattr(marks, "_boot", lambda: "another boot")
    assert not marks.crashed(MARK)


@pytest.mark.parametrize("broken", ["file", "none"])
def test_without_a_cache_there_is_no_guard_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "file":
        (tmp_path / "file").write_text("not a folder")
        monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    else:
        monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    with marks.judging(MARK):
        pass
    assert not marks.crashed(MARK)
    marks.forget(MARK)


def test_a_file_system_without_locks_has_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with marks.judging(MARK):
        assert not mark_files()
    assert not mark_files()


@pytest.mark.parametrize(
    "change",
    [
        lambda c, s, t: (c._replace_device("npu"), s, t),
        lambda c, s, t: (c._replace_version("10"), s, t),
        lambda c, s, t: (c, SessionSettings(options=(("a", "b"),)), t),
        lambda c, s, t: (c, SessionSettings(allow_cpu=True), t),
        lambda c, s, t: (c, s, ("image",)),
    ],
    ids=["device", "version", "options", "allow_cpu", "towers"],
)
def test_a_mark_is_of_one_candidate(tiny_bundle: Path, change: Callable[..., Any]) -> None:
    class Changeable(Choice):
        def _replace_device(self, device: str) -> Choice:
            return Choice(self.variant, self.runtime, self.version, device)

        def _replace_version(self, version: str) -> Choice:
            return Choice(self.variant, self.runtime, version, self.device)

    bundle = open_bundle(tiny_bundle)
    choice = Changeable(bundle.manifest.variants[0], SpyRuntime(), "9.9", "cpu")
    towers = ("image", "text")
    mark = marks.mark_of(bundle, choice, SessionSettings(), towers)  # type: ignore[arg-type]
    assert mark == marks.mark_of(bundle, choice, SessionSettings(threads=3), towers)  # type: ignore[arg-type]
    assert mark != marks.mark_of(bundle, *change(choice, SessionSettings(), towers))


def load(bundle: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LOAD, str(bundle), HELPERS], capture_output=True, text=True)


def test_an_app_crashes_once_and_then_takes_what_works(tiny_bundle: Path) -> None:
    first = load(tiny_bundle)
    assert first.returncode == -signal.SIGABRT
    second = load(tiny_bundle)
    assert second.returncode == 0, second.stderr
    npu, cpu = second.stdout.splitlines()
    # The child has the real engine, which knows no such device: that is refused too.
    assert npu.startswith(f"fp32 on onnxruntime 9.9 (npu)  refused: {marks.CRASHED}; ")
    assert cpu.endswith("ok")
    assert len(mark_files()) == 1


def killed_load(path: Path) -> None:
    """Leave the mark of a load that was killed from outside, which is nobody's fault."""
    bundle = open_bundle(path)
    (choice,), _ = list_choices(bundle, None, "onnxruntime", "cpu")
    child = start(marks.mark_of(bundle, choice, SessionSettings(), ("image", "text")))
    child.kill()
    child.communicate()
    assert mark_files()


def test_a_load_that_was_killed_is_tried_again_in_a_child_process(tiny_bundle: Path) -> None:
    killed_load(tiny_bundle)
    with edgekit.load(tiny_bundle, runtime="onnxruntime") as clip:
        assert clip.explain().chosen.accepted
    assert not mark_files()


def test_a_candidate_that_ends_the_child_too_stays_refused(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_load(tiny_bundle)
    monkeypatch.setattr(process, "PREFIX", ("/bin/sh", "-c", "kill -SEGV $$"))
    with pytest.raises(RuntimeUnavailableError, match="in a child process: ended by SIGSEGV"):
        edgekit.load(tiny_bundle, runtime="onnxruntime")
    assert mark_files()


def test_tuning_clears_the_mark_of_what_does_well(tiny_bundle: Path) -> None:
    killed_load(tiny_bundle)
    # No child can open what lies in this process's memory.
    with pytest.raises(RuntimeUnavailableError, match="ended the process when an earlier load here tried it"):
        edgekit.load(tiny_bundle.read_bytes(), runtime="onnxruntime")
    edgekit.tune(tiny_bundle, runtime="onnxruntime", threads=(1,))
    assert not mark_files()
    with edgekit.load(tiny_bundle, runtime="onnxruntime", settings=SessionSettings(threads=0)) as clip:
        assert clip.explain().chosen.accepted


def test_a_load_that_goes_well_leaves_no_mark(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("good"), SpyRuntime("picky", refuses="no such operator"))
    with edgekit.load(tiny_bundle):
        assert not mark_files()
