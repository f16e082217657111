"""What is the same for every board of a run, and what a board makes of it."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import scripts, telling
from edgekit.benchmarks.remote.environment import exports
from edgekit.bundle import schema

if TYPE_CHECKING:
    from edgekit.benchmarks.remote.environment import Environment
    from edgekit.benchmarks.remote.payload import Payload
    from edgekit.benchmarks.remote.records import Board

# `python -c` would look for modules in the run's folder first.
_START = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; from edgekit.cli.main import main; main(prog_name='edgekit')"
)
METER = "--meter"


@dataclass(frozen=True)
class Work:
    """One benchmark, for any board.

    Attributes:
        wheel: of this edgekit.
        bundle: to measure.
        inputs: other files and folders that the command names.
        words: of the command behind the bundle; ``inputs/…`` stands for the files.
    """

    wheel: Payload
    bundle: Payload
    inputs: tuple[Payload, ...]
    words: tuple[str, ...]

    @property
    def sent(self) -> tuple[Payload, ...]:
        """Everything that each board needs."""
        return (self.wheel, self.bundle, *self.inputs)


def key(work: Work, board: Board) -> str:
    """Return what is the same for two runs exactly when they would do the same work: 16 hexadecimal digits."""
    wishes = [*(payload.digest for payload in work.sent), *command(work, board), *map(str, schema.to_plain(board.env))]
    wishes += [board.python, board.environment, str(board.wheels), *board.extras]
    return hashlib.sha256("\0".join(wishes).encode()).hexdigest()[:16]


def command(work: Work, board: Board) -> tuple[str, ...]:
    """Return the words of ``edgekit bench`` on a board, behind ``edgekit``."""
    meters = () if METER in work.words else tuple(word for name in board.meters for word in (METER, name))
    return ("bench", work.bundle.name, *work.words, *meters, "--json", "-o", "results")


def program(work: Work, board: Board, environment: Environment, folder: str, run: str) -> str:
    """Return the shell program that does the work, in the run's folder.

    Args:
        work: to do.
        board: where.
        environment: to do it in.
        folder: on the board, absolute.
        run: the run's id.

    Returns:
        Text for `job.start`; every word in it is quoted.
    """
    own = {
        scripts.RUN_VARIABLE: run,
        telling.VARIABLE: "1",
        "EDGEKIT_CACHE": f"{folder}/cache",
        # ONNX Runtime and others keep things there.
        "XDG_CACHE_HOME": f"{folder}/cache",
        "TMPDIR": f"{folder}/runs/{run}/tmp",  # noqa: S108 - on the board, and this user's own
        **({"PYTHONPATH": environment.path} if environment.path else {}),
    }
    lines = exports((*own.items(), *board.env))
    words = [environment.interpreter, "-c", _START, *command(work, board)]
    return "\n".join([*lines, f"{shlex.join(words)} >/dev/null 2>run.log </dev/null"])
