"""The system under test as LoadGen sees it: takes queries, does the work, says which are complete."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.benchmarks.scenarios.server import patience, too_slow

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import Run
    from edgekit.benchmarks.scenarios.protocol import Workload
    from edgekit.benchmarks.scenarios.recorder import Recorder


class System(Protocol):
    """Answers LoadGen's queries.

    After a failure none is answered any more, and LoadGen's thread is kept where it is, because LoadGen has no way to
    end a test. `parked` is set when that thread will not come back into Python: if it did while the process ends, the
    process would crash.
    """

    parked: threading.Event

    def issue(self, samples: list[Any]) -> None:
        """Take one query; called by LoadGen's thread.

        Args:
            samples: each with an ``id``, to be given back, and an ``index`` of the workload.
        """

    def flush(self) -> None:
        """Hear that no further query comes; called by LoadGen's thread."""

    def close(self) -> None:
        """End the threads, after the last query or after a failure; returns when they have ended."""


def make_system(loadgen: Any, plan: Plan, workload: Workload, run: Run) -> System:
    """Choose how queries are answered.

    Args:
        loadgen: the module.
        plan: scenario, batch and streams are used.
        workload: what a query does.
        run: with a recorder for each stream.

    Returns:
        One that works in LoadGen's own thread where only one query is under way at a time and one thread answers it,
        else one with a thread for each stream.
    """
    desk = _Desk(loadgen, plan, workload, run)
    if plan.scenario == "server" or plan.streams > 1:
        return _Threads(desk, plan)
    return _Direct(desk)


class _Desk:
    """What all ways of answering share: the work, the records, the responses."""

    def __init__(self, loadgen: Any, plan: Plan, workload: Workload, run: Run) -> None:
        self.batch = plan.batch
        self.run = run
        self.parked = threading.Event()
        self._loadgen = loadgen
        self._query = workload.query

    def begin(self) -> int:
        """Note the begin of the run at its first query; return the time."""
        now = time.perf_counter_ns()
        if not self.run.begin:
            self.run.begin = now
        return now

    def work(self, samples: list[Any]) -> tuple[int, tuple[int, ...]] | None:
        """Do the work of a query; return when it ended and its stages, or None when the run has failed."""
        if self.run.stopped.is_set():
            return None
        try:
            stages = self._query([sample.index for sample in samples])
        except BaseException as error:
            self.run.fail(error)
            return None
        return time.perf_counter_ns(), stages

    def park_if_failed(self) -> None:
        """Keep LoadGen's thread for ever, if the run has failed."""
        if self.run.stopped.is_set():
            self.parked.set()
            threading.Event().wait()

    def complete(self, responses: list[Any]) -> None:
        """Tell LoadGen, which reads its clock at once."""
        self._loadgen.QuerySamplesComplete(responses)

    def responses(self, samples: list[Any]) -> list[Any]:
        """Make them before the work, so that they take no time after it."""
        response = self._loadgen.QuerySampleResponse
        return [response(sample.id, 0, 0) for sample in samples]


class _Direct:
    """Works in LoadGen's thread; a query larger than the batch, as in the offline scenario, batch after batch."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self.parked = desk.parked

    def issue(self, samples: list[Any]) -> None:
        desk, recorder, size = self._desk, self._desk.run.recorders[0], self._desk.batch
        for start in range(0, len(samples), size):
            issued = desk.begin()
            part = samples[start : start + size]
            responses = desk.responses(part)
            done = desk.work(part)
            if done is not None:
                recorder.add(issued, *done)
            desk.park_if_failed()
            desk.complete(responses)

    def flush(self) -> None:
        self._desk.park_if_failed()

    def close(self) -> None:
        """Nothing to end."""


class _Threads:
    """Hands parts of queries to threads."""

    def __init__(self, desk: _Desk, plan: Plan) -> None:
        self._desk = desk
        self.parked = desk.parked
        self._together = plan.scenario == "multi-stream"
        self._plan, self._server = plan, plan.scenario == "server"
        self._patience = patience(plan)
        # Whether LoadGen's thread waits for answers, outside Python, and comes back for nothing else.
        self._waiting = False
        self._parts: SimpleQueue[tuple[int, list[Any], _Whole | None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, args=(recorder,), name=f"edgekit-stream-{number}", daemon=True)
            for number, recorder in enumerate(desk.run.recorders)
        ]
        for thread in self._threads:
            thread.start()

    def issue(self, samples: list[Any]) -> None:
        self._waiting = False
        issued, size = self._desk.begin(), self._desk.batch
        whole = _Whole(-(-len(samples) // size)) if self._together else None
        for start in range(0, len(samples), size):
            self._parts.put((issued, samples[start : start + size], whole))
        self._waiting = self._together
        self._desk.park_if_failed()

    def flush(self) -> None:
        self._waiting = True
        self._desk.park_if_failed()

    def close(self) -> None:
        for _ in self._threads:
            self._parts.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, recorder: Recorder) -> None:
        while (taken := self._parts.get()) is not None:
            issued, samples, whole = taken
            now = time.perf_counter_ns()
            if self._server and now - issued > self._patience:
                self._desk.run.fail(too_slow(self._plan, now - issued))
            elif whole is None and not self._server:
                issued = now  # offline: all have come at the begin; a batch counts from here
            responses = self._desk.responses(samples)
            done = self._desk.work(samples)
            if done is None:
                # Read after the failure was noted: if this comes too early, LoadGen's thread sees the failure.
                if self._waiting:
                    self.parked.set()
                return
            if whole is None or whole.last():
                recorder.add(issued, *done)
            self._desk.complete(responses)


class _Whole:
    """A query of several parts; it has ended with the last of them."""

    def __init__(self, parts: int) -> None:
        self._left = parts
        self._lock = threading.Lock()

    def last(self) -> bool:
        """Tell whether no part is left."""
        with self._lock:
            self._left -= 1
            return not self._left
