"""A link that drops is taken up again for as long as the patience lasts; what cannot be mended ends at once."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import remote_stand_in as stand_in
from edgekit.benchmarks.remote.diary import Diary
from edgekit.benchmarks.remote.link import Link
from edgekit.benchmarks.remote.reaching import Reach
from edgekit.benchmarks.remote.records import Address
from edgekit.benchmarks.remote.ssh_errors import BoardError, ScriptError
from kernel_tree import program

if TYPE_CHECKING:
    from collections.abc import Callable

# A client for a board that is this machine: no route there while the file "down" is, whose text it then says.
_CLIENT = """
echo try >>{folder}/tries
[ ! -e {folder}/down ] || {{ cat {folder}/down >&2; exit 255; }}
for word; do :; done
exec sh -c "$word"
"""
NO_ROUTE = "ssh: connect to host pi port 22: No route to host"


@dataclass
class Farm:
    """The board, and how often its client was called."""

    folder: Path
    made: list[Diary] = field(default_factory=list)

    def reach(self, patience: float, interrupted: Callable[[], None] = lambda: None) -> Reach:
        ssh = (str(program(self.folder / "ssh", _CLIENT.format(folder=self.folder))),)
        link = Link(Address("", "pi"), stand_in.quick(ssh), interrupted)
        self.made.append(Diary("pi", self.folder / "pi.log", lambda event: None))
        return Reach(link, self.made[-1], patience, interrupted)

    def down(self, message: str = NO_ROUTE) -> None:
        (self.folder / "down").write_text(message)

    def up(self) -> None:
        (self.folder / "down").unlink()

    @property
    def tries(self) -> int:
        return len((self.folder / "tries").read_text().splitlines())

    @property
    def log(self) -> str:
        return (self.folder / "pi.log").read_text()


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    # Where no socket's path is short enough, each command has a connection of its own.
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return Farm(tmp_path)


def test_what_works_is_done_once_and_told_nobody(farm: Farm) -> None:
    reach = farm.reach(0.0)
    assert reach.do(lambda: reach.link.run("echo here")) == b"here\n"
    assert (reach.drops, farm.tries, farm.log) == (0, 1, "")


def test_a_link_that_comes_back_is_used_again(farm: Farm) -> None:
    back = time.monotonic() + 1.2

    def mend() -> None:
        if time.monotonic() > back and (farm.folder / "down").exists():
            farm.up()

    reach = farm.reach(30.0, mend)
    farm.down()
    assert reach.do(lambda: reach.link.run("echo here")) == b"here\n"
    assert reach.drops == 1
    assert f"the link is cut (ssh://pi: {NO_ROUTE}); trying again for 30 s" in farm.log
    assert "the link is back after " in farm.log
    # The command itself, attempts after 0, 0.5 and 1.5 s, and the command again.
    assert farm.tries <= 5


@pytest.mark.parametrize("patience", [0.0, 0.7])
def test_a_link_that_stays_away_ends_when_the_patience_does(farm: Farm, patience: float) -> None:
    reach = farm.reach(patience)
    farm.down()
    begin = time.monotonic()
    with pytest.raises(
        BoardError, match=r"the link was cut and did not come back in \d+ s: .*No route to host"
    ) as caught:
        reach.do(lambda: reach.link.run(":"))
    assert caught.value.ending == "lost"
    assert time.monotonic() - begin >= patience
    assert reach.drops == 0
    # The command, and attempts at once, after 0.5 s, and at the end.
    assert farm.tries == 2 if not patience else 3 <= farm.tries <= 4


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Host key verification failed.", "the board's host key is unknown here"),
        ("pi: Permission denied (publickey,password).", "ssh-copy-id pi"),
        ("Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures", "ssh-copy-id pi"),
        ("Bad owner or permissions on /root/.ssh/config", "SSH's own configuration cannot be used: Bad owner"),
    ],
)
def test_what_only_the_user_can_mend_is_not_waited_for(farm: Farm, message: str, told: str) -> None:
    reach = farm.reach(600.0)
    farm.down(message)
    with pytest.raises(BoardError) as caught:
        reach.do(lambda: reach.link.run(":"))
    assert caught.value.ending == "refused"
    assert told in str(caught.value)


def test_a_command_that_fails_there_is_not_tried_again(farm: Farm) -> None:
    reach = farm.reach(600.0)
    with pytest.raises(ScriptError, match="no such luck"):
        reach.do(lambda: reach.link.run("echo no such luck >&2; exit 1"))
    assert farm.tries == 1


@pytest.mark.parametrize("boot", ["another", ""])
def test_a_board_that_comes_back_with_another_boot_has_started_again(farm: Farm, boot: str) -> None:
    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    reach = farm.reach(30.0)
    reach.expect(str(farm.folder), boot)
    attempts: list[int] = []

    def action() -> bytes:
        if not attempts:
            attempts.append(1)
            farm.down()
            try:
                reach.link.run(":")
            finally:
                farm.up()
        return reach.link.run("echo here")

    if boot:
        with pytest.raises(BoardError, match=r"started again in the middle .*journalctl -b -1") as caught:
            reach.do(action)
        assert caught.value.ending == "rebooted"
    else:
        # It does not tell its boots; then nothing is said about them.
        assert reach.do(action) == b"here\n"
        reach.check_boot(now)
    reach.check_boot("")


def test_waiting_ends_when_it_is_interrupted(farm: Farm) -> None:
    class EnoughError(Exception):
        pass

    begin = time.monotonic()

    def interrupted() -> None:
        if time.monotonic() > begin + 0.3:
            raise EnoughError

    reach = farm.reach(600.0, interrupted)
    with pytest.raises(EnoughError):
        reach.sleep(600)
    farm.down()
    with pytest.raises(EnoughError):
        reach.do(lambda: reach.link.run(":"))
    assert time.monotonic() - begin < 30
