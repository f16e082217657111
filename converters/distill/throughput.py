"""How fast a counted job goes and how long it will still take, told a few times a second at most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_SECONDS = 0.2


class Pace:
    """Turns counts into facts for a display; to be called with what is done and how much there is."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Tell facts to `tell`; `clock` gives seconds."""
        self._tell, self._clock = tell, clock
        self._start = self._told = clock()
        self._first: int | None = None
        self._total = 0

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` are done; a smaller count than before begins a new job."""
        now = self._clock()
        if self._first is None or done < self._first or total != self._total:
            self._first, self._total, self._start = done, total, now
        elif now - self._told < _LEAST_SECONDS and done < total:
            return
        self._told = now
        facts: dict[str, Any] = {"done": done, "total": total}
        if done > self._first and now > self._start:
            rate = (done - self._first) / (now - self._start)
            facts |= {"per_second": rate, "left": (total - done) / rate}
        self._tell(facts)
