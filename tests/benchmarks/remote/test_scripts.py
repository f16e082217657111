"""What boards are told, on a board: each script does its work once, and once more does no harm."""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import sys
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import remote_stand_in as stand_in
from edgekit.benchmarks.remote import facts, job, scripts
from edgekit.benchmarks.remote.link import Link
from edgekit.benchmarks.remote.ssh_errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ssh_farm import Host

OURS, THEIRS = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@dataclass(frozen=True)
class There:
    """A board with its folder made."""

    link: Link
    base: Path

    def run(self, script: str, *words: str) -> str:
        return self.link.run(script, [str(self.base), *words]).decode()

    def take(self, run: str = OURS, job: str = "key") -> str:
        return self.run(scripts.LOCK, run, job).strip()

    def start(self, program: str, run: str = OURS, name: str = "run") -> None:
        job.start(self.link, job.Job(str(self.base), run, name), program)


@pytest.fixture
def host(shared_host: Host) -> Host:
    return shared_host


@pytest.fixture
def there(host: Host, link: Link) -> There:
    link.run(scripts.FOLDER, ["/~/it's here"])
    return There(link, host.home / "it's here")


def test_the_folder_is_where_it_was_named_and_its_users_alone(host: Host, there: There) -> None:
    home = host.home
    for name, place in (("", home / ".cache/edgekit/remote"), ("/~/a/b", home / "a/b"), (f"{home}/c", home / "c")):
        for _ in range(2):
            assert there.link.run(scripts.FOLDER, [name]) == f"{place}\n".encode()
        assert place.stat().st_mode & 0o777 == 0o700
        assert {entry.name for entry in place.iterdir()} == {
            *(".edgekit-remote", "objects", "environments", "runs", "cache")
        }
    (home / "link").symlink_to(home / "c")
    assert there.link.run(scripts.FOLDER, ["/~/link"]) == f"{home / 'c'}\n".encode(), "processes are known by it"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ('touch "$1"', "holds other things; name another folder"),
        ('mkdir "$1" && touch "$1/.hidden"', "holds other things; name another folder"),
        ('mkdir "$1" && chown 4711 "$1"', "belongs to another user; name another folder"),
        ('ln -s /nonexistent/place "$1"', "mkdir"),
    ],
)
def test_a_place_that_is_not_ours_to_take_is_left_as_it_is(host: Host, there: There, make: str, message: str) -> None:
    there.link.run(make, [str(host.home / "odd")])
    before = there.link.run('ls -la "$1"', [str(host.home / "odd")])
    with pytest.raises(ScriptError, match=message):
        there.link.run(scripts.FOLDER, ["/~/odd"])
    assert there.link.run('ls -la "$1"', [str(host.home / "odd")]) == before


def test_a_board_is_one_runs_until_it_ended(there: There) -> None:
    assert there.take() == "taken"
    assert there.take() == "taken", "as after a link that was cut in the middle"
    assert there.take(THEIRS) == f"preparing {OURS}"
    there.start("sleep 600")
    assert stand_in.wait_for(lambda: there.take(THEIRS) == f"running {OURS} key")
    assert (there.base / "runs" / OURS).is_dir()
    (there.base / "lock/owner").write_text(f"{OURS} another-boot\n")
    assert there.take(THEIRS) == "taken", "whatever ran before the board started again runs no more"
    assert [entry.name for entry in (there.base / "runs").iterdir()] == [THEIRS]


def test_a_run_that_told_nothing_for_two_minutes_and_has_no_process_lost_the_board(there: There) -> None:
    there.take()
    old = time.time() - 180
    os.utime(there.base / "lock/owner", (old, old))
    assert there.take(THEIRS) == "taken"
    # One that was cut between the two steps of taking leaves no owner.
    (there.base / "lock/owner").unlink()
    assert there.take() == "taken"


def test_whoever_prepares_and_looks_keeps_the_board(there: There) -> None:
    there.take()
    for script, words in ((scripts.FIND, ["0" * 64]), (scripts.LOOK, [OURS, "run", "0", "9"])):
        os.utime(there.base / "lock/owner", (1.0, 1.0))
        there.run(script, *words)
        assert there.take(THEIRS) == f"preparing {OURS}"


def test_what_is_there_is_known_by_its_digest(there: There) -> None:
    whole, damaged, part = (hashlib.sha256(name).hexdigest() for name in (b"whole", b"damaged", b"part"))
    objects = there.base / "objects"
    (objects / whole).write_bytes(b"whole")
    (objects / damaged).write_bytes(b"damagee")
    (objects / f"{part}.part").write_bytes(b"pa")
    there.take()
    lines = there.run(scripts.FIND, whole, damaged, part, "0" * 64).splitlines()
    assert lines == [f"{whole} whole", f"{damaged} 0", f"{part} 2", f"{'0' * 64} 0"]
    assert not (objects / damaged).exists()


def test_only_what_arrived_whole_gets_its_name(there: There) -> None:
    digest, objects = hashlib.sha256(b"sent").hexdigest(), there.base / "objects"
    (objects / f"{digest}.part").write_bytes(b"senT")
    assert there.run(scripts.SEAL, digest) == "damaged\n"
    assert list(objects.iterdir()) == []
    (objects / f"{digest}.part").write_bytes(b"sent")
    for _ in range(2):
        assert there.run(scripts.SEAL, digest) == "whole\n"
    assert [entry.name for entry in objects.iterdir()] == [digest]


def test_files_and_archives_get_their_places_again_and_again(there: There) -> None:
    there.take()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("inner/a b.txt", "\udcff.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    (there.base / "objects/file").write_bytes(b"1")
    (there.base / "objects/tar").write_bytes(stream.getvalue())
    run = there.base / "runs" / OURS
    for _ in range(2):
        there.run(scripts.PLACE, OURS, "file", "inputs/0/x y.txt", "")
        there.run(scripts.PLACE, OURS, "tar", "inputs/1/photos", sys.executable)
    assert (run / "inputs/0/x y.txt").read_bytes() == b"1"
    assert (run / "inputs/1/photos/inner/a b.txt").read_bytes() == b"abc"
    assert sorted(os.listdir(os.fsencode(run / "inputs/1/photos"))) == [b"inner", b"\xff.jpg"]  # noqa: PTH208


def test_a_program_is_started_once_however_often_it_is_asked_for(there: There) -> None:
    there.take()
    for _ in range(3):
        there.start("echo begun >>begun")
    run = there.base / "runs" / OURS
    assert stand_in.wait_for(lambda: (run / "run.ended").exists())
    assert (run / "begun").read_text() == "begun\n"
    code, begin, end = (run / "run.ended").read_text().split()
    assert code == "0"
    assert 0 < float(begin) <= float(end)


def test_every_process_of_a_run_is_ended_and_no_other(host: Host, there: There) -> None:
    there.take()
    # One that will not listen, in a session of its own; and another run's.
    deaf = f"{scripts.RUN_VARIABLE}={OURS} setsid sh -c \"trap '' TERM; sleep 601; sleep 601\" &"
    there.start(f"{deaf} {scripts.RUN_VARIABLE}={OURS} sleep 602")
    there.link.run(f"{scripts.RUN_VARIABLE}={THEIRS} setsid sleep 603 >/dev/null 2>&1 &")
    assert stand_in.wait_for(lambda: all(f"sleep {n}" in host.inside("ps axww") for n in (601, 602, 603)))
    there.run(scripts.STOP, OURS)
    assert stand_in.wait_for(lambda: "sleep 601" not in host.inside("ps axww"))
    shown = host.inside("ps axww")
    assert "sleep 602" not in shown
    assert "sleep 603" in shown
    # The shell that started it tells by which signal it ended.
    assert (there.base / "runs" / OURS / "run.ended").read_text().startswith("143 ")
    there.run(scripts.STOP, OURS)


def test_what_is_kept_and_what_is_removed(host: Host, there: There) -> None:
    host.home.joinpath("mine").write_text("dear")
    there.take()
    (there.base / "objects/whole").write_text("1")
    (there.base / "objects/half.part").write_text("1")
    for _ in range(2):
        there.run(scripts.CLEAN, OURS, "keep")
    assert {entry.name for entry in (there.base / "objects").iterdir()} == {"whole"}
    assert not (there.base / "lock").exists()
    there.take(THEIRS)
    with pytest.raises(ScriptError, match="belongs to another run now"):
        there.run(scripts.CLEAN, OURS, "all")
    assert (there.base / "objects/whole").exists()
    for _ in range(2):
        there.run(scripts.CLEAN, THEIRS, "all")
    assert [entry.name for entry in host.home.iterdir()] == ["mine"]


def test_cleaning_touches_no_folder_that_edgekit_did_not_make(host: Host, there: There) -> None:
    other = host.home / "photos"
    (other / "objects").mkdir(parents=True)
    (other / "objects/wedding.jpg").write_text("dear")
    there.link.run(scripts.CLEAN, [str(other), OURS, "all"])
    assert (other / "objects/wedding.jpg").read_text() == "dear"


@pytest.mark.parametrize("name", ["plain", "my big share", "//nas/100 % of it", "5 6 7 8% 9"])
def test_the_room_on_a_disk_is_told_whatever_its_name(
    make_host: Callable[..., Host], tmp_path: Path, name: str
) -> None:
    (tmp_path / "a disk/runs" / OURS).mkdir(parents=True)
    disk = shlex.quote(str(tmp_path / "a disk"))
    made = f"mount -t tmpfs -o size=8m {shlex.quote(name)} {disk} && mkdir -p {disk}/runs/{OURS}"
    host = make_host(mounts=made)
    link = Link(host.address(), stand_in.quick(host.ssh), lambda: None)
    link.open()
    try:
        assert facts.state(link, str(tmp_path / "a disk"))[1] == 8 << 20
        assert job.look(link, job.Job(str(tmp_path / "a disk"), OURS, "run"), 0).free == 8 << 20
    finally:
        link.close()
