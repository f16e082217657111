"""Threads that issue queries, and the one that started them, which reports progress and carries errors out."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edgekit.benchmarks.scenarios.recorder import ROWS, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    OnTick = Callable[[float, int], None]

TICK = 250_000_000
"""Nanoseconds between two reports of progress."""

# The most queries for which room is made in advance: 4 million of a photo pipeline are 192 MB of address space.
_MOST_ROWS = 4_000_000


class StopEarlyError(Exception):
    """Raised by the report of progress: the run ends now, and keeps the queries that have ended."""


class Run:
    """What the threads of one run share."""

    def __init__(self, stages: int, streams: int, queries: int, on_tick: OnTick) -> None:
        """Make a recorder for each thread.

        Args:
            stages: parts of a query.
            streams: threads.
            queries: least number of them, for which room is made.
            on_tick: told the seconds since the begin and the queries so far.
        """
        room = max(ROWS, min(queries, _MOST_ROWS) // streams + 1)
        self.recorders = [Recorder(stages, room) for _ in range(streams)]
        self.stopped = threading.Event()
        self.begin = 0
        self.next_tick = 0
        self._error: BaseException | None = None
        self._on_tick = on_tick

    def tick(self, now: int) -> None:
        """Report progress; `now` is by `time.perf_counter_ns`."""
        self.next_tick = now + TICK
        self._on_tick((now - self.begin) / 1e9, sum(recorder.count for recorder in self.recorders))

    def start(self) -> None:
        """Begin the measured part now."""
        self.begin = time.perf_counter_ns()
        self.next_tick = self.begin + TICK

    def fail(self, error: BaseException) -> None:
        """End the run with an error; the first one counts."""
        if self._error is None:
            self._error = error
        self.stopped.set()

    def raise_error(self) -> None:
        """Raise the error that ended the run, if one did; being stopped early is none."""
        if self._error is not None and not isinstance(self._error, StopEarlyError):
            raise self._error


def work_together(run: Run, work: Callable[[Recorder, bool], None], on_stop: Callable[[], None] | None = None) -> None:
    """Let every thread of a run work until it returns.

    With one recorder the work is done by the calling thread, without a change of threads.

    Args:
        run: not begun.
        work: given the thread's recorder, and whether it must report progress itself (`Run.tick`, when
            ``now >= run.next_tick``). It must return soon after `Run.stopped` is set.
        on_stop: wakes threads that wait for each other, after an error.

    Raises:
        BaseException: what `work` or the report of progress raised, whichever came first; not `StopEarlyError`.
    """
    if len(run.recorders) == 1:
        run.start()
        with suppress(StopEarlyError):
            work(run.recorders[0], True)
        return
    ready = threading.Event()
    stop = on_stop or _nothing

    def body(recorder: Recorder) -> None:
        ready.wait()
        try:
            if not run.stopped.is_set():
                work(recorder, False)
        except BaseException as error:
            run.fail(error)
            stop()

    threads = [
        threading.Thread(target=body, args=(recorder,), name=f"edgekit-stream-{number}", daemon=True)
        for number, recorder in enumerate(run.recorders)
    ]
    try:
        for thread in threads:
            thread.start()
        run.start()
        ready.set()
        for thread in threads:
            _join(run, thread)
    except BaseException as error:
        # Progress that cannot be shown, or Ctrl-C: the threads must not go on behind the caller's back.
        run.fail(error)
        ready.set()
        stop()
        _join_started(threads)
    run.raise_error()


def _nothing() -> None:
    """Wake nobody."""


def _join_started(threads: list[threading.Thread]) -> None:
    for thread in threads:
        if thread.ident is not None:
            thread.join()


def _join(run: Run, thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(max(0.001, (run.next_tick - time.perf_counter_ns()) / 1e9))
        now = time.perf_counter_ns()
        if now >= run.next_tick:
            run.tick(now)
