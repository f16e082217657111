"""The journal keeps what was finished, whatever ends the process that writes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize.journal import Entry, append, read
from edgekit.errors import InputError

ONE = Entry("a", "image: stem as int8 — 猫", "", 1.5, 1000, 20, (0.1, 0.2), (0.3, 0.4))
TWO = Entry("b", "text", failed="the process was ended by SIGSEGV")


def test_entries_come_back_as_they_were(tmp_path):
    path = tmp_path / "journal.jsonl"
    append(path, ONE)
    append(path, TWO)
    assert read(path) == {"a": ONE, "b": TWO}
    assert list(read(path)) == ["a", "b"]


def test_a_missing_journal_is_empty(tmp_path):
    assert read(tmp_path / "none") == {}


def test_the_last_entry_of_a_key_counts(tmp_path):
    path = tmp_path / "journal.jsonl"
    append(path, ONE)
    append(path, replace(ONE, failed="later"))
    assert read(path)["a"].failed == "later"


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 400))
def test_a_torn_last_line_is_passed_over_and_the_next_entry_is_whole(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    append(path, ONE)
    whole = path.stat().st_size
    append(path, TWO)
    size = min(whole + cut, path.stat().st_size)
    os.truncate(path, size)
    found = read(path)
    assert found["a"] == ONE
    append(path, replace(TWO, key="c"))
    found = read(path)
    assert found["a"] == ONE
    assert found["c"] == replace(TWO, key="c")


def test_entries_are_there_after_kill_9(tmp_path):
    path = tmp_path / "journal.jsonl"
    script = (
        "import os, sys, signal; from pathlib import Path; "
        "from edgekit.converters.quantize.journal import Entry, append; "
        f"append(Path({str(path)!r}), Entry('k', 'n')); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert read(path) == {"k": Entry("k", "n")}


@pytest.mark.parametrize("line", ['{"key": "a"}', '{"key": "a", "note": "n", "colour": 1}', "[1]", "7"])
def test_a_whole_line_that_is_no_entry_is_refused(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"line 1.*another folder"):
        read(path)


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        append(tmp_path / "journal.jsonl", replace(ONE, seconds=float("nan")))
    assert read(tmp_path / "journal.jsonl") == {}
