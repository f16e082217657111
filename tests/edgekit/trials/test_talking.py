"""A child process from its parent's side: what it is told, what it printed, and that nothing of it stays behind."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import (
    BundleError,
    EdgekitError,
    ExecutionError,
    GoldenError,
    InputError,
    MissingDependencyError,
)
from edgekit.trials import talking


@dataclass(frozen=True)
class Word:
    """What the tests send."""

    text: str
    number: float = 0.0


@contextmanager
def child(program: str) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """A Python process that runs `program`; ended however the test ends."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process, log
        finally:
            talking.end(process, log)


ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def test_a_record_is_one_line_of_json_whatever_is_in_it() -> None:
    with child(ECHO) as (process, _):
        assert process.stdout is not None
        talking.send(process, Word("a\nb \u2028 ü", 1.5))
        assert process.stdout.readline() == b'{"text": "a\\nb \\u2028 \\u00fc", "number": 1.5}\n'
        talking.send(process, Word(""))
        assert process.stdout.readline() == b'{"text": "", "number": 0.0}\n'


def test_a_child_that_is_gone_is_told_by_its_answer_and_not_by_the_question() -> None:
    with child("pass") as (process, log):
        process.wait()
        for _ in range(3):
            talking.send(process, Word("x" * 100_000))
        talking.end(process, log)
        assert process.returncode == 0


def test_a_child_without_a_pipe_is_told_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"], start_new_session=True)
    talking.send(process, Word("x"))
    talking.end(process, io.BytesIO())
    assert process.returncode is not None


def test_ending_takes_what_the_child_started_with_it() -> None:
    program = (
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with child(program) as (process, log):
        assert process.stdout is not None
        inner = psutil.Process(int(process.stdout.readline()))
        talking.end(process, log)
        end = time.monotonic() + 10
        while inner.is_running() and inner.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
            time.sleep(0.02)
        assert not inner.is_running() or inner.status() == psutil.STATUS_ZOMBIE
        assert process.returncode == -9
        assert process.stdout.closed
        assert log.closed
        talking.end(process, log)


def test_a_number_that_was_given_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: killed.append(pid))
    with child("pass") as (process, log):
        process.wait()
        talking.end(process, log)
    assert killed == []


def test_a_child_that_ends_of_itself_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", gone)
    with child("pass") as (process, log):
        talking.end(process, log)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("log", "rest", "lines"),
    [
        (b"", b"", []),
        (b"\n \n\t\n", b"", []),
        (b"one\ntwo", b"", ["one", "two"]),
        (b"one\n", b"and the rest", ["one", "and the rest"]),
        (b"\x1b[31mred\x1b[0m", b"", ["[31mred[0m"]),
        (b"10 %\r20 %\r30 %\n", b"", ["10 %", "20 %", "30 %"]),
        (b"caf\xe9\n", b"", ["caf\ufffd"]),
        ("grün ☃".encode(), b"", ["grün ☃"]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_a_child_printed(log: bytes, rest: bytes, lines: list[str]) -> None:
    assert talking.printed(io.BytesIO(log), rest) == lines


def test_of_a_long_log_the_end_is_read() -> None:
    log = io.BytesIO(b"".join(b"line %07d\n" % i for i in range(20_000)))
    found = talking.printed(log)
    assert found[-1] == "line 0019999"
    assert 1 << 15 < sum(len(line) + 1 for line in found) <= 1 << 16
    assert log.tell() == len(log.getvalue())


@given(st.binary(max_size=400), st.binary(max_size=40))
def test_no_byte_of_a_log_reaches_a_terminal(log: bytes, rest: bytes) -> None:
    for line in talking.printed(io.BytesIO(log), rest):
        assert line.isprintable()
        assert line == line.strip()
        assert line


def test_a_value_that_json_lacks_is_refused_before_it_is_sent() -> None:
    with child(ECHO) as (process, _), pytest.raises((TypeError, EdgekitError)):
        talking.send(process, Word(object()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [InputError, BundleError, ExecutionError, GoldenError, MissingDependencyError])
def test_an_error_keeps_its_type_and_its_message(kind: type[EdgekitError]) -> None:
    line = json.dumps({"error": [kind.__name__, "a.edge: is damaged: “x”"]})
    for given_ in (line, line.encode(), line.encode() + b"\n"):
        found = talking.error_in(given_)
        assert type(found) is kind
        assert str(found) == "a.edge: is damaged: “x”"


@pytest.mark.parametrize("kind", ["NoSuchError", "annotations", "ValueError", "__doc__", "__name__", "", "dict"])
def test_a_type_that_is_none_of_edgekits_is_an_execution_error(kind: str) -> None:
    """Names of the module that are no errors, too: a child may be another version of edgekit."""
    found = talking.error_in(json.dumps({"error": [kind, "strange"]}))
    assert type(found) is ExecutionError
    assert str(found) == "strange"


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", b'{"error": 1}', b'{"error": ["InputError"]}']))
def test_what_tells_no_error_is_none(line: bytes) -> None:
    assert talking.error_in(line) is None
