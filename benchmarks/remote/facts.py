"""Find a board's interpreter, and ask it what it and the board are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import scripts
from edgekit.benchmarks.remote.records import Facts
from edgekit.benchmarks.remote.ssh_errors import BoardError, ScriptError
from edgekit.bundle import schema
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from edgekit.benchmarks.remote.link import Link
    from edgekit.benchmarks.remote.records import Board

OLDEST = (3, 10)
# The first that is new enough is taken; last, the one that few wheels are made for yet.
_NAMES = ("python3.13", "python3.12", "python3.11", "python3.10", "python3.14", "python3", "python")
# Run by an interpreter of 3.10 or later.
_PROGRAM = r"""
import glob, json, os, platform, re, struct, subprocess, sys, time
now = time.time()
machine = platform.machine()
if struct.calcsize("P") == 4:
    machine = {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine)
libc = ["", [0, 0]]
try:
    words = os.confstr("CS_GNU_LIBC_VERSION").split()
    libc = [words[0], [int(part) for part in words[1].split(".")[:2]]]
except (AttributeError, OSError, ValueError):
    for loader in glob.glob("/lib/ld-musl-*.so.1"):
        told = subprocess.Popen([loader], stderr=subprocess.PIPE).communicate()[1].decode()
        found = re.search(r"Version ([0-9]+)\.([0-9]+)", told)
        if found:
            libc = ["musl", [int(found.group(1)), int(found.group(2))]]
system = platform.system() + " " + platform.release()
try:
    with open("/etc/os-release") as stream:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', stream.read(), re.M).group(1)
except (AttributeError, OSError):
    pass
try:
    import ensurepip, venv
    can = True
except ImportError:
    can = False
print(json.dumps({
    "now": now, "python": list(sys.version_info[:2]),
    "implementation": sys.implementation.name, "machine": machine, "libc": libc, "system": system, "venv": can,
}))
"""


@dataclass(frozen=True)
class _Told:
    """What `_PROGRAM` prints."""

    now: float
    python: tuple[int, int]
    implementation: str
    machine: str
    libc: tuple[str, tuple[int, int]]
    system: str
    venv: bool


def inspect(link: Link, board: Board, folder: str) -> Facts:
    """Look at a board.

    Args:
        link: to it.
        board: whose interpreter is wanted.
        folder: on the board, absolute.

    Returns:
        What it is; `offset` is the board's clock less this machine's, in seconds.

    Raises:
        BoardError: there is no interpreter of Python 3.10 or later, or it cannot make the environment that is wanted.
        LinkDownError: the link was cut.
    """
    interpreter = _interpreter(link, board)
    boot, free = state(link, folder)
    before = time.time()
    told = _described(link, interpreter)
    after = time.time()
    if board.environment == "new" and not told.venv:
        raise BoardError(
            "refused",
            f"{interpreter} cannot make an environment there; install the system's package for it (python3-venv), or "
            f"name one that is there ('python' of the fleet file, --on-python)",
        )
    return Facts(
        executable=interpreter,
        python=told.python,
        implementation=told.implementation,
        machine=told.machine,
        libc=told.libc,
        system=told.system,
        boot_id=boot,
        offset=told.now - (before + after) / 2,
        offset_error=(after - before) / 2,
        free=free,
    )


def state(link: Link, folder: str) -> tuple[str, int]:
    """Return the identifier of a board's boot, empty where it has none, and the bytes that are free in `folder`."""
    lines = link.run(scripts.STATE, [folder]).decode(errors="replace").splitlines()
    free = lines[1] if len(lines) > 1 else ""
    return (lines[0] if lines else ""), (int(free) * 1024 if free.isdigit() else 0)


def _interpreter(link: Link, board: Board) -> str:
    names = [board.python] if board.python else list(_NAMES)
    found: list[tuple[tuple[int, int], str]] = []
    for line in link.run(scripts.INTERPRETERS, names).decode(errors="replace").splitlines():
        major, minor, path = line.split(" ", 2)
        if major.isdigit() and minor.isdigit():
            found.append(((int(major), int(minor)), path))
    enough = [path for version, path in found if version >= OLDEST]
    if enough:
        return enough[0]
    wanted = f"Python {OLDEST[0]}.{OLDEST[1]} or later"
    if found:
        version, path = found[0]
        what = f"Python {version[0]}.{version[1]}"
        raise BoardError("refused", f"{path} there is {what}; edgekit needs {wanted}: install one")
    where = f"{board.python} there is no interpreter that runs" if board.python else "no interpreter was found there"
    raise BoardError("refused", f"{where}; edgekit needs {wanted}: install one, or name it in the fleet file")


def _described(link: Link, interpreter: str) -> _Told:
    try:
        output = link.run(scripts.DESCRIBE, [interpreter, _PROGRAM])
        # An interpreter's start-up files may print before.
        return schema.loads(_Told, (output.splitlines() or [b""])[-1], "facts")
    except ScriptError as error:
        raise BoardError("refused", f"{interpreter} there does not work as Python: {error}") from error
    except BundleError as error:
        raise BoardError("refused", f"{interpreter} there does not work as Python: {output[-80:]!r}") from error
