"""A contender's process seen by its parent: answers, refusals, crashes, silence."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgekit.benchmarks.versus.answering import Brief
from edgekit.benchmarks.versus.process import Process
from edgekit.benchmarks.versus.records import Contender
from edgekit.errors import ExecutionError, InputError, MissingDependencyError
from edgekit.trials import talking

BRIEF = Brief(Contender("them", "edgekit", "x.edge"), "photo", ("a.jpg",))
OPENED = (
    "import json, os, sys, time\n"
    "brief = json.loads(sys.stdin.readline())\n"
    "say = lambda plain: print(json.dumps(plain), flush=True)\n"
    "opened = dict(model=brief['contender']['model'], digest='', space='', variant='', precision='', engine='e 1',"
    " device='cpu', threads=0, load_ms=1.0)\n"
)


def _process(program: str) -> Process:
    return Process(BRIEF, (sys.executable, "-c", OPENED + program))


def test_answers_come_in_turn_whatever_is_printed_between() -> None:
    program = (
        "print('chatter'); say(opened)\n"
        "for line in sys.stdin:\n"
        "    query = json.loads(line)\n"
        "    print('more', 'chatter')\n"
        "    say({'ns': 1000 + query['sample'], 'row': [0.5, 1.5] if query['tell'] else []})\n"
    )
    with _process(program) as process:
        assert process.open().model == "x.edge"
        assert process.ask(7).ns == 1007
        assert process.ask(8).row == ()
        assert process.ask(9, tell=True).row == (0.5, 1.5)
        assert process.running() == 1
        assert (process.rss_peak() or 0) > 1
        pid = process._child.pid
    assert not Path(f"/proc/{pid}").exists()
    process.close()


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        ("say({'error': ['InputError', 'no such file']})", InputError, "^no such file$"),
        ("say({'error': ['MissingDependencyError', 'pip install x']})", MissingDependencyError, "^pip install x$"),
        ("say({'error': ['Unheard', 'strange']})", ExecutionError, "^strange$"),
        ("say({'error': ['os', 'strange']})", ExecutionError, "^strange$"),
        ("sys.stderr.write('why\\n'); sys.exit(3)", ExecutionError, "them ended with exit code 3; its last line: why"),
        ("sys.exit(0)", ExecutionError, "them ended with exit code 0; it printed nothing"),
        ("os.kill(os.getpid(), 11)", ExecutionError, "them was ended by SIGSEGV"),
        ("print('half a', end='', flush=True); sys.exit(1)", ExecutionError, "exit code 1"),
    ],
    ids=["refused", "missing", "unknown error", "no error class", "exit", "silent exit", "crash", "half a line"],
)
def test_how_it_ended_is_told(program: str, kind: type[Exception], message: str) -> None:
    with _process(program) as process, pytest.raises(kind, match=message):
        process.open()


def test_one_that_hangs_is_told_and_ended() -> None:
    with _process("say(opened); time.sleep(60)") as process:
        process.open()
        with pytest.raises(ExecutionError, match=r"them did not answer within 0\.2 s; it printed nothing"):
            process.ask(0, seconds=0.2)


def test_one_that_ends_between_two_queries_is_told() -> None:
    with _process("say(opened); input(); sys.exit(4)") as process:
        process.open()
        with pytest.raises(ExecutionError, match="exit code 4"):
            process.ask(0)
        with pytest.raises(ExecutionError, match="exit code 4"):
            process.ask(1)


def test_rest_waits_for_threads_that_spin() -> None:
    spin = "say(opened); input(); end = time.time() + 0.6\nwhile time.time() < end: pass\ntime.sleep(60)"
    with _process(spin) as process:
        process.open()
        talking.send(process._child, BRIEF)
        begin = time.monotonic()
        process.rest()
        assert time.monotonic() - begin > 0.5


def test_what_would_bind_some_engines_only_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("EDGEKIT_SEEN", "yes")
    program = "opened['engine'] = repr((os.environ.get('OMP_NUM_THREADS'), os.environ['EDGEKIT_SEEN'])); say(opened)"
    with _process(program) as process:
        assert process.open().engine == "(None, 'yes')"
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_process_that_is_gone_tells_nothing() -> None:
    with _process("sys.exit(0)") as process:
        process._child.wait()
        assert (process.running(), process.rss_peak()) == (None, None)
        process.rest()


def test_answers_that_come_together_or_in_pieces_are_still_one_each() -> None:
    """A pipe keeps no bounds of lines: two answers may come at once, and a long one piece by piece."""
    program = (
        "say(opened)\n"
        "row = [i / 7 for i in range(30000)]\n"
        "for number, line in enumerate(sys.stdin):\n"
        "    text = json.dumps({'ns': number, 'row': row if json.loads(line)['tell'] else []}) + '\\n'\n"
        "    if number == 0: text += json.dumps({'ns': 77, 'row': []}) + '\\n'\n"
        "    if number == 1: continue\n"  # answered already
        "    for start in range(0, len(text), 50000):\n"
        "        sys.stdout.write(text[start:start + 50000]); sys.stdout.flush(); time.sleep(0.02)\n"
    )
    with _process(program) as process:
        process.open()
        assert [process.ask(0).ns, process.ask(1).ns] == [0, 77]
        answer = process.ask(2, tell=True)
        assert (answer.ns, len(answer.row)) == (2, 30000)
        assert answer.row == tuple(i / 7 for i in range(30000))


def test_what_it_printed_instead_of_an_answer_is_told_when_it_hangs() -> None:
    with _process("say(opened); input(); print('loading weights', flush=True); time.sleep(60)") as process:
        process.open()
        with pytest.raises(ExecutionError, match=r"within 0\.5 s; its last line: loading weights$"):
            process.ask(0, seconds=0.5)


def test_a_contender_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    """What it started itself, such as a server of its own, ends with it."""
    started = tmp_path / "pid"
    program = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(started)!r}, 'w').write(str(child.pid))\n"
        "say({'error': ['ExecutionError', 'no']}); time.sleep(600)"
    )
    with _process(program) as process, pytest.raises(ExecutionError, match=r"^no$"):
        process.open()
    end = time.monotonic() + 20
    while _alive(int(started.read_text())) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _alive(int(started.read_text()))


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
