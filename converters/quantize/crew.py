"""Have tasks done by a worker process that may die: whatever ends it costs one task, and the next one goes on."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.quantize import journal, work
from edgekit.converters.quantize.journal import Entry
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typing_extensions import Self

    from edgekit.converters.quantize.work import Task

_MODULE = "edgekit.converters.quantize.worker"
LOG = "worker.log"
_POLL = 0.02


class Interrupted(Exception):  # noqa: N818  # it is no error: the user asked to stop
    """The user asked to stop; what is in the journal is kept."""


@dataclass
class Crew:
    """Runs tasks of one search, one worker at a time.

    Attributes:
        folder: of the search.
        kit: see `settings.Settings`.
        threads: of timed inferences.
        calibration: how a range is taken.
        target: what the variant is for.
        task_limit: seconds that one task may take.
        stopped: says whether the user asked to stop.
        peak: largest memory of any worker, in bytes.
    """

    folder: Path
    kit: str
    threads: int
    calibration: str
    target: str
    task_limit: float
    stopped: Callable[[], bool] = field(default=lambda: False)
    peak: int = 0
    _child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def do(self, tasks: Sequence[Task], deadline: float = float("inf")) -> dict[str, Entry]:
        """Do what is not in the journal yet.

        Args:
            tasks: in order; the first are done when time runs out.
            deadline: on the clock of `time.monotonic`; the task in hand is given up then.

        Returns:
            An entry for each task that was reached, by key, failed ones included.

        Raises:
            Interrupted: the user asked to stop.
            ConversionError: a worker cannot even start.
        """
        wanted = {task.key: task for task in tasks}
        entries = self._known(wanted)
        while left := [task for task in wanted.values() if task.key not in entries]:
            if self.stopped():
                raise Interrupted
            if time.monotonic() >= deadline:
                break
            failure = self._run(left, deadline)
            if failure:
                self._blame(wanted, failure)
            entries = self._known(wanted)
        return entries

    def close(self) -> None:
        """End the worker."""
        if self._child is not None:
            children.end(self._child)
            self._child = None

    def _run(self, tasks: list[Task], deadline: float) -> str:
        """Let a worker work until it is done or dies or has to end; return how it failed, or an empty string."""
        request = work.Request(self.kit, self.target, self.threads, self.calibration, tuple(tasks))
        write_bytes(self.folder / work.REQUEST, schema.dumps(request).encode())
        (self.folder / work.CURRENT).unlink(missing_ok=True)
        done = False
        try:
            child = self._child = self._child or self._started()
            with contextlib.suppress(BrokenPipeError):  # it died: `_watch` tells how
                if child.stdin is not None:
                    child.stdin.write(b"\n")
                    child.stdin.flush()
            failure, done = self._watch(child, {task.key: task for task in tasks}, deadline)
        finally:
            if not done:
                self.close()
                self._clean(tasks)
        return failure

    def _started(self) -> subprocess.Popen[bytes]:
        with (self.folder / LOG).open("wb") as stream:
            return children.start(_MODULE, self.folder, (), stream, stream, subprocess.PIPE)

    def _watch(self, child: subprocess.Popen[bytes], wanted: dict[str, Task], deadline: float) -> tuple[str, bool]:
        """Return how the worker failed, or an empty string, and whether all of it is done."""
        path = self.folder / work.JOURNAL
        size, since = -1, time.monotonic()
        while True:
            # Asked first: what it wrote before it died is then in the journal.
            ended, now = child.poll(), time.monotonic()
            if _size(path) != size:
                size, since = _size(path), now
                if len(self._known(wanted)) == len(wanted):
                    return "", True
            if ended is not None:
                return children.ending(ended) if ended else "ended by itself", False
            if self.stopped():
                raise Interrupted
            if now >= deadline:
                return "", False
            if now - since > self.task_limit:
                return f"took more than {self.task_limit:.0f} s", False
            time.sleep(_POLL)

    def _clean(self, tasks: list[Task]) -> None:
        """Remove what a worker that died had half built, which may be as large as the model."""
        for task in tasks:
            if not task.keep:
                shutil.rmtree(work.built(self.folder, task).parent, ignore_errors=True)

    def _blame(self, wanted: dict[str, Task], failure: str) -> None:
        """Write down that the task in hand failed, so that the next worker goes on behind it."""
        current = self.folder / work.CURRENT
        task = wanted.get(current.read_text()) if current.exists() else None
        if task is not None and task.key in self._known(wanted):
            return  # it died between two tasks; the next worker begins with the second
        if task is None:
            lines = children.last_lines(self.folder / LOG)
            raise ConversionError(f"the search's worker {failure} before its first task; its last lines:\n{lines}")
        journal.append(self.folder / work.JOURNAL, Entry(task.key, task.note, failed=f"the process {failure}"))

    def _known(self, wanted: dict[str, Task]) -> dict[str, Entry]:
        """Return the entries of tasks that need not be done again: failed, or with all their files in place."""
        entries = journal.read(self.folder / work.JOURNAL)
        self.peak = max([self.peak, *(entry.peak for entry in entries.values())])
        return {
            key: entry
            for key, entry in entries.items()
            if key in wanted
            and (entry.failed or all(path.exists() for path in work.products(self.folder, wanted[key])))
        }


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
