"""Visits to real SSH servers: results come back, nothing is left, and what must be refused is."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace

import pytest

import remote_stand_in as stand_in
import ssh_farm
from edgekit.benchmarks.remote.records import Address, Board
from edgekit.benchmarks.remote.run_on import OUTCOMES, run_on
from edgekit.benchmarks.results import files
from edgekit.errors import InputError

pytestmark = pytest.mark.usefixtures("one_wheel")
FOLDER = ".cache/edgekit/remote"


def test_a_result_comes_back_and_nothing_is_left(host, parcel, tmp_path):
    host.home.joinpath(".bashrc").write_text("echo noise of a login script\n")
    told = []
    found = stand_in.one(host, parcel, tmp_path / "out", on_event=told.append)
    assert (found.ending, found.reason, found.left, found.drops) == ("done", "", "", 0)
    assert found.results == (tmp_path / "out" / "board.json",)
    assert found.verdicts == tuple(r.verdict for r in files.read_all(found.results[0]))
    assert sorted(entry.name for entry in host.home.iterdir()) == [".bashrc"]
    assert any(event.bench is not None for event in told)
    assert any(event.total and event.done == event.total for event in told)
    assert set(found.seconds) >= {"connect", "inspect", "send", "environment", "run", "collect", "clean"}
    assert 0.15 < found.seconds["on the board"] < found.seconds["run"]
    assert "still measuring" in (tmp_path / "out" / "board.log").read_text()
    line = json.loads((tmp_path / "out" / OUTCOMES).read_text())
    assert (line["ending"], line["results"], line["facts"]["machine"]) == ("done", ["board.json"], os.uname().machine)


def test_two_boards_at_the_same_time_and_one_that_fails_harms_no_other(make_host, parcel, tmp_path):
    hosts = [make_host(), make_host()]
    ssh = ssh_farm.shared_config(hosts, tmp_path / "ssh_config")
    boards = [stand_in.board(one, f"board{i}") for i, one in enumerate(hosts)]
    nobody = Board("nobody", Address("root", "198.18.255.254"), boards[0].python, "own")
    spans, told = {}, []
    found = run_on(
        [boards[0], nobody, boards[1]], parcel, ["--seconds", "1"], tmp_path, stand_in.quick(ssh), told.append
    )
    assert [(o.board, o.ending) for o in found] == [("board0", "done"), ("nobody", "unreachable"), ("board1", "done")]
    assert "198.18.255.254" in found[1].reason
    for i, event in enumerate(told):
        if event.bench is not None or event.step == "clean":
            spans.setdefault(event.board, []).append(i)
    # The second began before the first had ended.
    assert spans["board1"][0] < spans["board0"][-1]
    assert spans["board0"][0] < spans["board1"][-1]
    assert (tmp_path / "board0.json").exists()
    assert (tmp_path / "board1.json").exists()
    assert "198.18.255.254" in (tmp_path / "nobody.log").read_text()
    assert len((tmp_path / OUTCOMES).read_text().splitlines()) == 3


def test_host_keys_are_checked(host, parcel, tmp_path):
    known = host.folder / "known_hosts"
    right = known.read_text()
    known.write_text("")
    unknown = stand_in.one(host, parcel, tmp_path)
    assert unknown.ending == "refused"
    assert "host key is unknown here" in unknown.reason
    assert f"ssh root@{host.ip}" in unknown.reason
    assert known.read_text() == "", "nothing is accepted by itself"
    other = (host.folder / "user_key.pub").read_text()
    known.write_text(f"{host.ip} {other}")
    changed = stand_in.one(host, parcel, tmp_path)
    assert changed.ending == "refused"
    assert "another host key" in changed.reason
    assert f"ssh-keygen -R {host.ip}" in changed.reason
    known.write_text(right)
    (host.folder / "user_key.pub").write_text("")
    locked_out = stand_in.one(host, parcel, tmp_path)
    assert locked_out.ending == "refused"
    assert f"ssh-copy-id root@{host.ip}" in locked_out.reason
    assert list(host.home.iterdir()) == []


def test_hostile_names_and_words_arrive_as_they_are_and_a_clock_that_is_off_is_told(host, parcel, tmp_path):
    evil = "$(touch /tmp/edgekit-pwned)`id`;&|\"'\\ x*~"
    labels = tmp_path / "la bels'; rm -rf $HOME #.txt"
    labels.write_text("a cat\n")
    folder = tmp_path / "-photos"
    folder.mkdir()
    (folder / "one 'x'.jpg").write_bytes(b"1")
    where = replace(stand_in.board(host, ahead=-3 * 86400), env=(("EVIL", evil),), meters=("rapl",))
    words = ("--seconds", "0.1", "--labels", labels, "--data", folder, "--option", evil)
    settings = stand_in.quick(host.ssh, keep=True)
    found = stand_in.one(host, parcel, tmp_path / "out", words, settings, where)
    assert found.ending == "done", found.reason
    run = next((host.home / FOLDER / "runs").iterdir())
    got = json.loads((run / "words.json").read_text())
    place = "inputs/0/labelsrm-rfHOME.txt"
    assert got[:2] == ["bench", "bundle/parcel.edge"]
    assert got[2:] == [
        *("--seconds", "0.1", "--labels", place, "--data", "inputs/1/photos", "--option", evil),
        *("--meter", "rapl", "--json", "-o", "results"),
    ]
    assert (run / place).read_text() == "a cat\n"
    assert (run / "inputs/1/photos/one 'x'.jpg").read_bytes() == b"1"
    assert f"EVIL={shlex.quote(evil)}; export EVIL" in (run / "run.sh").read_text()
    assert not os.path.exists("/tmp/edgekit-pwned")  # noqa: PTH110, S108
    assert found.facts.offset == pytest.approx(-3 * 86400, abs=60)
    assert any("the board's clock is 3.0 days behind this machine's" in note for note in found.notes)


def test_what_is_kept_is_not_sent_again_and_leftovers_are_removed(host, parcel, tmp_path):
    base = host.home / "work"
    where, keep = stand_in.board(host, folder="/~/work"), stand_in.quick(host.ssh, keep=True)
    first = stand_in.one(host, parcel, tmp_path, settings=keep, where=where)
    assert (first.ending, first.left) == ("done", str(base))
    log = (tmp_path / "board.log").read_text()
    assert "2 of 2 files to send" in log
    # A run of before the last boot, whose process number is another's now.
    old = base / "runs" / "0123456789ab"
    old.mkdir()
    (old / "run.pid").write_text("1\n")
    (base / "lock").mkdir()
    (base / "lock" / "owner").write_text("0123456789ab some-older-boot\n")
    assert stand_in.one(host, parcel, tmp_path, settings=keep, where=where).ending == "done"
    assert "everything is there already" in (tmp_path / "board.log").read_text()
    assert not old.exists()
    # Another machine's run that is being prepared.
    boot = host.inside("cat /proc/sys/kernel/random/boot_id").strip()
    (base / "lock").mkdir()
    (base / "lock" / "owner").write_text(f"0123456789ab {boot}\n")
    busy = stand_in.one(host, parcel, tmp_path, where=where)
    assert busy.ending == "refused"
    assert "another run (preparing 0123456789ab) has this board" in busy.reason
    assert (base / "objects").is_dir(), "what is another's is not cleaned up"
    (base / "lock" / "owner").unlink()
    (base / "lock").rmdir()
    # A file that is damaged, and, as a cut in the middle leaves it, a part of the other, which is gone on with.
    objects = list((base / "objects").iterdir())
    damaged = next(entry for entry in objects if entry.stat().st_size == parcel.stat().st_size)
    damaged.write_bytes(b"x" * parcel.stat().st_size)
    other = next(entry for entry in objects if entry != damaged)
    other.with_name(f"{other.name}.part").write_bytes(other.read_bytes()[:1000])
    other.unlink()
    assert stand_in.one(host, parcel, tmp_path, where=where).ending == "done"
    assert "2 of 2 files to send" in (tmp_path / "board.log").read_text()
    assert list(host.home.iterdir()) == []


def test_a_folder_with_other_things_in_it_is_left_alone(host, parcel, tmp_path):
    (host.home / "photos").mkdir()
    (host.home / "photos" / "wedding.jpg").write_bytes(b"dear")
    found = stand_in.one(host, parcel, tmp_path, where=stand_in.board(host, folder=f"{host.home}/photos"))
    assert found.ending == "refused"
    assert "photos: holds other things; name another folder" in found.reason
    assert [entry.name for entry in (host.home / "photos").iterdir()] == ["wedding.jpg"]


def test_a_run_that_fails_there_is_told_with_its_last_line(host, parcel, tmp_path):
    found = stand_in.one(host, parcel, tmp_path, ("--seconds", "0.2", "--fail", "--early"))
    assert found.ending == "failed"
    assert "ended there with exit code 1; its last line: Error: the model is in a bad mood" in found.reason
    assert [path.name for path in found.results] == ["board.json"], "what a sweep had finished is kept"
    assert list(host.home.iterdir()) == []


def test_a_run_that_takes_too_long_is_ended(host, parcel, tmp_path):
    found = stand_in.one(host, parcel, tmp_path, ("--seconds", "600"), stand_in.quick(host.ssh, limit=1.0))
    assert found.ending == "failed"
    assert "did not end within 1 s" in found.reason
    assert "bench.py" not in host.inside("ps axww")
    assert list(host.home.iterdir()) == []


def test_a_board_without_a_python_that_is_new_enough(host, parcel, tmp_path):
    old = host.folder / "python"
    old.write_text("#!/bin/sh\necho 3 8\n")
    old.chmod(0o755)
    board = Board("board", host.address(), str(old), "own")
    found = stand_in.one(host, parcel, tmp_path, where=board)
    assert (found.ending, found.facts) == ("refused", None)
    assert "python there is Python 3.8; edgekit needs Python 3.10 or later" in found.reason
    none = stand_in.one(host, parcel, tmp_path, where=replace(board, python="/nowhere/python3"))
    assert "/nowhere/python3 there is no interpreter that runs" in none.reason
    assert list(host.home.iterdir()) == []


def test_wheels_for_another_processor_are_refused_before_anything_is_sent(host, parcel, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "numpy-2.2.0-cp311-cp311-manylinux_2_17_s390x.whl").write_bytes(b"")
    board = Board("board", host.address(), os.path.realpath("/proc/self/exe"), "new", wheels)
    found = stand_in.one(host, parcel, tmp_path / "out", where=board)
    assert found.ending == "refused"
    assert "numpy-2.2.0-cp311-cp311-manylinux_2_17_s390x.whl is for manylinux_2_17_s390x" in found.reason
    assert f"pip download --only-binary=:all: --python-version {found.facts.python[0]}" in found.reason
    assert list(host.home.iterdir()) == []


def test_boards_that_are_given_twice_or_not_at_all(parcel, tmp_path):
    board = Board("a", Address("root", "h"))
    for boards, message in (
        ([], "no board"),
        ([board, replace(board, name="b")], "same address"),
        ([board, board], "name"),
    ):
        with pytest.raises(InputError, match=message):
            run_on(boards, parcel, [], tmp_path, stand_in.quick(("ssh",)), lambda event: None)
