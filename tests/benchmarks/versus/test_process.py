"""A contender's process seen by its parent: answers, refusals, crashes, silence."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

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
