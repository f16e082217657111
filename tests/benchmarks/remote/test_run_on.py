"""Runs that end badly: one clear reason, results that were whole, and no other board that is harmed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import remote_stand_in as stand_in
from edgekit.benchmarks.remote.records import Address, Board
from edgekit.benchmarks.remote.run_on import OUTCOMES, run_on
from edgekit.errors import InputError
from kernel_tree import program

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.remote.records import RemoteEvent
    from ssh_farm import Host

NOWHERE = Board("nowhere", Address("", "nowhere.invalid"), sys.executable, "own")
pytestmark = pytest.mark.usefixtures("one_wheel")
QUICK = ("--seconds", "0.1")


@pytest.mark.parametrize("wrong", ["no bundle", "empty bundle", "output", "argument", "input"])
def test_what_cannot_be_used_is_refused_before_any_board_is_asked(parcel: Path, tmp_path: Path, wrong: str) -> None:
    called = tmp_path / "called"
    settings = stand_in.quick((str(program(tmp_path / "ssh", f"touch {called}; exit 255")),))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    bundles = {"no bundle": tmp_path / "none.edge", "empty bundle": tmp_path / "empty"}
    output = tmp_path / ("file" if wrong == "output" else "out") / "results"
    arguments = {"argument": ["a\x1bb"], "input": ["--data", tmp_path / "gone"]}.get(wrong, [])
    with pytest.raises(InputError) as caught:
        run_on([NOWHERE], bundles.get(wrong, parcel), arguments, output, settings, lambda event: None)
    named = {"output": "file/results", "argument": r"a\x1bb", "input": "gone"}.get(wrong, str(bundles.get(wrong)))
    assert named in str(caught.value)
    assert not called.exists()
    assert not output.exists()


def test_a_board_whose_log_cannot_be_written_takes_no_other_with_it(parcel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (output / "first.log").mkdir(parents=True)
    settings = stand_in.quick((str(program(tmp_path / "ssh", "echo ssh: no way there >&2; exit 255")),))
    first = replace(NOWHERE, name="first", address=Address("", "first.invalid"))
    found = run_on([first, NOWHERE], parcel, [], output, settings, lambda event: None)
    assert [(one.board, one.ending) for one in found] == [("first", "failed"), ("nowhere", "unreachable")]
    assert found[0].reason == f"{output}/first.log: the log cannot be written: Is a directory"
    assert "no way there" in found[1].reason
    lines = [json.loads(line) for line in (output / OUTCOMES).read_text().splitlines()]
    assert [(line["board"], line["ending"], line["log"]) for line in lines] == [
        ("first", "failed", None),
        ("nowhere", "unreachable", "nowhere.log"),
    ]


def test_an_observer_that_fails_at_the_very_end_loses_no_result(host: Host, parcel: Path, tmp_path: Path) -> None:
    def fail(event: RemoteEvent) -> None:
        if event.step == "clean":
            raise ValueError("cannot draw")

    found = stand_in.one(host, parcel, tmp_path, QUICK, on_event=fail)
    assert (found.ending, found.reason) == ("failed", "ValueError: cannot draw")
    assert found.results == (tmp_path / "board.json",)
    assert list(host.home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--flood", "--fail"), "exit code 1; its last line: Error: the model is in a bad mood"),
        (
            ("--last", "ModuleNotFoundError: No module named 'onnxruntime'"),
            "No module named 'onnxruntime'. Install it there: {python} -m pip install 'edgekit[bench]'",
        ),
        (("--mute",), "edgekit bench ended there without an error and left no result"),
    ],
    ids=["after a flood of warnings", "a package is missing", "nothing"],
)
def test_how_a_run_ended_is_told_with_what_to_do(
    host: Host, parcel: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    where = stand_in.board(host)
    found = stand_in.one(host, parcel, tmp_path, (*QUICK, *words), where=where)
    assert (found.ending, found.results) == ("failed", ())
    assert told.format(python=where.python) in found.reason
    assert list(host.home.iterdir()) == []
    if "--flood" in words:
        log = (tmp_path / "board.log").read_text()
        assert "a warning that comes again and again 39999\n" in log
        assert log.count("again and again") == 40000


def test_a_run_whose_folder_is_removed_is_told(host: Host, parcel: Path, tmp_path: Path) -> None:
    def remove() -> None:
        shutil.rmtree(host.home / ".cache/edgekit/remote/runs", ignore_errors=True)

    found = stand_in.one(host, parcel, tmp_path, ("--seconds", "600"), on_event=stand_in.until_measuring(remove))
    assert (found.ending, found.reason) == ("failed", "the run's folder was removed from the board meanwhile")
    assert "bench.py" not in host.inside("ps axww")
    assert list(host.home.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "ahead", "ending", "told"),
    [
        (
            "ERROR: No matching distribution found for numpy>=1.26",
            0.0,
            "failed",
            "found for numpy>=1.26. Give all of its wheels ('wheels' of the fleet file, --on-wheels): pip download",
        ),
        ("OSError: [Errno 28] No space left on device", 0.0, "disk-full", "became full with the environment"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED", -9e7, "failed", "The board's clock is off, so that certificates"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED", 0.0, "failed", "its last line: SSLError: CERTIFICATE_VERIFY_FAILED"),
    ],
    ids=["no wheel", "disk", "clock", "certificate"],
)
def test_an_environment_that_cannot_be_made_is_told_with_what_to_do(
    host: Host, parcel: Path, tmp_path: Path, line: str, ahead: float, ending: str, told: str
) -> None:
    rest = stand_in.interpreter(host.folder / "rest", ahead)
    python = program(
        host.folder / "python", f'case "$*" in *"-m venv"*) echo "{line}"; exit 1 ;; esac\nexec {rest} "$@"'
    )
    where = Board("board", host.address(), str(python), "new", None, ("bench", "litert"))
    found = stand_in.one(host, parcel, tmp_path, where=where)
    assert found.ending == ending
    assert told in found.reason
    if "pip download" in told:
        assert found.reason.endswith("-d FOLDER 'edgekit[bench,litert]'")
    if not ahead and "CERT" in line:
        assert "clock" not in found.reason
    assert list(host.home.iterdir()) == []


def test_a_run_that_went_on_alone_is_joined_to_its_end(host: Host, parcel: Path, tmp_path: Path) -> None:
    where, words = stand_in.board(host), ("--seconds", "600")

    def enough(event: RemoteEvent) -> None:
        if event.text.startswith("joins"):
            run = next((host.home / ".cache/edgekit/remote/runs").iterdir())
            (run / "enough").touch()

    impatient = stand_in.quick(host.ssh, patience=0.2)
    lost = stand_in.one(host, parcel, tmp_path, words, impatient, where, stand_in.until_measuring(host.refuse))
    assert lost.ending == "lost"
    host.mend()
    assert stand_in.wait_for(lambda: host.log().count("Server listening") >= 2)
    found = stand_in.one(host, parcel, tmp_path, words, where=where, on_event=enough)
    assert (found.ending, found.reason) == ("done", "")
    assert found.notes == ("the same command was still running there and was joined",)
    assert found.results == (tmp_path / "board.json",)
    # It had begun long before this visit.
    assert found.seconds["on the board"] > found.seconds["run"]
    assert found.seconds["waiting"] == 0
    assert list(host.home.iterdir()) == []
