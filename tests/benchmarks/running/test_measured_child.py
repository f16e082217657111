"""The child process: what it tells comes through, and however it ends becomes one clear error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from edgekit.benchmarks.running.child import Child
from edgekit.benchmarks.running.events import Event, Note, Phase, Tick
from edgekit.errors import BundleError, ExecutionError, InputError


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules a child can import."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def follow(module: Path, body: str, silence: float = 60.0) -> list[Event]:
    """Let a child run `body` and return what it told."""
    start = "import os, sys, time, signal\nfrom edgekit.benchmarks.running import worker, events\n"
    inner = textwrap.indent(textwrap.dedent(body), "    ")
    (module / "some_child.py").write_text(f"{start}def main(folder):\n{inner}\n")
    told: list[Event] = []
    with Child("some_child", module) as child:
        child.follow(told.append, silence)
    return told


def test_events_come_through_and_chatter_does_not(module: Path) -> None:
    told = follow(
        module,
        """
        answers = worker.open_answers()
        print("an engine's banner", flush=True)
        os.write(1, b"more of it")
        worker.send(answers, events.Phase("load"))
        answers.write("no event\\n{}\\n[1]\\n")
        worker.send(answers, events.Tick(1.5, 3.0, 7))
        worker.send(answers, events.Note("ü"))
        """,
    )
    assert told == [Phase("load"), Tick(1.5, 3.0, 7), Note("ü")]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BundleError", BundleError),
        ("InputError", InputError),
        ("NoSuchError", ExecutionError),
        ("dict", ExecutionError),
    ],
)
def test_an_error_that_is_meant_for_the_user_keeps_its_type(module: Path, kind: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=r"^the file is broken$"):
        follow(module, f"import json\nprint(json.dumps({{'error': ['{kind}', 'the file is broken']}}))\nsys.exit(1)")


def test_errors_of_edgekit_and_of_memory_are_answered_and_others_are_crashes(module: Path) -> None:
    raising = "def step():\n    raise {}\nfrom edgekit.errors import GoldenError\nworker.answer_errors(step)"
    with pytest.raises(Exception, match="wrong numbers") as caught:
        follow(module, raising.format("GoldenError('wrong numbers')"))
    assert type(caught.value).__name__ == "GoldenError"
    with pytest.raises(ExecutionError, match="out of memory; take a smaller batch"):
        follow(module, raising.format("MemoryError"))
    with pytest.raises(ExecutionError, match=r"failed with exit code 1; its last lines:\n(.*\n)*.*KeyError: 'x'"):
        follow(module, raising.format("KeyError('x')"))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_names_the_signal_and_the_last_lines(module: Path, number: signal.Signals) -> None:
    with pytest.raises(ExecutionError, match=f"was ended by {number.name}") as caught:
        follow(
            module,
            f"sys.stderr.write('deep in the engine\\n')\nsys.stderr.flush()\nos.kill(os.getpid(), {int(number)})",
        )
    assert "deep in the engine" in str(caught.value)


def test_a_silent_crash_says_that_it_printed_nothing(module: Path) -> None:
    with pytest.raises(ExecutionError, match="exit code 7; it printed nothing"):
        follow(module, "os._exit(7)")


def test_a_child_that_hangs_is_ended(module: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ExecutionError, match=r"no sign of life for 0.5 s and was ended"):
        follow(module, "time.sleep(600)", silence=0.5)
    assert time.monotonic() - start < 60


def test_a_child_that_hangs_at_its_end_is_ended_too(module: Path) -> None:
    with pytest.raises(ExecutionError, match="no sign of life"):
        follow(module, "os.close(1)\ntime.sleep(600)", silence=0.5)


def test_a_sign_of_life_renews_the_patience(module: Path) -> None:
    told = follow(
        module,
        """
        answers = worker.open_answers()
        for i in range(5):
            time.sleep(0.4)
            worker.send(answers, events.Tick(0.4 * i, 0.0, i))
        """,
        silence=20.0,
    )
    assert len(told) == 5


def test_leaving_the_block_ends_the_child_and_what_it_started(module: Path) -> None:
    (module / "family.py").write_text(
        "import subprocess, sys, time\n"
        "def main(folder):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        '    print(\'{"event": "note", "text": "%d"}\' % child.pid, flush=True)\n'
        "    time.sleep(600)\n"
    )
    told: list[Event] = []

    def leave(event: Event) -> None:
        told.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Child("family", module) as child:
        child.follow(leave, 60.0)
    assert isinstance(told[0], Note)
    for pid in (child.pid, int(told[0].text)):
        assert _gone(pid), pid
    child.close()


def test_a_child_does_not_outlive_a_parent_that_was_killed(module: Path) -> None:
    (module / "orphan.py").write_text(
        "import time\nfrom edgekit.benchmarks.running import worker, events\n"
        "def main(folder):\n"
        "    worker.send(worker.open_answers(), events.Note('here'))\n"
        "    time.sleep(600)\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(module)!r})\n"
        "from pathlib import Path\n"
        "from edgekit.benchmarks.running.child import Child\n"
        "with Child('orphan', Path('.')) as child:\n"
        "    child.follow(lambda event: print(child.pid, flush=True), 60.0)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _gone(pid)


def _gone(pid: int) -> bool:
    """Wait until a process has ended; a zombie, whose parent is not this process, has."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    return False
