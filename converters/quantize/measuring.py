"""Have the tasks of the sensitivity passes done, and read their figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit import pareto
from edgekit.converters.quantize import figures, sensitivity, work
from edgekit.converters.quantize.candidates import float_rows
from edgekit.converters.quantize.data import CALIBRATION, PROBE
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.quantize.work import Task
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.quantize.choose import Option
    from edgekit.converters.quantize.crew import Crew
    from edgekit.converters.quantize.sensitivity import Measured, Scale
    from edgekit.converters.quantize.settings import Settings
    from edgekit.converters.quantize.work import MethodFacts, Survey
    from edgekit.golden import TowerName

_TABLE = "table"
_OTHER_OPERATORS = frozenset({_TABLE, "convolution"})
SMOOTHING = 0.5
"""The exponent that SmoothQuant recommends for most models (arXiv 2211.10438, section 4.1)."""


@dataclass
class Measuring:
    """The passes over one bundle's towers.

    Attributes:
        folder: of the search.
        crew: does the tasks.
        settings: of the user.
        surveys: of the towers that may change.
        scale: of the float bundle.
        found: everything measured so far.
        smoothing: per tower, the exponent that is used from now on; 0 for none.
        complete: False where time ran out before every kind was measured.
    """

    folder: Path
    crew: Crew
    settings: Settings
    surveys: Mapping[TowerName, Survey]
    scale: Scale
    found: list[Measured] = field(default_factory=list)
    smoothing: dict[str, float] = field(default_factory=dict)
    complete: bool = True

    def calibrate(self, deadline: float) -> None:
        """Measure the ranges that any of the methods wants; where it fails, those methods will say so one by one."""
        tasks = []
        for tower, survey in self.surveys.items():
            usable = sensitivity.usable(survey, self.settings.methods)
            names = sorted({name for of in usable.values() for name in of if self._wants_ranges(survey.methods[name])})
            if names:
                decision = TowerDecision({}, SMOOTHING if self.settings.smoothing else 0.0)
                note = f"{tower}: ranges"
                # One text at a time, as it is without padding.
                batch = 1 if tower == "text" else 8
                task = Task("ranges", tower, note, decision, methods=tuple(names), parts=(CALIBRATION,), batch=batch)
                tasks.append(task)
        self.crew.do(tasks, deadline)

    def kinds(self, deadline: float) -> dict[tuple[str, str], list[Option]]:
        """Measure the methods on whole kinds of groups; returns the options by (tower, kind).

        What costs most comes first, so that a short budget is spent on it. Of the kinds that are matrix products, every
        method is tried on the heaviest, of whichever tower; those that another beats there in cost and in loss are
        not tried on the others, where the same operators run.
        """
        self.found, self.complete = [one for one in self.found if one.group], True
        usable = {tower: sensitivity.usable(survey, self.settings.methods) for tower, survey in self.surveys.items()}
        kinds = [(tower, kind, names) for tower, found in usable.items() for kind, names in found.items()]
        kinds.sort(key=lambda entry: (-self._weight(entry[0], entry[1]), entry[0], entry[1]))
        first = next((entry for entry in kinds if entry[1] not in _OTHER_OPERATORS), None)
        if first is not None:
            self._kinds([first], deadline)
            kept, tried = self._unbeaten(first[0], first[1])
            kinds = [
                (tower, kind, names if kind in _OTHER_OPERATORS else _ordered(names, kept, tried))
                for tower, kind, names in kinds
                if (tower, kind, names) != first
            ]
        self._kinds(kinds, deadline)
        return sensitivity.kind_options(self.found, self.scale, self.settings.objective)

    def _kinds(self, wanted: list[tuple[TowerName, str, tuple[str, ...]]], deadline: float) -> None:
        tasks = [
            (kind, "", task)
            for tower, kind, names in wanted
            for task in sensitivity.kind_tasks(tower, self.surveys[tower], {kind: names}).values()
        ]
        self._measure(tasks, deadline)

    def _unbeaten(self, tower: TowerName, kind: str) -> tuple[list[str], set[str]]:
        """Return the methods that no other beats on a kind, the cheapest first, and all that were tried there."""
        measured = [one for one in self.found if (one.tower, one.kind, one.group) == (tower, kind, "")]
        options = sensitivity.kind_options(measured, self.scale, self.settings.objective).get((tower, kind), [])
        kept = [options[i] for i in pareto.front([(option.cost, option.loss) for option in options])]
        kept.sort(key=lambda option: (option.cost, option.name))
        return [option.name for option in kept if option.name], {one.method for one in measured}

    def _weight(self, tower: TowerName, kind: str) -> float:
        """Return a kind's share of what is to be saved, counted by weights within its tower."""
        groups = self.surveys[tower].groups
        of_kind = sum(group.parameters for group in groups if group.kind == kind)
        size = self.scale.tower_size[tower] / self.scale.size * of_kind / sum(group.parameters for group in groups)
        if self.settings.objective == "size":
            return size
        computed = sum(group.parameters for group in groups if group.kind != _TABLE)
        # A lookup takes no time.
        time = 0.0 if kind == _TABLE else self.scale.tower_seconds[tower] / self.scale.seconds * of_kind / computed
        return time + sensitivity.SECOND * size

    def groups(self, kinds: sensitivity.Kinds, deadline: float) -> None:
        """Measure the methods that are worth it on each group alone."""
        tasks: list[tuple[str, str, Task]] = []
        for tower, survey in self.surveys.items():
            kind_of = {group.name: group.kind for group in survey.groups}
            alone = sensitivity.group_tasks(tower, survey, sensitivity.worthwhile(kinds, tower))
            for (group, _), task in alone.items():
                decision = replace(task.decision, smoothing=self.smoothing.get(tower, 0.0))
                tasks.append((kind_of[group], group, replace(task, decision=decision)))
        self._measure(tasks, deadline)

    def smooth(self, kinds: sensitivity.Kinds, deadline: float) -> None:
        """Decide per tower whether smoothing helps, on the decision that saves most."""
        tasks: dict[tuple[str, float], Task] = {}
        for tower, survey in self.surveys.items():
            best = {kind: names[0] for kind, names in sensitivity.worthwhile(kinds, tower).items() if names}
            methods = {group.name: best[group.kind] for group in survey.groups if group.kind in best}
            for alpha in (0.0, SMOOTHING) if methods else ():
                note = f"{tower}: smoothing {alpha:g}"
                tasks[tower, alpha] = Task("evaluate", tower, note, TowerDecision(methods, alpha), parts=(PROBE,))
        entries = self.crew.do(list(tasks.values()), deadline)
        losses = {
            (tower, alpha): figures.loss(np.load(work.rows(self.folder, task, PROBE)), self._probe(task.tower))
            for (tower, alpha), task in tasks.items()
            if task.key in entries and not entries[task.key].failed
        }
        for tower in self.surveys:
            if losses.get((tower, SMOOTHING), np.inf) < losses.get((tower, 0.0), np.inf):
                self.smoothing[tower] = SMOOTHING

    def _wants_ranges(self, method: MethodFacts) -> bool:
        # Smoothing weighs activations against weights wherever activations are quantized.
        quantized = method.activations not in ("float32", "float16")
        return method.needs_ranges or (self.settings.smoothing and quantized)

    def _measure(self, tasks: list[tuple[str, str, Task]], deadline: float) -> None:
        entries = self.crew.do([task for _, _, task in tasks], deadline)
        self.complete &= all(task.key in entries for _, _, task in tasks)
        for kind, group, task in tasks:
            if task.key in entries:
                other = next(tower for tower in TOWERS if tower != task.tower)
                rows, others = self._probe(task.tower), self._probe(other)
                size = self.scale.tower_size[task.tower]
                self.found.append(
                    sensitivity.read(self.folder, task, entries[task.key], kind, group, rows, others, size)
                )

    def _probe(self, tower: TowerName) -> npt.NDArray[np.float32]:
        return float_rows(self.folder, tower, PROBE)


def _ordered(names: tuple[str, ...], kept: list[str], tried: set[str]) -> tuple[str, ...]:
    """Put the methods that were worth it elsewhere first, then those that were not tried there."""
    return (*(name for name in kept if name in names), *(name for name in names if name not in tried))
