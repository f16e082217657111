"""However a child process ends, the parent has a result or one clear error."""

from __future__ import annotations

import os
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.converters import children
from edgekit.converters.children import run_child
from edgekit.errors import BundleError, ConversionError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import os, signal, sys, time
from edgekit import errors
from edgekit.converters import children
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a script as the module ``worker`` and gives the stages it told."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    (tmp_path / "work").mkdir()

    def run(script: str, *arguments: str) -> list[str]:
        (tmp_path / "site" / "worker.py").write_text(HEAD + textwrap.dedent(script))
        stages: list[str] = []
        run_child("worker", tmp_path / "work", arguments, stages.append)
        return stages

    return run


def test_stages_and_arguments_get_through(child: Any, tmp_path: Path) -> None:
    script = """
    assert __name__ == "__main__"
    children.stage("first — 猫")
    print("said in between")
    children.report(lambda: children.stage(" ".join(sys.argv[1:])))
    """
    assert child(script, "one", "two") == ["first — 猫", f"{tmp_path / 'work'} one two"]
    assert "said in between" in (tmp_path / "work" / "worker.log").read_text()


def test_the_current_folder_is_not_searched_for_modules(
    child: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "edgekit").mkdir(parents=True)
    (tmp_path / "here" / "edgekit" / "__init__.py").write_text("raise SystemExit('the wrong edgekit')")
    monkeypatch.chdir(tmp_path / "here")
    assert child("children.stage('right')") == ["right"]


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        ("errors.InputError('wrong')", InputError, "wrong"),
        ("errors.UnsupportedModelError('no such layer: 猫')", UnsupportedModelError, "no such layer: 猫"),
        ("errors.BundleError('damaged')", BundleError, "damaged"),
        ("type('Own', (errors.ConversionError,), {})('special')", ConversionError, "special"),
        ("OSError(28, 'No space left on device', '/w/x')", ConversionError, "/w/x: No space left on device"),
        (
            "OSError('odd')",
            ConversionError,
            "work folder: could not be written whole, the disk is most likely full (odd)",
        ),
        ("MemoryError()", ConversionError, "out of memory"),
    ],
)
def test_an_error_on_purpose_is_the_same_error_here(
    child: Any, raised: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        child(f"def step(): raise {raised}\nchildren.report(step)")
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_library_that_prints_half_a_line_hides_nothing(child: Any) -> None:
    script = """
    def step():
        os.write(1, b"loading 50%\\xff")
        children.stage("next")
        sys.stdout.write("no end of line")
        sys.stdout.flush()
        raise errors.InputError("told")
    children.report(step)
    """
    with pytest.raises(InputError, match="told"):
        child(script)


@pytest.mark.parametrize(
    "printed", ['{"error": "x"', '{"error": "x"}', '{"error": []}', "[1, 2]", "null", '"stage"', "\\xff\\xfe", "{}"]
)
def test_what_is_no_message_is_kept_in_the_log(child: Any, tmp_path: Path, printed: str) -> None:
    assert child(f"os.write(1, b'{printed}\\n')") == []
    assert (tmp_path / "work" / "worker.log").stat().st_size > 0


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
        ("os.abort()", "was ended by SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL (the system killed it, most likely for memory)"),
        ("os._exit(7)", "failed with exit code 7"),
        ("raise SystemExit(3)", "failed with exit code 3"),
        ("raise RuntimeError('from inside')", "failed with exit code 1"),
        ("import no_such_module", "failed with exit code 1"),
    ],
)
def test_a_crash_is_one_error_with_the_last_lines(child: Any, ending: str, told: str) -> None:
    script = f"""
    print(*(f"line {{i}}" for i in range(40)), sep="\\n", file=sys.stderr, flush=True)
    {ending}
    """
    with pytest.raises(ConversionError) as caught:
        child(script)
    message = str(caught.value)
    assert message.startswith(f"worker {told}; its last lines:\n")
    assert 1 < len(message.splitlines()) <= 13
    assert "line 2\n" not in message


def test_a_silent_crash_says_that_it_was_silent(child: Any) -> None:
    with pytest.raises(ConversionError, match=r"\(it printed nothing\)"):
        child("os._exit(1)")


def test_an_error_after_which_the_child_lingers_wins(child: Any) -> None:
    with pytest.raises(InputError, match="told"):
        child("children._send({'error': ['InputError', 'told']})\nos._exit(5)")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int) -> bool:
    for _ in range(2000):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_an_interruption_ends_the_child_and_its_children(child: Any, tmp_path: Path) -> None:
    script = f"""
    import subprocess
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{grandchild.pid}}")
    children.stage("ready")
    time.sleep(600)
    """
    (tmp_path / "site" / "worker.py").write_text(HEAD + textwrap.dedent(script))

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child("worker", tmp_path / "work", (), interrupt)
    first, second = map(int, (tmp_path / "pids").read_text().split())
    assert gone(first)
    # The grandchild may be a zombie for as long as nobody reaps it, as in a container without init.
    assert gone(second) or "Z" in open(f"/proc/{second}/stat").read().rpartition(")")[2].split()[0]  # noqa: PTH123, SIM115


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "failed with exit code 1"),
        (255, "failed with exit code 255"),
        (-15, "was ended by SIGTERM"),
        (-40, "was ended by signal 40"),  # of the real-time ones, which have no name
        (-100, "was ended by signal 100"),
    ],
)
def test_every_ending_has_words(code: int, told: str) -> None:
    assert children.ending(code) == told


def test_a_child_ended_by_a_nameless_signal_is_told(child: Any) -> None:
    with pytest.raises(ConversionError, match="worker was ended by signal 40; its last lines"):
        child("os.kill(os.getpid(), 40)")


def test_progress_comes_with_its_facts_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
    children.progress({"step": 1, "loss": 0.5, "note": "ä"})
    print('{"progress": "half"}', flush=True)
    children.stage("then")
    children.progress({"step": 2})
    """
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "worker.py").write_text(HEAD + textwrap.dedent(script))
    heard: list[Any] = []
    run_child("worker", tmp_path, (), heard.append, heard.append)
    assert heard == [{"step": 1, "loss": 0.5, "note": "ä"}, "then", {"step": 2}]
    # What only looks like progress is what some library printed.
    assert '{"progress": "half"}' in (tmp_path / "worker.log").read_text()


def test_the_last_lines_are_the_last_and_survive_any_bytes(tmp_path: Path) -> None:
    log = tmp_path / "tool.log"
    log.write_bytes(b"".join(b"line %d\n" % i for i in range(20)) + b"\xff\xfe end")
    lines = children.last_lines(log).splitlines()
    assert lines[0] == "  line 9"
    assert lines[-2:] == ["  line 19", "  \ufffd\ufffd end"]
    log.write_bytes(b"")
    assert children.last_lines(log) == "  (it printed nothing)"
