"""The parent's side of a contender's process: start it, ask one query at a time, wait until it rests, end it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from edgekit.benchmarks.running.process_memory import status
from edgekit.benchmarks.versus.answering import Answer, Brief, Query
from edgekit.benchmarks.versus.records import Opened
from edgekit.bundle import schema
from edgekit.errors import BundleError, ExecutionError
from edgekit.trials import talking
from edgekit.trials.endings import ended_by

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")
# The child imports what its parent could import, but nothing from the current folder.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from edgekit.benchmarks.versus.answering import main; main()"
)
# Settings of the shell that would bind some engines and not others; threads are stated with each contender.
_UNEVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
OPENING, QUERY = 300.0, 120.0
"""Seconds after which a contender that opens, or answers, is taken for hung."""
# An engine's threads go on spinning after their work; the next contender must not pay for it.
PAUSE, _MOST_PAUSE, _LOOK = 0.1, 2.0, 0.05
_MOST_LINE = 300


class Process:
    """A contender in a process of its own; use it in a ``with`` block, which ends it with all that it started."""

    def __init__(self, brief: Brief, command: tuple[str, ...] = ()) -> None:
        """Start it; `open` waits until it is ready. `command` takes the place of edgekit's own child."""
        self.name = brief.contender.name
        self._log: BinaryIO = tempfile.TemporaryFile(prefix="edgekit-versus-")  # noqa: SIM115
        self._buffer = b""
        path = json.dumps([entry for entry in sys.path if entry])
        self._child = subprocess.Popen(
            list(command) or [sys.executable, "-c", _START, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={name: value for name, value in os.environ.items() if name not in _UNEVEN},
            # A session of its own, so that Ctrl-C reaches this process first and the child is ended by it.
            start_new_session=True,
        )
        talking.send(self._child, brief)

    def open(self, seconds: float = OPENING) -> Opened:
        """Wait until it is open.

        Args:
            seconds: after which it is taken for hung.

        Returns:
            What it says of itself.

        Raises:
            EdgekitError: it refused, crashed or hung; the message says which.
        """
        return self._answer(Opened, seconds)

    def ask(self, sample: int, *, tell: bool = False, seconds: float = QUERY) -> Answer:
        """Ask one query; see `open`.

        Args:
            sample: its position.
            tell: whether to have the embedding.
            seconds: after which it is taken for hung.

        Returns:
            Its time, measured in the contender's process, and the embedding where it was asked for.

        Raises:
            EdgekitError: it failed, crashed or hung.
        """
        talking.send(self._child, Query(sample, tell))
        return self._answer(Answer, seconds)

    def rest(self) -> None:
        """Return once its threads have come to rest, or after two seconds."""
        end = time.monotonic() + _MOST_PAUSE
        time.sleep(PAUSE)
        before = _ticks(self._child.pid)
        while before is not None and time.monotonic() < end:
            time.sleep(_LOOK)
            now = _ticks(self._child.pid)
            if now == before:
                return
            before = now

    def running(self) -> int | None:
        """Return the number of its threads; None where the system does not tell."""
        return _field(self._child.pid, "Threads")

    def rss_peak(self) -> float | None:
        """Return the largest resident set in MiB; None where the system does not tell."""
        return status(self._child.pid).get("VmHWM")

    def close(self) -> None:
        """End it and whatever it started; closing twice is harmless."""
        talking.end(self._child, self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, kind: type[T], seconds: float) -> T:
        end = time.monotonic() + seconds
        while True:
            line = self._line(end, seconds)
            failure = talking.error_in(line)
            if failure is not None:
                raise failure
            # Whatever an engine writes past the child's redirection is no answer, but the next line may be one.
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
                raise ExecutionError(f"{self.name} did not answer within {seconds:g} s{self._last_line()}")
            chunk = os.read(stdout.fileno(), 1 << 16)
            if not chunk:
                code = self._child.wait()
                how = f"was ended by {ended_by(-code)}" if code < 0 else f"ended with exit code {code}"
                raise ExecutionError(f"{self.name} {how}{self._last_line()}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _last_line(self) -> str:
        shown = talking.printed(self._log)
        return f"; its last line: {shown[-1][:_MOST_LINE]}" if shown else "; it printed nothing"


def _ticks(pid: int) -> int | None:
    """Return the processor time of a process in the kernel's ticks; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None


def _field(pid: int, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), "")
    return int(found) if found.isdigit() else None
