"""What may go wrong meanwhile: links that are cut, servers that die, boards that start again, disks that are full."""

from __future__ import annotations

import os
import signal
import threading

import pytest

import remote_stand_in as stand_in

pytestmark = pytest.mark.usefixtures("one_wheel")
LONG = ("--seconds", "600")


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def test_a_link_that_is_cut_for_seconds_is_taken_up_again(host, parcel, tmp_path):
    cut = stand_in.until_measuring(host.cut)

    def on_event(event):
        cut(event)
        if event.text.startswith("the link is cut"):
            later(1, host.mend)

    found = stand_in.one(host, parcel, tmp_path, ("--seconds", "2"), on_event=on_event)
    assert (found.ending, found.reason) == ("done", "")
    assert found.drops == 1
    assert found.seconds["on the board"] < 4, "the run did not wait for the link"
    assert found.seconds["waiting"] > 2
    log = (tmp_path / "board.log").read_text()
    assert "the link is cut" in log
    assert "the link is back after" in log
    assert list(host.home.iterdir()) == []


def test_a_link_that_stays_away_is_a_clear_end_and_the_same_command_joins_the_run_later(host, parcel, tmp_path):
    where = stand_in.board(host)
    settings = stand_in.quick(host.ssh, patience=1.0)
    on_event = stand_in.until_measuring(host.cut)
    found = stand_in.one(host, parcel, tmp_path, LONG, settings, where, on_event)
    assert found.ending == "lost"
    assert "the link was cut and did not come back in" in found.reason
    assert found.left == str(host.home / ".cache/edgekit/remote")
    assert found.results == ()
    host.mend()
    assert "bench.py" in host.inside("ps axww"), "the run goes on without the link"
    busy = stand_in.one(host, parcel, tmp_path, ("--seconds", "0.2"), where=where)
    assert busy.ending == "refused"
    assert "another run (running" in busy.reason
    again = stand_in.one(host, parcel, tmp_path, LONG, stand_in.quick(host.ssh, limit=1.0), where)
    assert "did not end within 1 s" in again.reason
    assert again.notes == ("the same command was still running there and was joined",)
    assert list(host.home.iterdir()) == []


def test_a_server_that_dies_costs_nothing(host, parcel, tmp_path):
    killed = []
    found = stand_in.one(
        host,
        parcel,
        tmp_path,
        ("--seconds", "1.5"),
        on_event=stand_in.until_measuring(lambda: killed.append(host.kill_sshd())),
    )
    assert killed[0] >= 2
    assert (found.ending, found.drops) == ("done", 1)


def test_a_board_that_starts_again_is_told_and_what_was_whole_is_kept(host, parcel, tmp_path):
    reboot = stand_in.until_measuring(lambda: later(0.5, host.reboot))
    found = stand_in.one(host, parcel, tmp_path, (*LONG, "--early"), on_event=reboot)
    assert found.ending == "rebooted"
    assert "the board started again in the middle" in found.reason
    assert [path.name for path in found.results] == ["board.json"]
    assert list(host.home.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_sent(make_host, parcel, tmp_path):
    host = make_host(disk="12m")
    found = stand_in.one(host, parcel, tmp_path)
    assert found.ending == "disk-full"
    assert "12 MiB are free there, about" in found.reason
    assert host.inside(f"ls -A {host.home}").strip() == ""


@pytest.mark.parametrize("words", [("--seconds", "0.5", "--fill"), LONG], ids=["by the run", "by others"])
def test_a_disk_that_becomes_full_is_told(make_host, parcel, tmp_path, words):
    host = make_host(disk="80m")
    fill = f"dd if=/dev/zero of={host.home}/ballast bs=64k 2>/dev/null"
    on_event = stand_in.until_measuring(lambda: None if "--fill" in words else host.inside(fill))
    found = stand_in.one(host, parcel, tmp_path, words, on_event=on_event)
    assert found.ending == "disk-full", found.reason
    assert "the board's disk became full meanwhile" in found.reason
    assert host.inside(f"ls -A {host.home}").split() == ([] if "--fill" in words else ["ballast"])


def test_ctrl_c_ends_the_runs_and_cleans_up(host, parcel, tmp_path):
    press = stand_in.until_measuring(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        stand_in.one(host, parcel, tmp_path, LONG, on_event=press)
    assert "bench.py" not in host.inside("ps axww")
    assert list(host.home.iterdir()) == []


def test_an_observer_that_fails_leaves_the_board_clean(host, parcel, tmp_path):
    def fail(event):
        if event.bench is not None:
            raise ValueError("cannot draw")

    found = stand_in.one(host, parcel, tmp_path, LONG, on_event=fail)
    assert (found.ending, found.reason) == ("failed", "ValueError: cannot draw")
    assert list(host.home.iterdir()) == []


def test_a_process_that_is_ended_from_outside_is_told(host, parcel, tmp_path):
    def kill():
        host.inside("kill -9 $(ps ax | awk '/run.sh|bench.py/ && !/awk/ {print $1}')")

    found = stand_in.one(host, parcel, tmp_path, LONG, on_event=stand_in.until_measuring(kill))
    assert found.ending == "failed"
    assert "was ended from outside and left no result" in found.reason
    assert "its last line: still measuring" in found.reason
    assert list(host.home.iterdir()) == []
