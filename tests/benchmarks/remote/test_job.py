"""Work that goes on without the link, on a board: how it stands, and its whole log in pieces."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import remote_stand_in as stand_in
from edgekit.benchmarks.remote import job, scripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.benchmarks.remote.link import Link
    from ssh_farm import Host

RUN = "aaaaaaaaaaaa"


@pytest.fixture
def host(shared_host: Host) -> Host:
    return shared_host


@pytest.fixture
def work(host: Host, link: Link) -> job.Job:
    link.run(scripts.FOLDER, ["/~/work"])
    link.run(scripts.LOCK, [str(host.home / "work"), RUN, "key"])
    return job.Job(str(host.home / "work"), RUN, "step")


def until(link: Link, work: job.Job, *standings: str) -> job.Look:
    found: list[job.Look] = []
    assert stand_in.wait_for(lambda: not found.append(job.look(link, work, 0)) and found[-1].standing in standings)
    return found[-1]


def gate(work: job.Job) -> str:
    """A program that waits until the file ``go`` is there."""
    return f"while [ ! -e {work.place}/go ]; do sleep 0.05; done"


def test_a_job_stands_as_it_is_from_begin_to_end(host: Host, link: Link, work: job.Job) -> None:
    assert job.look(link, work, 0).standing == "starting", "as long as its shell has not begun"
    job.start(link, work, f"{gate(work)}; echo 'ü é' >step.log; (exit 3)")
    running = until(link, work, "running")
    assert (running.code, running.seconds, running.log) == (None, 0.0, b"")
    assert running.boot_id == (host.folder / "boot_id").read_text().strip()
    assert running.free > 1 << 20
    (host.home / f"work/runs/{RUN}/go").touch()
    ended = until(link, work, "ended")
    assert (ended.code, ended.log) == (3, "ü é\n".encode())
    assert 0 <= ended.seconds < 60
    assert job.look(link, work, 3).log == "é\n".encode(), "from the byte on that was asked for"
    assert job.look(link, work, 999).log == b""


def test_a_log_of_any_length_comes_in_pieces_that_join(link: Link, work: job.Job) -> None:
    job.start(link, work, "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done >step.log")
    until(link, work, "ended")
    pieces: list[bytes] = []
    while piece := job.look(link, work, sum(map(len, pieces))).log:
        pieces.append(piece)
    assert max(map(len, pieces)) == job.MOST_LOG
    assert b"".join(pieces) == b"".join(b"line %d\n" % i for i in range(60000))


@pytest.mark.parametrize(
    ("harm", "standing"),
    [
        (lambda host, place: host.inside("kill -9 $(cat " + str(place / "step.pid") + ")"), "gone"),
        (lambda host, place: shutil.rmtree(place), "missing"),
        # A full disk left no room for the code.
        (lambda host, place: (place / "step.ended").write_text("\n"), "gone"),
        (lambda host, place: (place / "step.ended").write_text("137 \n"), "gone"),
    ],
    ids=["killed", "removed", "no code", "half of a code"],
)
def test_an_end_that_left_no_code_is_told_from_one_that_did(
    host: Host, link: Link, work: job.Job, harm: Callable[[Host, Path], object], standing: str
) -> None:
    job.start(link, work, gate(work))
    until(link, work, "running")
    harm(host, host.home / f"work/runs/{RUN}")
    found = until(link, work, standing)
    assert (found.code, found.seconds) == (None, 0.0)


def test_a_process_of_that_number_elsewhere_is_not_the_job(host: Host, link: Link, work: job.Job) -> None:
    (host.home / f"work/runs/{RUN}/step.pid").write_text("1\n")
    assert job.look(link, work, 0).standing == "gone"
