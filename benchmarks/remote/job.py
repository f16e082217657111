"""Work on a board that goes on without the link: start it, and look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgekit.benchmarks.remote import scripts
from edgekit.benchmarks.remote.ssh_errors import LinkDownError

if TYPE_CHECKING:
    from edgekit.benchmarks.remote.link import Link

Standing = Literal["starting", "running", "ended", "gone", "missing"]
_ENDED = re.compile(r"ended ([0-9]+) ([0-9.]+) ([0-9.]+)")
_HEAD_LINES = 3
MOST_LOG = 1 << 18
"""Bytes of a log that one look brings."""


@dataclass(frozen=True)
class Job:
    """A program in a run's folder.

    Attributes:
        folder: of everything on the board, absolute.
        run: the run's id.
        name: of its files: ``NAME.log``, ``NAME.pid``, …
    """

    folder: str
    run: str
    name: str

    @property
    def place(self) -> str:
        """The run's folder on the board, absolute."""
        return f"{self.folder}/runs/{self.run}"


@dataclass(frozen=True)
class Look:
    """How a job stood at one moment.

    Attributes:
        standing: ``gone``: its process is not there and left no exit code; ``missing``: neither is the run's folder.
        code: exit code; None before the end.
        seconds: that it took, by the board's monotonic clock; 0 before the end.
        boot_id: of the board; empty where it has none.
        free: bytes on the disk.
        log: what it printed since the last look, at most `MOST_LOG` bytes of it.
    """

    standing: Standing
    code: int | None = None
    seconds: float = 0.0
    boot_id: str = ""
    free: int = 0
    log: bytes = b""


def start(link: Link, job: Job, program: str) -> None:
    """Start a program by ``sh``, in the run's folder and apart from the link; one that was started goes on.

    Args:
        link: to the board.
        job: what to call it.
        program: of POSIX shell; it redirects its own output.

    Raises:
        ScriptError: the board could not.
        LinkDownError: the link was cut; try again.
    """
    # The folder's path has no quote in it: only characters of `address` follow the home folder of the user.
    text = scripts.JOB.format(run=job.place.replace("'", "'\\''"), name=job.name, program=program)
    link.run(scripts.START, [job.folder, job.run, job.name, text])


def look(link: Link, job: Job, seen: int) -> Look:
    """Look at a job once.

    Args:
        link: to the board.
        job: which.
        seen: bytes of its log that were read before.

    Returns:
        How it stands.

    Raises:
        LinkDownError: the link was cut, or the answer is none.
    """
    output = link.run(scripts.LOOK, [job.folder, job.run, job.name, str(seen), str(MOST_LOG)])
    head, *rest = output.split(b"\n", _HEAD_LINES)
    standing = head.decode(errors="replace")
    if standing == "missing":
        return Look("missing")
    if len(rest) < _HEAD_LINES:
        raise LinkDownError(f"the board's answer is cut short: {output[:80]!r}")
    boot, free = rest[0].decode(errors="replace"), rest[1].decode(errors="replace")
    ended = _ENDED.fullmatch(standing)
    found: Standing = "starting" if standing == "starting" else "running" if standing == "running" else "gone"
    return Look(
        # An exit code that the full disk left no room for is as good as none.
        standing="ended" if ended else found,
        code=int(ended[1]) if ended else None,
        seconds=max(0.0, float(ended[3]) - float(ended[2])) if ended else 0.0,
        boot_id=boot,
        free=int(free) * 1024 if free.isdigit() else 0,
        log=rest[2],
    )
