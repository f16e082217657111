"""Which candidates ``edgekit tune`` tries, in which order, each in a process of its own."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.results import UNTRIED, Cost
from edgekit.trials.process import TrialError, TrialProcess
from edgekit.trials.records import Request
from edgekit.tuning.finals import Finalist
from edgekit.tuning.options import extras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.results import Candidate
    from edgekit.trials.records import Result
    from edgekit.tuning.finals import Finalists

# Other numbers of threads are tried for what is at most so many times slower than the fastest.
_NEAR = 2.0
# Seconds for which a trial may outlive its limit when nobody is left to end it.
_GRACE = 10


@dataclass(frozen=True)
class Terms:
    """What holds for every trial.

    Attributes:
        path: of the bundle.
        trusted: members whose digest is right.
        towers: which to open.
        batch: rows of one inference.
        memory: megabytes that a candidate may need; 0 for no limit.
        trial_seconds: after which a trial is ended.
        deadline: on the monotonic clock, after which no trial begins and a running one is ended.
        score: makes one figure in milliseconds of the towers' times.
        on_stage: told what is tried next.
    """

    path: Path
    trusted: tuple[str, ...]
    towers: tuple[TowerName, ...]
    batch: int
    memory: int
    trial_seconds: float
    deadline: float
    score: Callable[[dict[str, float]], float]
    on_stage: Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """A choice with the settings to try it with."""

    choice: Choice
    threads: int
    options: tuple[tuple[str, str], ...] = ()

    def candidate(self, reason: str, *, ran: bool = True) -> Candidate:
        """Return the record of a refusal, or of an acceptance still without figures."""
        plain = self.choice.candidate(reason, ran=ran)
        return replace(plain, threads=self.threads, options=self.options)


class Search:
    """The trials so far, in order."""

    def __init__(self, terms: Terms, finalists: Finalists) -> None:
        self._terms, self._finalists = terms, finalists
        self.tried: list[tuple[Setup, Candidate]] = []

    def run(self, choices: Iterable[Choice], threads: tuple[int, ...]) -> None:
        """Try every choice, then other settings where they may help.

        First each variant on each runtime and device with the most threads; when its numbers are wrong, with the
        settings that may cure that. Then the other numbers of threads for what came near the fastest.

        Args:
            choices: the most promising first.
            threads: numbers of threads, at least one.
        """
        most = max(threads)
        for choice in choices:
            name, device = choice.runtime.name, choice.device
            if self._wrong(Setup(choice, most)):
                # The first cure that works is the mildest: the table is in that order.
                cures = extras(name, device, "wrong numbers")
                next((options for options in cures if not self._wrong(Setup(choice, most, options))), None)
            for options in extras(name, device, "always"):
                self._wrong(Setup(choice, most, options))
        fastest = min((c.milliseconds or 0.0 for _, c in self.tried if c.accepted), default=math.inf)
        accepted = [(setup, c.milliseconds or 0.0) for setup, c in self.tried if c.accepted]
        for setup, milliseconds in sorted(accepted, key=lambda pair: pair[1]):
            for count in sorted(set(threads) - {most}, reverse=True) if milliseconds <= _NEAR * fastest else ():
                self._wrong(replace(setup, threads=count))

    def _wrong(self, setup: Setup) -> bool:
        """Try one setup and keep the outcome; return True when it ran and its numbers were wrong."""
        terms = self._terms
        left = terms.deadline - time.monotonic()
        if left <= 0:
            reason = f"{UNTRIED}the time for tuning was up; give more --minutes"
            self.tried.append((setup, setup.candidate(reason, ran=False)))
            return False
        shown = setup.candidate("")
        terms.on_stage(f"{shown.variant} on {shown.runtime} ({shown.setup})")
        seconds = min(terms.trial_seconds, left)
        process = TrialProcess(terms.path, self._request(setup, seconds))
        try:
            result = process.result(seconds)
            candidate = self._judged(setup, result)
        except TrialError as error:
            late = "; the time for tuning was up" if left < terms.trial_seconds else ""
            candidate, result = setup.candidate(f"{error}{late}"), None
        except BaseException:
            process.close()
            raise
        self.tried.append((setup, candidate))
        if candidate.accepted:
            self._finalists.offer(Finalist(len(self.tried) - 1, candidate, process))
        else:
            process.close()
        return result is not None and result.wrong

    def _judged(self, setup: Setup, result: Result) -> Candidate:
        limit = self._terms.memory
        if result.reason:
            return setup.candidate(result.reason)
        if limit and result.peak is not None and result.peak > limit:
            return setup.candidate(f"needs {result.peak:.0f} MB at its peak, at most {limit} MB are allowed")
        time_found = self._terms.score(result.times)
        cost = Cost(time_found, time_found, result.times, result.load, result.peak)
        return replace(setup.candidate(""), milliseconds=time_found, checks=result.checks, cost=cost)

    def _request(self, setup: Setup, seconds: float) -> Request:
        terms, choice = self._terms, setup.choice
        return Request(
            trusted=terms.trusted,
            variant=choice.variant.id,
            runtime=choice.runtime.name,
            device=choice.device,
            towers=terms.towers,
            threads=setup.threads,
            options=setup.options,
            batch=terms.batch,
            memory=terms.memory,
            seconds=math.ceil(seconds) + _GRACE,
        )
