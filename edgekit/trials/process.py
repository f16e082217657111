"""Start the child process that tries a candidate, talk to it within a time limit, and say how it ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from edgekit.bundle import schema
from edgekit.errors import BundleError, ExecutionError
from edgekit.trials import talking
from edgekit.trials.endings import ended_by
from edgekit.trials.records import Again, Result, Round

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from edgekit.trials.records import Request

T = TypeVar("T")
# Words before the interpreter; the tests put an emulator of another processor here.
PREFIX: tuple[str, ...] = ()
# The child imports what its parent could import, but nothing from the current folder.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edgekit.trials.worker import main; main(sys.argv[2])"
)
_MOST_ANSWER, _MOST_LINE = 1 << 20, 300
# A process that closed its output and ends does so at once.
_ENDING_SECONDS = 2.0


class TrialError(ExecutionError):
    """The child crashed, hung or talked nonsense; the message says which, and its last line."""


class TrialProcess:
    """A candidate in a process of its own; use it in a ``with`` block, which ends the process."""

    def __init__(self, bundle: Path, request: Request) -> None:
        """Start the process and hand it the request; `result` waits for the answer."""
        self._log: BinaryIO = tempfile.TemporaryFile(prefix="edgekit-trial-")  # noqa: SIM115
        self._buffer = b""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONFAULTHANDLER"}
        path = json.dumps([folder for folder in sys.path if folder])
        self._child = subprocess.Popen(
            [*PREFIX, sys.executable, "-c", _START, path, str(bundle.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            # A session of its own, so that Ctrl-C reaches this process first and the child is ended by it.
            start_new_session=True,
        )
        talking.send(self._child, request)

    def result(self, seconds: float) -> Result:
        """Return what became of the candidate.

        Args:
            seconds: after which the child is ended.

        Returns:
            The child's answer.

        Raises:
            TrialError: it crashed, hung, or did not answer in time.
        """
        return self._answer(Result, seconds)

    def again(self, duration: float, seconds: float) -> Round:
        """Time the candidate once more for about `duration` seconds; see `result`."""
        talking.send(self._child, Again(duration))
        return self._answer(Round, seconds)

    def close(self) -> None:
        """End the process and whatever it started; closing twice is harmless."""
        talking.end(self._child, self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, kind: type[T], seconds: float) -> T:
        end = time.monotonic() + seconds
        while True:
            line = self._line(end, seconds)
            # Whatever an engine writes past our redirection is no answer, but the next line may be one.
            with suppress(BundleError):
                return schema.loads(kind, line, "answer")
            self._log.seek(0, os.SEEK_END)
            self._log.write(line + b"\n")

    def _line(self, end: float, seconds: float) -> bytes:
        stdout = self._child.stdout
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            ready = stdout is not None and left > 0 and select.select([stdout], [], [], left)[0]
            if not ready or stdout is None:
                raise TrialError(f"did not answer within {seconds:.0f} s and was ended{self._last_line()}")
            chunk = os.read(stdout.fileno(), 1 << 16)
            self._buffer += chunk
            if not chunk or len(self._buffer) > _MOST_ANSWER:
                raise TrialError(self._ending())
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ending(self) -> str:
        try:
            code = self._child.wait(timeout=_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return f"answered with something else than a result{self._last_line()}"
        if code >= 0:
            return f"ended with exit code {code} and without a result{self._last_line()}"
        return f"ended by {ended_by(-code)}{self._last_line()}"

    def _last_line(self) -> str:
        shown = talking.printed(self._log, self._buffer)
        return f"; its last line: {shown[-1][:_MOST_LINE]}" if shown else "; it printed nothing"
