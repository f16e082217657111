"""The Python environment of a run on a board: one of its own, or one that is there and gets this edgekit in front."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import payload, scripts, tags
from edgekit.benchmarks.remote.ssh_errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.benchmarks.remote.payload import Payload
    from edgekit.benchmarks.remote.records import Board, Facts

_MIB = 1 << 20
# Measured with Python 3.11 on x86-64: wheels unpacked take 3.4 times their size, an environment of edgekit[bench] that
# is installed from an index 330 MiB with its downloads.
_UNPACKED = 4
_FROM_INDEX = 420 * _MIB
_OWN = 16 * _MIB
_RUN = 32 * _MIB
_OWN_PACKAGE = "edgekit"


@dataclass(frozen=True)
class Environment:
    """How to make it, and how to use it.

    Attributes:
        place: its folder on the board, absolute.
        program: shell that makes it, unless it is there; run in the run's folder.
        interpreter: that runs edgekit, absolute.
        path: for ``PYTHONPATH``; empty where edgekit is installed.
        needs: bytes of disk for it and the run, beyond what is sent.
    """

    place: str
    program: str
    interpreter: str
    path: str
    needs: int


def wheels_for(board: Board, facts: Facts) -> tuple[Payload, ...]:
    """Return those of a board's wheels that fit it.

    Args:
        board: with a folder of wheels, or without one.
        facts: of the board.

    Returns:
        What to send; nothing where the board uses its own index.

    Raises:
        BoardError: none of the files for a package fits: every such file is named with its reason.
        InputError: a wheel cannot be read.
    """
    if board.wheels is None:
        return ()
    fitting: list[Path] = []
    refused: dict[str, list[str]] = {}
    for path in sorted(board.wheels.glob("*.whl")):
        if _package(path) == _OWN_PACKAGE:
            # `pip download` brings one too, but the board is to run this very edgekit, which is sent anyway.
            continue
        problem = tags.problem(path.name, facts)
        if problem:
            refused.setdefault(_package(path), []).append(f"{path.name} {problem}")
        else:
            fitting.append(path)
    have = {_package(path) for path in fitting}
    wrong = [line for name, lines in refused.items() if name not in have for line in lines]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BoardError(
            "refused",
            f"{board.wheels}: wheels for another board: {'; '.join(wrong[:3])}{more}. "
            f"Fill it anew: {command(facts, board.extras)}",
        )
    return tuple(payload.of_file(path, f"wheels/{path.name}") for path in fitting)


def command(facts: Facts, extras: Sequence[str]) -> str:
    """Return the ``pip download`` that fills a folder of wheels for a board.

    Args:
        facts: of the board.
        extras: of edgekit that are wanted there.

    Returns:
        A line for the shell here; FOLDER in it is the user's to name.
    """
    major, minor = facts.python
    kind, (libc_major, libc_minor) = facts.libc
    if kind == "musl":
        platforms = [f"musllinux_1_{v}_{facts.machine}" for v in (2, 1) if (1, v) <= (libc_major, libc_minor)]
    else:
        # pip takes no newer name for an older one: each that the board runs is listed.
        newest = [v for v in (28, 27, 17) if (2, v) <= (libc_major, libc_minor)]
        platforms = [f"manylinux_2_{v}_{facts.machine}" for v in newest] + [f"manylinux2014_{facts.machine}"]
    words = [f"--platform {platform}" for platform in platforms]
    which = f"--only-binary=:all: --python-version {major}.{minor} {' '.join(words)}"
    return f"pip download {which} -d FOLDER {shlex.quote(f'{_OWN_PACKAGE}{_bracketed(extras)}')}"


def plan(board: Board, facts: Facts, folder: str, run: str, wheel: Payload, wheels: Sequence[Payload]) -> Environment:
    """Say how to make a board's environment.

    Args:
        board: what is wanted.
        facts: of the board.
        folder: on the board, absolute.
        run: the run's id.
        wheel: of this edgekit, placed in the run's folder.
        wheels: of what it needs, placed likewise; empty: from the board's index.

    Returns:
        The plan; the same wishes have the same `place`.
    """
    wishes = [board.environment, facts.executable, wheel.digest, *board.extras, *sorted(w.digest for w in wheels)]
    key = hashlib.sha256("\n".join(wishes).encode()).hexdigest()[:16]
    place = f"{folder}/environments/{key}"
    here = f"{folder}/runs/{run}"
    quoted, interpreter = shlex.quote(place), shlex.quote(facts.executable)
    if board.environment == "own":
        make = f"{interpreter} -I -m zipfile -e {shlex.quote(wheel.name)} {quoted}"
        return Environment(place, _once(quoted, make), facts.executable, place, _OWN + _RUN)
    source = f"--no-index --find-links {shlex.quote(f'{here}/wheels')}" if wheels else ""
    wanted = shlex.quote(f"{here}/{wheel.name}{_bracketed(board.extras)}")
    own = shlex.quote(f"{place}/bin/python")
    pip = f"{own} -I -m pip --disable-pip-version-check --no-input --no-color"
    make = f"{interpreter} -I -m venv {quoted} && {pip} install -q {source} {wanted}"
    needs = _UNPACKED * sum(w.size for w in wheels) + 64 * _MIB if wheels else _FROM_INDEX
    # Proxies and indexes that the fleet file names are for this too.
    variables = (("PIP_CACHE_DIR", f"{folder}/cache/pip"), (scripts.RUN_VARIABLE, run), *board.env)
    program = "\n".join([*exports(variables), _once(quoted, make)])
    return Environment(place, program, f"{place}/bin/python", "", needs + _RUN)


def exports(variables: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines of shell that set environment variables, given as (name, value)."""
    return [f"{name}={shlex.quote(value)}; export {name}" for name, value in variables]


def _bracketed(extras: Sequence[str]) -> str:
    # pip takes empty brackets for a part of the file's name.
    return f"[{','.join(extras)}]" if extras else ""


def _once(place: str, make: str) -> str:
    # Half an environment, as a cut of the power leaves it, is made again.
    marked = f"[ -e {place}/.ok ] || {{ rm -rf {place} && {make} && : >{place}/.ok; }}"
    return f"{{ {marked}; }} >environment.log 2>&1 </dev/null"


def _package(path: Path) -> str:
    return path.name.partition("-")[0].lower().replace("-", "_").replace(".", "_")
