"""Start a child process, follow what it tells, and turn however it ends into a return or one clear error."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from edgekit.benchmarks.running.events import from_line
from edgekit.errors import BundleError, ExecutionError
from edgekit.trials import talking
from edgekit.trials.endings import ended_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Self

    from edgekit.benchmarks.running.events import Event
    from edgekit.errors import EdgekitError

# The child imports what its parent could import, but nothing from the current folder.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from importlib import import_module;"
    " import_module(sys.argv[2]).main(sys.argv[3])"
)
_MOST_LINE, _LINES = 300, 3


class Child:
    """A process of ``module.main(folder)``; use it in a ``with`` block, which ends it with all that it started."""

    def __init__(self, module: str, folder: Path) -> None:
        """Start it."""
        self._log: BinaryIO = tempfile.TemporaryFile(prefix="edgekit-bench-")  # noqa: SIM115
        path = json.dumps([entry for entry in sys.path if entry])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, path, module, str(folder)],
            # Its end tells the child that its parent is gone, however that ended; see `stop`.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # A session of its own, so that Ctrl-C reaches this process first and the child is ended by it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def follow(self, tell: Callable[[Event], None], silence: float) -> None:
        """Pass on what the process tells until it ends.

        Args:
            tell: called with each event.
            silence: seconds without a word after which it is taken for hung and ended.

        Raises:
            EdgekitError: it failed on purpose; the same type and message.
            ExecutionError: it crashed, was killed, or hung; the message has its last lines.
        """
        failure: EdgekitError | None = None
        for line in self._lines(silence):
            found = talking.error_in(line)
            if found is not None:
                failure = found
                continue
            event = _event_of(line)
            if event is not None:
                tell(event)
        code = self._wait(silence)
        if failure is not None:
            raise failure
        if code != 0:
            how = f"was ended by {ended_by(-code)}" if code < 0 else f"failed with exit code {code}"
            raise ExecutionError(f"the measured process {how}{self._last_lines()}")

    def stop(self) -> None:
        """Ask the process to end what it measures, and to keep that; one that has ended is not asked."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                os.write(self._process.stdin.fileno(), b"\n")

    def close(self) -> None:
        """End the process and whatever it started; closing twice is harmless."""
        talking.end(self._process, self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self, silence: float) -> Iterator[str]:
        buffer, stdout, end = b"", self._process.stdout, time.monotonic() + silence
        while stdout is not None:
            left = end - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                raise self._hung(silence)
            chunk = os.read(stdout.fileno(), 1 << 16)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            end = time.monotonic() + silence
            for line in lines:
                yield line.decode(errors="replace")

    def _wait(self, silence: float) -> int:
        try:
            return self._process.wait(silence)
        except subprocess.TimeoutExpired:
            raise self._hung(silence) from None

    def _hung(self, silence: float) -> ExecutionError:
        return ExecutionError(
            f"the measured process gave no sign of life for {silence:g} s and was ended: a query or the engine hangs"
            f"{self._last_lines()}"
        )

    def _last_lines(self) -> str:
        shown = talking.printed(self._log)
        last = "\n".join(f"  {line[:_MOST_LINE]}" for line in shown[-_LINES:])
        return f"; its last lines:\n{last}" if last else "; it printed nothing"


def _event_of(line: str) -> Event | None:
    # Whatever an engine writes past our redirection is no event.
    try:
        return from_line(line)
    except BundleError:
        return None
