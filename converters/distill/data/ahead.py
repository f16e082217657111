"""The next batch, made while the training works on this one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
_Key = tuple[int, int, int]


class Ahead(Generic[T]):
    """Batches by step, rank and world; the step after the one asked for is made in the background.

    What is returned does not depend on it: a batch is a pure function of its three numbers.
    """

    def __init__(self, make: Callable[[int, int, int], T], pool: ThreadPoolExecutor | None) -> None:
        """Take what makes a batch, and a pool of one thread; without it, a batch is made when it is asked for."""
        self._make, self._pool = make, pool
        self._next: tuple[_Key, Future[T]] | None = None
        self._lock = threading.Lock()

    def get(self, step: int, rank: int, world: int) -> T:
        """Return a batch."""
        if self._pool is None:
            return self._make(step, rank, world)
        with self._lock:
            known, self._next = self._next, None
            if known is not None and known[0] == (step, rank, world):
                found = known[1].result()
            else:
                found = self._make(step, rank, world)
            following = (step + 1, rank, world)
            self._next = following, self._pool.submit(self._make, *following)
            return found
