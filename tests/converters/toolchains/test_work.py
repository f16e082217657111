"""However a worker ends, the caller gets its result or one error with the tool's own last lines."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgekit.converters.toolchains import launch, memory, store, work
from edgekit.converters.toolchains.work import Limits
from edgekit.errors import ConversionError, MissingDependencyError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def ready(bare, tmp_path_factory):
    """A cache that holds the bare toolchain; nothing here changes it."""
    home = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EDGEKIT_CACHE", str(home))
        store.install(bare)
    return home


@pytest.fixture
def ask(bare, ready, tmp_path, monkeypatch):
    """Run the body of a worker's ``run(job)`` in a bare toolchain."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(ready))
    folder = tmp_path / "work"
    folder.mkdir()

    def run(body: str, request=None, limits: Limits | None = None, stages=None):
        worker = tmp_path / "worker.py"
        lines = "".join(f"    {line}\n" for line in body.split("\n"))
        worker.write_text(f"import os, sys, time\ndef run(job):\n{lines}")
        say = stages.append if stages is not None else lambda _: None
        return work.run(bare, worker, folder, request or {}, limits or Limits(60.0), say)

    run.folder = folder
    return run


def test_a_request_becomes_a_result(ask) -> None:
    stages: list[str] = []
    body = "job.stage('adding')\nprint('noise')\njob.stage('done')\nreturn {'sum': sum(job.request['numbers'])}"
    answer = ask(body, {"numbers": [1, 2, 39]}, stages=stages)
    assert answer.result == {"sum": 42}
    assert stages == ["adding", "done"]
    assert answer.seconds >= 0
    assert work.tail(ask.folder) == "  noise"


def test_edgekit_is_not_there_and_nothing_of_this_environment(ask, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ask.folder))
    body = "import importlib.util\nreturn {n: importlib.util.find_spec(n) is not None for n in ('edgekit', 'numpy')}"
    assert ask(body).result == {"edgekit": False, "numpy": False}


def test_it_works_in_its_own_folder(ask) -> None:
    ask("open('made.bin', 'wb').write(b'x')\nreturn {}")
    assert (ask.folder / "made.bin").read_bytes() == b"x"


def test_a_worker_loads_the_files_beside_it_once(ask, tmp_path) -> None:
    (tmp_path / "json.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Pair:\n    left: int\n    right: int = 2\n"
    )
    body = (
        "tools = job.sibling('json')\nimport json\npair = tools.Pair(1)\n"
        "return {'sum': pair.left + pair.right, 'once': job.sibling('json') is tools, 'own': hasattr(json, 'dumps')}"
    )
    # A file with a package's name does not take its place.
    assert ask(body).result == {"sum": 3, "once": True, "own": True}


def test_a_file_that_is_not_beside_the_worker_is_named(ask) -> None:
    with pytest.raises(ConversionError, match=r"No such file or directory: .*nowhere\.py"):
        ask("return {'found': str(job.sibling('nowhere'))}")


def test_a_refusal_keeps_its_kind(ask) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^no such chip$"):
        ask("raise job.refused('no such chip', 'UnsupportedModelError')")
    with pytest.raises(ConversionError, match=r"^plain$"):
        ask("raise job.refused('plain')")
    with pytest.raises(ConversionError, match=r"^odd$"):
        ask("raise job.refused('odd', 'Path')")


def test_an_exception_is_told_with_the_last_lines(ask) -> None:
    with pytest.raises(ConversionError, match=r"bare: failed with exit code 1; [\s\S]*ValueError: bad layer 7"):
        ask("raise ValueError('bad layer 7')")


def test_a_crash_is_told_by_its_signal(ask) -> None:
    with pytest.raises(ConversionError, match=r"ended by SIGSEGV; its last lines:\n  about to fall"):
        ask("print('about to fall', flush=True)\nos.kill(os.getpid(), 11)")


def test_being_killed_points_at_memory(ask) -> None:
    with pytest.raises(ConversionError, match=r"SIGKILL .*memory"):
        ask("os.kill(os.getpid(), 9)")


def test_out_of_memory_is_told(ask) -> None:
    with pytest.raises(ConversionError, match="out of memory"):
        ask("raise MemoryError")


def test_a_refused_licence_is_told(ask) -> None:
    with pytest.raises(ConversionError, match=r"refused for its licence[\s\S]*No valid license found"):
        ask("print('E: No valid license found for this host', flush=True)\nsys.exit(3)")


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("ERROR: License checkout failed", True),
        ("the licence of this host has expired", True),
        ("Permission to use the license was denied", True),
        ("Licensed under the Apache License, Version 2.0", False),
        ("This software is published under the MIT license.\\nlayer 7: not supported", False),
    ],
)
def test_a_licence_is_blamed_only_where_it_was_refused(ask, said: str, refused: bool) -> None:
    with pytest.raises(ConversionError) as caught:
        ask(f"print('{said}', flush=True)\nsys.exit(3)")
    assert ("refused for its licence (failed with exit code 3)" in str(caught.value)) == refused
    assert "failed with exit code 3" in str(caught.value)


def test_the_time_limit_ends_it_with_its_children(ask) -> None:
    body = "import subprocess\nsubprocess.Popen(['sleep', '60'])\nprint('waiting', flush=True)\ntime.sleep(60)"
    with pytest.raises(ConversionError, match=r"longer than its limit of 0\.6 s; its last lines:\n  waiting"):
        ask(body, limits=Limits(0.6))


def test_the_memory_limit_ends_it(ask) -> None:
    body = "kept = []\nwhile True:\n    kept.append(b'x' * (8 << 20))\n    time.sleep(0.01)"
    with pytest.raises(ConversionError, match=r"used 0\.\d GB of memory, the limit is 0\.1 GB"):
        ask(body, limits=Limits(60.0, 100_000_000))


def test_peak_memory_is_seen(ask) -> None:
    answer = ask("kept = b'x' * (64 << 20)\ntime.sleep(0.5)\nreturn {'n': len(kept)}")
    assert 64 << 20 < answer.peak_bytes < 1 << 30


def test_ending_without_a_result_is_an_error(ask) -> None:
    with pytest.raises(ConversionError, match="ended without a result"):
        ask("os._exit(0)")


def test_an_old_result_is_not_taken_for_a_new_one(ask) -> None:
    assert ask("return {'n': 1}").result == {"n": 1}
    with pytest.raises(ConversionError, match="without a result"):
        ask("os._exit(0)")


def test_colours_and_progress_bars_are_left_out(ask) -> None:
    with pytest.raises(ConversionError, match=r"lines:\n  E rknn: no\n  100%$"):
        ask("print('\\x1b[1;31mE\\x1b[0m rknn: no\\n 10%\\r100%\\n', flush=True)\nos._exit(2)")


def test_what_is_not_installed_is_said(bare, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="edgekit toolchain install bare"):
        work.run(bare, tmp_path / "none.py", tmp_path, {}, Limits())


def test_memory_of_a_session_counts_children() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True)
    try:
        seen = 0
        for _ in range(100):
            seen = max(seen, memory.session_bytes(child.pid))
            if seen > 12_000_000:
                break
            subprocess.run(["sleep", "0.05"], check=True)
        assert seen > 12_000_000  # one Python alone takes less
    finally:
        child.communicate(b"\n")
    assert memory.session_bytes(child.pid) == 0


def test_the_launcher_runs_here_too(tmp_path: Path) -> None:
    worker = tmp_path / "w.py"
    worker.write_text("def run(job):\n    job.stage('s')\n    return job.request\n")
    (tmp_path / launch.REQUEST).write_text('{"a": "ü"}', encoding="utf-8")
    assert launch.main(worker, tmp_path) == 0
    assert json.loads((tmp_path / launch.RESULT).read_text()) == {"result": {"a": "ü"}}
    assert (tmp_path / launch.STAGES).read_text() == '"s"\n'
