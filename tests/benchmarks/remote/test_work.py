"""Which runs are the same work, and what a board is told to do."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.remote import scripts, telling, work
from edgekit.benchmarks.remote.environment import Environment
from edgekit.benchmarks.remote.payload import Payload
from edgekit.benchmarks.remote.records import Address, Board

FILE = Payload(Path("/a"), "0" * 64, 1, "bundle/a.edge")
OTHER = replace(FILE, digest="1" * 64)
TASK = work.Work(replace(FILE, name="wheels/e.whl"), FILE, (replace(FILE, name="inputs/0/x"),), ("--seconds", "5"))
BOARD = Board("pi", Address("pi", "pi5"), "/usr/bin/python3", "own", env=(("A", "1"),))


@pytest.mark.parametrize(
    ("task", "board"),
    [
        (replace(TASK, wheel=OTHER), BOARD),
        (replace(TASK, bundle=OTHER), BOARD),
        (replace(TASK, inputs=(OTHER,)), BOARD),
        (replace(TASK, inputs=()), BOARD),
        (replace(TASK, words=("--seconds", "6")), BOARD),
        (replace(TASK, words=("--seconds 5",)), BOARD),
        (TASK, replace(BOARD, env=(("A", "2"),))),
        (TASK, replace(BOARD, env=())),
        (TASK, replace(BOARD, python="/usr/bin/python3.12")),
        (TASK, replace(BOARD, environment="new")),
        (TASK, replace(BOARD, extras=("bench", "onnx"))),
        (TASK, replace(BOARD, wheels=Path("/wheels"))),
        (TASK, replace(BOARD, meters=("rapl",))),
    ],
)
def test_another_wish_is_another_work(task: work.Work, board: Board) -> None:
    """A run that goes on is joined only by the very same command."""
    assert work.key(task, board) != work.key(TASK, BOARD)
    assert work.key(task, board) == work.key(task, board)


def test_how_a_board_is_called_here_is_no_wish() -> None:
    called = replace(BOARD, name="kitchen", address=Address("root", "10.0.0.7", 2222), notes="fan")
    assert work.key(TASK, called) == work.key(TASK, BOARD)
    moved = replace(TASK, bundle=replace(FILE, path=Path("/elsewhere")))
    assert work.key(moved, BOARD) == work.key(TASK, BOARD), "the same file from another place"


@pytest.mark.parametrize(
    ("words", "meters", "told"),
    [
        ((), (), []),
        ((), ("ina3221", "thermal"), ["--meter", "ina3221", "--meter", "thermal"]),
        # What the command names comes before what the fleet file does.
        (("--meter", "rapl"), ("ina3221",), ["--meter", "rapl"]),
    ],
)
def test_meters_of_the_fleet_file_are_for_commands_that_name_none(
    words: tuple[str, ...], meters: tuple[str, ...], told: list[str]
) -> None:
    found = work.command(replace(TASK, words=words), replace(BOARD, meters=meters))
    assert list(found) == ["bench", "bundle/a.edge", *told, "--json", "-o", "results"]


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@settings(max_examples=25, deadline=None)
@given(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from(["A", "TMPDIR", "_x"]), VALUES, max_size=3))
def test_the_shell_hands_over_every_word_and_variable_as_it_is(words: list[str], env: dict[str, str]) -> None:
    plan = Environment("/p", "", "printf", "/p/it's", 0)
    board = replace(BOARD, env=tuple(env.items()))
    text = work.program(replace(TASK, words=tuple(words)), board, plan, "/base", "abc")
    # The interpreter is a command that shows its words, and the log of the run is shown too.
    shown = text.replace("printf -c ", "printf '%s\\0' ").replace(" >/dev/null 2>run.log </dev/null", "; env -0")
    parts = subprocess.run(["sh", "-c", shown], capture_output=True, check=True).stdout.decode().split("\0")
    command = list(work.command(replace(TASK, words=tuple(words)), board))
    assert parts[1 : 1 + len(command)] == command
    there = dict(part.partition("=")[::2] for part in parts[1 + len(command) :])
    own = {scripts.RUN_VARIABLE: "abc", telling.VARIABLE: "1", "EDGEKIT_CACHE": "/base/cache", "PYTHONPATH": "/p/it's"}
    assert {**own, "TMPDIR": "/base/runs/abc/tmp", **env}.items() <= there.items()
    assert shlex.split(text.splitlines()[-1])[0] == "printf"
