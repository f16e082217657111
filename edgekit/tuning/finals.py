"""The last rounds: the fastest candidates stay open and are timed in turn, so that drift hits all alike."""

from __future__ import annotations

import math
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.trials.process import TrialError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from edgekit.results import Candidate
    from edgekit.trials.process import TrialProcess

_MOST, _NEAR = 4, 1.5
ROUNDS, ROUND_SECONDS, _ANSWER_SECONDS = 9, 0.2, 60.0
_CONFIDENCE = 0.95
# Without a figure from the system, so many megabytes are taken to be free.
_FREE_UNKNOWN = 512.0


@dataclass(eq=False)
class Finalist:
    """A candidate that passed: what is known of it, its index among all, and its process, idle."""

    index: int
    candidate: Candidate
    process: TrialProcess

    @property
    def milliseconds(self) -> float:
        """Its time so far."""
        return self.candidate.milliseconds or 0.0


class Finalists:
    """The fastest so far, as many as half of the free memory holds; use it in a ``with`` block, which ends them."""

    def __init__(self, score: Callable[[dict[str, float]], float]) -> None:
        """Begin empty; `score` makes one figure in milliseconds of the towers' times."""
        self._score = score
        self._all: list[Finalist] = []
        self._allowance = free_megabytes() / 2

    def offer(self, finalist: Finalist) -> None:
        """Take a candidate in, and end the slowest ones if there are too many."""
        self._all = sorted([*self._all, finalist], key=lambda f: f.milliseconds)
        while len(self._all) > _MOST or (len(self._all) > 1 and self._megabytes() > self._allowance):
            self._all.pop().process.close()

    def rounds(self, deadline: float) -> dict[int, Candidate]:
        """Time the finalists in turn, round after round.

        Args:
            deadline: on the monotonic clock; no round begins later.

        Returns:
            The candidates with their new figures, or refused when they did not survive, by index; empty when there is
            nothing to decide or no time for two rounds.
        """
        near = [f for f in self._all if f.milliseconds <= _NEAR * self._all[0].milliseconds]
        found: dict[int, list[dict[str, float]]] = {f.index: [] for f in near} if len(near) > 1 else {}
        failed: dict[int, Candidate] = {}
        for _ in range(ROUNDS if found else 0):
            if time.monotonic() >= deadline:
                break
            for finalist in near:
                if finalist.index in failed:
                    continue
                try:
                    done = finalist.process.again(ROUND_SECONDS, _ANSWER_SECONDS)
                    found[finalist.index].append(done.times)
                except TrialError as error:
                    reason = f"passed, but {error}"
                    failed[finalist.index] = replace(finalist.candidate, accepted=False, reason=reason)
        timed = {f.index: self._timed(f.candidate, found[f.index]) for f in near if len(found.get(f.index, ())) > 1}
        return {**timed, **failed}

    def _timed(self, candidate: Candidate, rounds: list[dict[str, float]]) -> Candidate:
        scores = [self._score(times) for times in rounds]
        low, high = median_interval(scores)
        towers = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
        cost = candidate.cost and replace(candidate.cost, low=low, high=high, towers=towers)
        return replace(candidate, milliseconds=statistics.median(scores), cost=cost)

    def _megabytes(self) -> float:
        return sum((f.candidate.cost.peak or 0.0) for f in self._all if f.candidate.cost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for finalist in self._all:
                stack.callback(finalist.process.close)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval that holds the median of what `values` were drawn from.

    Two order statistics, whatever the distribution: Hahn and Meeker, Statistical Intervals, section 5.2.

    Args:
        values: independent, at least one.

    Returns:
        The narrowest symmetric pair of 95 % confidence, or the extremes when there are too few values for that (with
        nine values the second and the eighth, 96 %).
    """
    ordered, n = sorted(values), len(values)
    rank, outside = 0, 0.5**n
    while rank + 1 <= (n - 1) // 2:
        outside += math.comb(n, rank + 1) * 0.5**n
        if 1 - 2 * outside < _CONFIDENCE:
            break
        rank += 1
    return ordered[rank], ordered[n - 1 - rank]


def free_megabytes() -> float:
    """Return the memory that programs can still take, in megabytes, as Linux estimates it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return _FREE_UNKNOWN
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return _FREE_UNKNOWN if kilobytes is None else int(kilobytes) * 1024 / 1e6
