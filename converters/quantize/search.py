"""The search: measure what each group loses and saves, choose, prove the choice on data it has not seen."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgekit.converters.quantize import candidates, choose, sensitivity, work
from edgekit.converters.quantize.candidates import Bench, Candidate, float_task
from edgekit.converters.quantize.crew import Crew, Interrupted
from edgekit.converters.quantize.data import GOLDEN
from edgekit.converters.quantize.measuring import Measuring
from edgekit.converters.quantize.methods.records import Decision, TowerDecision
from edgekit.converters.quantize.sensitivity import Measured, Scale
from edgekit.converters.quantize.work import Task
from edgekit.errors import ConversionError, InputError
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.converters.quantize.choose import Choice
    from edgekit.converters.quantize.data import Material
    from edgekit.converters.quantize.journal import Entry
    from edgekit.converters.quantize.settings import Settings
    from edgekit.converters.quantize.work import Survey
    from edgekit.golden import TowerName

# Shares of the time by which each step ends, whatever it has done; the proof always runs once.
_KINDS, _FIRST, _GROUPS, _SECOND = 0.45, 0.58, 0.78, 0.9
_BACK = 0.75
"""A candidate that failed on held-out data is followed by one that is predicted to lose at most this share of it."""

MAX_LOOKS = 5
"""How often the held-out part may be looked at: every look makes a lucky pass likelier."""


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        winner: the candidate to deliver; None when float is kept.
        tasks: per tower, the task whose kept files are the winner's.
        candidates: every whole candidate, float first.
        measured: every kind and group under every method that was measured.
        surveys: the groups of each tower that may change.
        scale: speed and size of the float towers.
        looks: how often the held-out part was looked at.
        interrupted: the user stopped it; the winner is the best until then.
        reason: why float is kept; empty when it is not.
    """

    winner: Candidate | None
    tasks: dict[TowerName, Task]
    candidates: tuple[Candidate, ...]
    measured: tuple[Measured, ...]
    surveys: dict[TowerName, Survey]
    scale: Scale
    looks: int
    interrupted: bool
    reason: str


@dataclass(frozen=True)
class Step:
    """A decision on the way from the most faithful to the cheapest, with its predicted cost and loss."""

    decision: Decision
    cost: float
    loss: float


@dataclass
class Search:
    """One search in one folder.

    Attributes:
        folder: holds the float towers and the inputs; everything that is found goes there.
        settings: of the user.
        crew: does the tasks.
        on_stage: called with the name of each stage.
        start: when it began, on the clock of `time.monotonic`.
    """

    folder: Path
    settings: Settings
    crew: Crew
    on_stage: Callable[[str], None]
    start: float = field(default_factory=time.monotonic)

    def photo_seconds(self) -> float:
        """Time the float towers on the golden inputs.

        Returns:
            Seconds of one photo.

        Raises:
            ConversionError: a float tower fails here.
        """
        self._stage("timing the float towers")
        return statistics.median(self._float((GOLDEN,))["image", GOLDEN].times)

    def run(self, material: Material) -> Outcome:
        """Search.

        Args:
            material: what the inputs in the folder are.

        Returns:
            The winner, or why there is none. A user's wish to stop ends the search early with what it has.

        Raises:
            Interrupted: the user stopped it before anything had passed.
            ConversionError: a float tower fails here, or no worker can start.
        """
        self._stage("embedding the data with the float towers")
        entries = self._float((GOLDEN, *candidates.FLOAT_PARTS))
        seconds = {str(tower): statistics.median(entries[tower, GOLDEN].times) for tower in TOWERS}
        sizes = {str(tower): entries[tower, GOLDEN].size for tower in TOWERS}
        scale = Scale(sum(seconds.values()), sum(sizes.values()), seconds, sizes)
        measuring = Measuring(self.folder, self.crew, self.settings, self._survey(), scale)
        bench = Bench(self.folder, self.crew, material, self.settings, scale)
        bench.on_search(Decision(work.FLOAT, work.FLOAT), 0.0, float("inf"))
        path: list[Step] = []
        with contextlib.suppress(Interrupted):
            self._choose(measuring, bench, path)
        asked = self.crew.stopped
        # The proof is all that is left to do, and without it nothing can be delivered.
        self.crew.stopped = lambda: False
        winner, tasks, reason = self._prove(bench, path, asked)
        interrupted = asked()
        if interrupted and winner is None:
            raise Interrupted
        found, seen = tuple(measuring.found), tuple(bench.seen.values())
        surveys = dict(measuring.surveys)
        return Outcome(winner, tasks, seen, found, surveys, scale, bench.looks, interrupted, reason)

    def _float(self, parts: tuple[str, ...]) -> dict[tuple[str, str], Entry]:
        tasks = {(str(tower), part): float_task(tower, part) for tower in TOWERS for part in parts}
        entries = self.crew.do(list(tasks.values()))
        for (tower, part), task in tasks.items():
            if entries[task.key].failed:
                raise ConversionError(f"the float {tower} tower fails here on {part}: {entries[task.key].failed}")
        return {where: entries[task.key] for where, task in tasks.items()}

    def _survey(self) -> dict[TowerName, Survey]:
        tasks = {tower: Task("survey", tower, f"{tower}: groups") for tower in TOWERS if tower in self.settings.towers}
        entries = self.crew.do(list(tasks.values()))
        for tower, task in tasks.items():
            if entries[task.key].failed:
                raise ConversionError(f"the {tower} tower's groups: {entries[task.key].failed}")
        found = {tower: work.read_survey(self.folder, tower) for tower in tasks}
        known = {name for survey in found.values() for name in survey.methods}
        unknown = [name for name in self.settings.methods if name not in known]
        if unknown:
            raise InputError(f"methods: {unknown[0]!r} is not one of {', '.join(sorted(known))}")
        return found

    def _choose(self, measuring: Measuring, bench: Bench, path: list[Step]) -> None:
        """Measure whole kinds, then single groups; after each, look for the best candidate that passes.

        Args:
            measuring: does the passes.
            bench: runs whole candidates.
            path: is filled with the decisions of the last pass, from the most faithful to the cheapest.
        """
        self._stage("calibrating")
        measuring.calibrate(self._until(_KINDS))
        self._stage("trying each method on each kind of group")
        kinds = measuring.kinds(self._until(_KINDS))
        if self.settings.smoothing:
            self._stage("trying to smooth activations")
            measuring.smooth(kinds, self._until(_FIRST))
        self._stage("looking for the best choice by kind")
        path[:] = self._decisions(measuring, kinds)
        if self._find(bench, path, _FIRST):
            if measuring.complete:
                return  # the cheapest of all passes; knowing single groups better could not improve on it
            self._stage("trying what there was no time for")
            kinds = measuring.kinds(self._until(_GROUPS))
        else:
            self._stage("trying methods on each group")
            measuring.groups(kinds, self._until(_GROUPS))
        self._stage("looking for the best choice by group")
        path[:] = self._decisions(measuring, kinds)
        self._find(bench, path, _SECOND)
        self._stage("trying one more group at a time")
        self._add(bench, path, _SECOND)

    def _decisions(self, measuring: Measuring, kinds: sensitivity.Kinds) -> list[Step]:
        alone = [one for one in measuring.found if one.group]
        options = sensitivity.group_options(measuring.surveys, kinds, alone)
        choices = choose.front(options) if options else ()
        return [Step(_decision(choice, measuring.smoothing), choice.cost, choice.loss) for choice in choices]

    def _find(self, bench: Bench, path: list[Step], share: float) -> bool:
        """Find the cheapest decision of a path that passes; say whether it is the last one of all."""
        deadline = self._until(share)

        def passes(index: int) -> bool | None:
            candidate = bench.on_search(path[index].decision, path[index].cost, deadline)
            return None if candidate is None else candidate.passed

        return bool(path) and choose.last_that_passes(len(path), passes) == len(path) - 1

    def _add(self, bench: Bench, path: list[Step], share: float) -> None:
        """Go on from the best candidate that passes: take each further step of the path alone, and keep what passes.

        The path is the best order only as far as losses add up; a step that fails need not spoil those behind it.
        """
        passing = [i for i, step in enumerate(path) if bench.known(step.decision)]
        if not passing:
            return
        best = path[passing[-1]]
        for before, after in itertools.pairwise(path[passing[-1] :]):
            step = _taken(best, before, after)
            candidate = bench.on_search(step.decision, step.cost, self._until(share))
            if candidate is None:
                return
            if candidate.passed:
                best = step

    def _prove(
        self, bench: Bench, path: list[Step], asked: Callable[[], bool]
    ) -> tuple[Candidate | None, dict[TowerName, Task], str]:
        """Take the fastest candidate that passes on the held-out part too.

        After each that fails, half of what is left is passed over: what is nearly as fast most likely fails too.
        When time is over, the most faithful has the last chance.
        """
        self._stage("proving the choice on held-out data")
        best = [one for one in bench.seen.values() if one.passed and _changes(one.decision)]
        # By what was predicted from many timings, not by the one timing of the whole, which is noisier.
        best.sort(key=lambda one: one.predicted)
        reason = "no candidate passed on the data that the search chooses by"
        last: Candidate | None = None
        over = False
        while bench.looks < MAX_LOOKS and not (over and not best):
            over = time.monotonic() >= self._until(1.0) or asked()
            candidate = _next(best, bench.looks, over=over)
            if candidate is None and not over:
                candidate = self._more_faithful(bench, path, last)
            if candidate is None:
                break
            last, tasks = bench.on_held_out(candidate)
            if last.on_held_out is not None and not last.on_held_out.failures:
                return last, tasks, ""
            reason = "; ".join(last.on_held_out.failures if last.on_held_out else ())
        if last is None:
            return None, {}, _with_failures(reason, bench)
        return None, {}, f"{reason}; the held-out data was looked at {bench.looks} times"

    def _more_faithful(self, bench: Bench, path: list[Step], last: Candidate | None) -> Candidate | None:
        """Go back towards float until a candidate passes on the search part."""
        failed = next((step for step in path if last is not None and step.decision == last.decision), None)
        most = _BACK * failed.loss if failed is not None else 0.0
        for step in reversed(path):
            if step.loss > most or not _changes(step.decision):
                continue
            found = bench.on_search(step.decision, step.cost, self._until(1.0))
            if found is None:
                return None
            if found.passed and found.on_held_out is None:
                return found
            most = _BACK * step.loss
        return None

    def _until(self, share: float) -> float:
        return self.start + share * 60 * self.settings.minutes

    def _stage(self, name: str) -> None:
        left = max(0.0, self._until(1.0) - time.monotonic()) / 60
        self.on_stage(f"{name} ({left:.1f} min left)")


def _next(best: list[Candidate], looks: int, *, over: bool) -> Candidate | None:
    """Take the next candidate to prove out of `best`, the fastest first; with it go those that are passed over."""
    if not best:
        return None
    index = 0 if looks == 0 else len(best) - 1 if over else len(best) // 2
    found = best[index]
    del best[: index + 1]
    return found


def _decision(choice: Choice, smoothing: dict[str, float]) -> Decision:
    methods: dict[str, dict[str, str]] = {tower: {} for tower in TOWERS}
    for name, option in choice.options.items():
        tower, _, group = name.partition("/")
        if option.name:
            methods[tower][group] = option.name
    image, text = (TowerDecision(methods[t], smoothing.get(t, 0.0) if methods[t] else 0.0) for t in TOWERS)
    return Decision(image, text)


def _taken(best: Step, before: Step, after: Step) -> Step:
    """Return `best` with what changes from `before` to `after`: one group's method."""
    towers = {}
    for tower in TOWERS:
        old, new, own = (candidates.tower_decision(step.decision, tower) for step in (before, after, best))
        changed = {group: name for group, name in new.methods.items() if old.methods.get(group) != name}
        towers[tower] = replace(new, methods={**own.methods, **changed})
    decision = Decision(towers["image"], towers["text"])
    return Step(decision, best.cost + after.cost - before.cost, best.loss + after.loss - before.loss)


def _changes(decision: Decision) -> bool:
    return bool(decision.image.methods or decision.text.methods)


def _with_failures(reason: str, bench: Bench) -> str:
    """Add what the most faithful candidate that changes anything failed by."""
    tried = [one for one in bench.seen.values() if _changes(one.decision)]
    if not tried:
        return f"{reason}: no method could be measured in the time, or none saves anything"
    return f"{reason}; the last one tried: {'; '.join(tried[-1].on_search.failures)}"
