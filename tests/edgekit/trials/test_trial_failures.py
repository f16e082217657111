"""Engines that end their process, hang, lie or flood it: each costs one refusal that says what happened.

The runtime is registered as a third party would do it, through an entry point of an installed distribution, so that the
child processes find it too; its devices are the ways to fail.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit import locations
from edgekit.errors import RuntimeUnavailableError
from edgekit.tuning import finals
from edgekit.tuning.search import Search

if TYPE_CHECKING:
    from edgekit import Tuning
    from edgekit.results import Candidate

ENGINE = """
import ctypes, os, signal, sys, time
import numpy as np
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import Availability

def fail(how):
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        print("moody: assertion failed: rank == 4", file=sys.stderr, flush=True)
        os.abort()
    elif how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "hang":
        # In one write: towers are opened in two threads, whose lines must not run into each other.
        os.write(1, b"moody: waiting for the accelerator\\n")
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(600)
    elif how == "memory":
        hoard = [np.ones(1 << 22) for _ in range(1000)]
    elif how == "native-memory":
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc.argtypes = [ctypes.c_size_t]
        ctypes.memset(libc.malloc(1 << 34) or 8, 1, 1 << 20)
    elif how == "garbage":
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b'\\xff{"reason": 7}\\n')
            except OSError:
                pass
        os._exit(0)
    elif how == "flood":
        for descriptor in range(3, 20):
            try:
                os.set_blocking(descriptor, True)
                for _ in range(64):
                    os.write(descriptor, b"x" * 65536)
            except OSError:
                pass
    elif how == "exception":
        raise ZeroDivisionError("moody: no scale")
    elif how == "exit":
        sys.exit("moody: license expired")

class Session:
    def __init__(self, real, how):
        self.real, self.how, self.inputs, self.outputs = real, how, real.inputs, real.outputs
        self.close, self.placement = real.close, real.placement
    def run(self, inputs):
        found = self.real.run(inputs)
        if self.how == "chatty":
            print("moody: hello", flush=True)
            os.write(1, b"{}\\n[]\\nnot json\\n")
        if self.how == "nan":
            return {name: np.full_like(array, np.nan) for name, array in found.items()}
        if self.how == "late":
            fail("abort")
        return found

class Moody:
    name, formats = "moody", frozenset({"onnx"})
    def available(self):
        return Availability(True, "1.0", "")
    def devices(self):
        return tuple(os.environ["MOODY"].split())
    def open(self, artifact, device, settings):
        fail(device)
        return Session(OnnxRuntime().open(artifact, "cpu", settings), device)
"""
WAYS = {
    "segfault": r"^ended by SIGSEGV; it printed nothing$",
    "abort": r"^ended by SIGABRT; its last line: moody: assertion failed: rank == 4$",
    "late": r"^ended by SIGABRT; its last line: moody: assertion failed",
    "killed": r"^ended by SIGKILL, most likely by the system for lack of memory",
    "hang": r"^did not answer within 12 s and was ended; its last line: moody: waiting for the accelerator$",
    "memory": r"^out of memory; it may allocate 1500 MB$",
    "native-memory": r"^ended by SIGSEGV",
    "garbage": r"^ended with exit code 0 and without a result; its last line: .*reason",
    "flood": r"^answered with something else than a result|^did not answer",
    "exception": r"^ended with exit code 1 and without a result; its last line: ZeroDivisionError: moody: no scale$",
    "exit": r"^ended with exit code 1 and without a result; its last line: moody: license expired$",
    "nan": r"the embedding holds NaN or infinity",
}


def register(monkeypatch: pytest.MonkeyPatch, folder: Path, devices: str) -> None:
    """Install the distribution `moody` into a folder on the path, for this process and those it starts."""
    (folder / "moody_engine.py").write_text(ENGINE)
    home = folder / "moody-1.0.dist-info"
    home.mkdir(exist_ok=True)
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[edgekit.runtimes]\nmoody = moody_engine:Moody\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("MOODY", devices)


@pytest.fixture(autouse=True)
def _forget_the_engine() -> object:
    yield
    sys.modules.pop("moody_engine", None)


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """One tuning over every way to fail, and two that work."""
    folder = tmp_path_factory.mktemp("moody")
    bundle = tiny.build(folder / "tiny.edge")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("EDGEKIT_CACHE", str(folder / "cache"))
        monkeypatch.setattr(finals, "ROUND_SECONDS", 0.02)
        register(monkeypatch, folder, " ".join([*WAYS, "chatty", "good"]))
        return edgekit.tune(bundle, runtime="moody", threads=(1,), trial_seconds=12, memory=1500)


def outcome(tuning: Tuning, device: str) -> Candidate:
    (found,) = (c for c in tuning.candidates if c.device == device)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_it_costs_one_refusal_that_says_what_happened(tuning: Tuning, way: str) -> None:
    found = outcome(tuning, way)
    assert found.ran
    assert not found.accepted
    assert re.search(WAYS[way], found.reason), found.reason
    assert len(found.reason) < 400


def test_the_others_are_measured_all_the_same(tuning: Tuning) -> None:
    for device in ("good", "chatty"):
        found = outcome(tuning, device)
        assert found.accepted, found.reason
        assert found.cost is not None
        assert set(found.cost.towers) == {"image", "text"}
        assert len(found.checks) == 2
    assert tuning.chosen.device in ("good", "chatty")
    assert len(tuning.candidates) == len(WAYS) + 2


def test_the_table_shows_what_was_refused(tuning: Tuning) -> None:
    text = str(tuning)
    assert "fp32 on moody 1.0 (segfault, 1 thread)  refused: ended by SIGSEGV" in text
    assert f"chosen: {tuning.chosen}" in text


def test_when_every_candidate_crashes_the_message_lists_them(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, tmp_path, "abort")
    with pytest.raises(RuntimeUnavailableError, match="ended by SIGABRT"):
        edgekit.tune(tiny_bundle, runtime="moody", threads=(1,))
    assert not list((locations.cache_dir() / "decisions").glob("*"))


def test_a_finalist_that_dies_before_the_last_rounds_loses(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, tmp_path, "good other")
    real = Search.run

    def run(self: Search, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        self._finalists._all[0].process._child.kill()  # as the system would, short of memory

    monkeypatch.setattr(Search, "run", run)
    found = edgekit.tune(tiny_bundle, runtime="moody", threads=(1,))
    dead = [c for c in found.candidates if not c.accepted]
    if len(dead) == 1:  # the two were near enough to each other for last rounds
        assert dead[0].reason.startswith("passed, but ended by SIGKILL")
        assert found.chosen.accepted
    assert found.chosen.accepted
