"""Plans and works whose times are known, for tests of the scenarios and of the statistics."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.results.records import Plan
from edgekit.benchmarks.scenarios.protocol import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BASE = Plan("single-stream", "image", "edgekit", 1, 0, (), 1, 0.0, 0.0, 0.0, 10, False, 0, 0, "works")


def plan(**changes: object) -> Plan:
    """A plan of ten single-stream queries and no least length, with changes."""
    return replace(BASE, **changes)  # type: ignore[arg-type]


class Work:
    """Sleeps as long as `seconds` says for the number of the call, and keeps what it was asked for."""

    def __init__(
        self,
        seconds: Callable[[int], float] = lambda number: 0.0,
        samples: int = 7,
        stages: tuple[str, ...] = ("work",),
    ) -> None:
        self.samples, self.stages = samples, stages
        self.calls: list[tuple[int, ...]] = []
        self.begun: list[int] = []
        self.threads: set[int] = set()
        self.most_at_once = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        begin = time.perf_counter_ns()
        with self._lock:
            number = len(self.calls)
            self.calls.append(tuple(indices))
            self.begun.append(begin)
            self.threads.add(threading.get_ident())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        seconds = self._seconds(number)
        if seconds:
            time.sleep(seconds)
        with self._lock:
            self._now -= 1
        spent = time.perf_counter_ns() - begin
        return (spent, *(10 * place for place in range(1, len(self.stages))))


def quiet(seconds: float, queries: int) -> None:
    """Show nothing."""


def trace(
    latencies: Sequence[float], gaps: Sequence[float] | None = None, stages: int = 1, batch: int = 1, begin: int = 1000
) -> Trace:
    """A trace of queries that follow each other: `latencies` and pauses between them, in milliseconds."""
    took = (np.asarray(latencies, float) * 1e6).astype(np.int64)
    pauses = np.zeros(len(took), np.int64) if gaps is None else (np.asarray(gaps, float) * 1e6).astype(np.int64)
    ended = np.cumsum(took + pauses)
    parts = np.repeat((took // max(1, stages))[:, None], stages, axis=1)
    return Trace(begin, begin + int(ended[-1]) if len(ended) else begin, ended - took, ended, parts, batch)
