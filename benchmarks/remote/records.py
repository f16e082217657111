"""What a remote run is asked to do, what it tells meanwhile, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgekit.bundle import schema

if TYPE_CHECKING:
    from edgekit.benchmarks.running.events import Event as BenchEvent

Step = Literal["connect", "inspect", "send", "environment", "run", "collect", "clean"]
Ending = Literal["done", "failed", "lost", "unreachable", "rebooted", "disk-full", "refused", "cancelled"]
"""How a visit ended.

``done``: results were brought back whole. ``failed``: the board's own run failed. ``unreachable``: the board was never
reached. ``lost``: the link stayed away for longer than the patience. ``rebooted``: the board started again meanwhile.
``disk-full``: no space, before or meanwhile. ``refused``: nothing was run (host key, login, Python, wheels, or another
run). ``cancelled``: from here.
"""


@dataclass(frozen=True)
class Address:
    """Where a board is; every part is checked by `address.parse`.

    Attributes:
        user: to log in as; empty: as SSH's own configuration says.
        host: name, alias of SSH's configuration, or IP address (IPv6 without brackets).
        port: 1..65535; 0: as SSH's own configuration says.
        folder: on the board, for everything that is put there; empty: ``.cache/edgekit/remote`` in the user's home.
    """

    user: str
    host: str
    port: int = 0
    folder: str = ""

    @property
    def machine(self) -> tuple[str, int]:
        """What is the same for two addresses of one machine, whoever logs in, and for whatever folder."""
        return self.host.lower(), self.port

    def __str__(self) -> str:
        """Return the address as it is written: ``ssh://user@host:port/folder``."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{host}{port}{self.folder}"


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes:
        name: for files and tables: letters, digits, ``.``, ``_`` and ``-``.
        address: where it is.
        python: the board's interpreter. With `environment` ``own`` its packages are used; else it makes the new
            environment. Empty: the newest one of 3.10 or later in the board's search path.
        environment: ``new`` makes a virtual environment for the run; ``own`` uses the one that `python` belongs to.
        wheels: folder here with the wheels of everything that edgekit needs there; None: the board's own index.
        extras: of edgekit that a new environment gets.
        meters: names for ``--meter``; empty: those that are found.
        env: environment variables of the run.
        notes: for the reader of the outcome.
    """

    name: str
    address: Address
    python: str = ""
    environment: Literal["new", "own"] = "new"
    wheels: Path | None = None
    extras: tuple[str, ...] = ("bench",)
    meters: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    notes: str = ""


@dataclass(frozen=True)
class Settings:
    """How to deal with boards and links; all times in seconds.

    Attributes:
        keep: leave everything on the board, for a next run that need not send it again.
        patience: that a link may stay away, in all steps, before the board is given up.
        limit: after which a run is ended; 0: never.
        poll: between two looks at a running board, after the first ten seconds.
        connect: that one attempt to connect may take.
        alive: of silence after which a link counts as dead, at least 3.
        ssh: the client and its first arguments, such as ``("ssh", "-F", "farm.conf")``.
    """

    keep: bool = False
    patience: float = 300.0
    limit: float = 0.0
    poll: float = 5.0
    connect: float = 15.0
    alive: float = 15.0
    ssh: tuple[str, ...] = ("ssh",)


@dataclass(frozen=True)
class RemoteEvent:
    """What happened at one board; given to `on_event` from that board's thread, one event at a time.

    Attributes:
        board: its name.
        step: in which it happened.
        text: for a person; empty when only numbers changed.
        done: bytes sent in the step ``send``; 0 elsewhere.
        total: bytes to send; 0 elsewhere.
        bench: what the run on the board told, where it tells; else None.
    """

    board: str
    step: Step
    text: str
    done: int = 0
    total: int = 0
    bench: BenchEvent | None = None


@dataclass(frozen=True)
class Facts:
    """What a board's interpreter says about it.

    Attributes:
        executable: the interpreter.
        python: its version, such as ``(3, 11)``.
        implementation: ``cpython``, ``pypy``, …
        machine: architecture of the interpreter, such as ``aarch64``; a 32-bit one on a 64-bit kernel is ``armv7l``.
        libc: ``glibc`` or ``musl``, and its version, such as ``("glibc", (2, 36))``.
        system: name and version of the operating system.
        boot_id: the kernel's identifier of this boot; empty where it has none.
        offset: seconds that the board's clock is ahead of this machine's.
        offset_error: half the time that asking took.
        free: bytes left on the disk of the folder.
    """

    executable: str
    python: tuple[int, int]
    implementation: str
    machine: str
    libc: tuple[str, tuple[int, int]]
    system: str
    boot_id: str
    offset: float
    offset_error: float
    free: int


@dataclass(frozen=True)
class Outcome:
    """How it ended with one board.

    Attributes:
        board: its name.
        address: as it was written.
        ending: in one word.
        reason: why there is no result, and what to do; empty when there is.
        results: files here, of one result each; after another ending than ``done``, those of a sweep that were whole.
        verdicts: of each result.
        notes: what a reader of the results should know, such as a clock that is off.
        facts: of the board; None where it was not reached.
        seconds: of each step; ``run`` is what ``edgekit bench`` took there, ``waiting`` what it took to notice.
        drops: times that the link dropped and came back.
        log: file here with what the board's run printed and what was done; None where nothing was.
        left: folder on the board that could not be removed, or was kept; empty otherwise.
    """

    board: str
    address: str
    ending: Ending
    reason: str
    results: tuple[Path, ...] = ()
    verdicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Facts | None = None
    seconds: dict[str, float] = field(default_factory=dict, metadata=schema.OPTIONAL)
    drops: int = 0
    log: Path | None = None
    left: str = ""
