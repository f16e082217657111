"""Where the times of queries go: arrays that are there before the first query and grow by doubling.

No Python object is kept for a query, so that the collector has nothing of ours to look at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.benchmarks.scenarios.protocol import Trace

ROWS = 4096
"""Queries that a recorder holds before it grows for the first time."""


class Recorder:
    """The queries of one thread. `add` is for that thread alone."""

    __slots__ = ("_ended", "_issued", "_room", "_stages", "count")

    def __init__(self, stages: int, room: int = ROWS) -> None:
        """Make room.

        Args:
            stages: parts of a query.
            room: queries before the first growth, at least 1.
        """
        self.count = 0
        self._room = room
        self._issued = np.empty(room, np.int64)
        self._ended = np.empty(room, np.int64)
        self._stages = np.empty((room, stages), np.int64)

    def add(self, issued: int, ended: int, stages: tuple[int, ...]) -> None:
        """Keep one query.

        Args:
            issued: when it arrived, by `time.perf_counter_ns`.
            ended: when it ended, likewise.
            stages: nanoseconds of each part.
        """
        row = self.count
        if row == self._room:
            self._grow()
        self._issued[row] = issued
        self._ended[row] = ended
        self._stages[row] = stages
        self.count = row + 1

    def rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return what was kept: (n,) issued, (n,) ended, (n, stages) parts, int64 nanoseconds; views, not copies."""
        return self._issued[: self.count], self._ended[: self.count], self._stages[: self.count]

    def _grow(self) -> None:
        self._room *= 2
        for name in ("_issued", "_ended", "_stages"):
            old = getattr(self, name)
            new = np.empty((self._room, *old.shape[1:]), np.int64)
            new[: len(old)] = old
            setattr(self, name, new)


def merge(recorders: list[Recorder], begin: int, batch: int) -> Trace:
    """Put the queries of all threads into one trace.

    Args:
        recorders: of the threads, at least one of them with a query.
        begin: of the measured part, by `time.perf_counter_ns`.
        batch: samples of each query.

    Returns:
        The trace, in the order in which queries arrived; those that arrived at once, in the order in which they ended.
    """
    parts = [recorder.rows() for recorder in recorders]
    issued, ended, stages = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.lexsort((ended, issued))
    end = int(ended.max())
    return Trace(begin, end, issued[order] - begin, ended[order] - begin, stages[order], batch)


def bytes_of(trace: Trace) -> int:
    """Return the bytes that one query's times took while the run was on; they grow as queries come."""
    return 8 * (2 + int(trace.stages.shape[1]))
