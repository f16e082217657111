"""Talking to a child: nonsense is passed over, an end is told, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.bundle.schema import to_plain
from edgekit.trials import process
from edgekit.trials.process import TrialError, TrialProcess
from edgekit.trials.records import Request, Result, Round

REQUEST = Request((), "fp32", "onnxruntime", "cpu", ("image", "text"), 1, (), 1, 0, 60)
GOOD = json.dumps(to_plain(Result("", False, (), 1.5, {"image": 2.5}, None)))


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> TrialProcess:
    """Start a child that runs `script` in place of the worker."""
    monkeypatch.setattr(process, "_START", f"import os, sys, time\nGOOD = {GOOD!r}\n{script}")
    return TrialProcess(Path("b.edge"), REQUEST)


def test_lines_that_are_no_answer_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "print('hello'); print('[]'); print('{\"reason\": 1}'); os.write(1, bytes(range(128, 140)) + b'\\n'); "
    with child(monkeypatch, script + "print(GOOD)") as process:
        assert process.result(60) == Result("", False, (), 1.5, {"image": 2.5}, None)


def test_an_answer_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "for c in GOOD + chr(10): os.write(1, c.encode())"
    with child(monkeypatch, script) as process:
        assert process.result(60).load == 1.5


def test_it_goes_on_after_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "sys.stdin.readline(); print(GOOD, flush=True)\n"
        'for line in sys.stdin: print(\'{"times": {"image": 3.0}}\', flush=True)'
    )
    with child(monkeypatch, script) as process:
        process.result(60)
        assert [process.again(0.1, 60) for _ in range(2)] == [Round({"image": 3.0})] * 2


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "exit code 0 and without a result; it printed nothing"),
        ("sys.exit(7)", "exit code 7"),
        ("print('half of', end=''); sys.stdout.flush()", "exit code 0 and without a result; its last line: half of$"),
        ("sys.stderr.write('why\\x1b[31m\\n\\n \\n'); os.kill(os.getpid(), 11)", r"SIGSEGV; its last line: why\[31m$"),
        ("sys.stderr.write('x' * 10000); os.abort()", "ended by SIGABRT; its last line: x{300}$"),
        (f"os.kill(os.getpid(), {signal.SIGRTMIN + 1})", r"ended by signal \d+;"),
        ("os.close(1); os.close(2); time.sleep(60)", "answered with something else than a result"),
        ("while True: os.write(1, b'x' * 65536)", "answered with something else than a result"),
        ("while True: os.write(1, b'x\\n'); time.sleep(0.01)", "did not answer within 3 s and was ended"),
    ],
    ids=["nothing", "exit", "half-a-line", "colours", "long", "real-time-signal", "closed", "flood", "drizzle"],
)
def test_an_end_without_a_result_is_told(monkeypatch: pytest.MonkeyPatch, script: str, message: str) -> None:
    limit = 3.0 if "drizzle" in script or "0.01" in script else 30.0
    with child(monkeypatch, script) as process, pytest.raises(TrialError, match=message):
        process.result(limit)


def test_closing_ends_the_child_and_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import subprocess\nsubprocess.Popen(['sleep', '600'], stderr=2)\nprint(GOOD, flush=True); time.sleep(600)"
    process = child(monkeypatch, script)
    process.result(60)
    group = process._child.pid
    process.close()
    process.close()
    end = time.monotonic() + 30
    while _members(group) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _members(group)


def _members(group: int) -> list[str]:
    """Return the processes of a group that are not yet reaped zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(path.parent.name)
    return found


def test_a_child_whose_parent_is_killed_ends_by_itself(tiny_bundle: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom edgekit.trials.process import TrialProcess\n"
        "from edgekit.trials.records import Request\n"
        f"p = TrialProcess(Path(sys.argv[1]), {REQUEST!r})\np.result(60)\nprint(p._child.pid, flush=True)\ninput()"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 60
    while _members(group) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _members(group)


def test_the_faulthandler_does_not_hide_the_engines_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    script = "sys.stderr.write('engine: bad tensor\\n'); sys.stderr.flush(); os.abort()"
    with child(monkeypatch, script) as process, pytest.raises(TrialError, match=r"its last line: engine: bad tensor$"):
        process.result(60)
    assert os.environ["PYTHONFAULTHANDLER"] == "1"
