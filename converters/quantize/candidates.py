"""Whole candidates: both towers as one decision says, run on data and held against the promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize import figures, gate, work
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT, PROBE, SEARCH
from edgekit.converters.quantize.work import Task
from edgekit.fidelity import fidelity
from edgekit.golden import TOWERS
from edgekit.ratios import ratio

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import Fidelity
    from edgekit.converters.quantize.crew import Crew
    from edgekit.converters.quantize.data import Material
    from edgekit.converters.quantize.figures import Metric
    from edgekit.converters.quantize.journal import Entry
    from edgekit.converters.quantize.methods.records import Decision, TowerDecision
    from edgekit.converters.quantize.sensitivity import Scale
    from edgekit.converters.quantize.settings import Objective, Settings
    from edgekit.golden import TowerName
    from edgekit.ratios import Ratio

_SEARCH_ROUNDS, _FINAL_ROUNDS = 9, 25
METRICS = {"classification": "top-1", "retrieval": "recall@1"}


@dataclass(frozen=True)
class Seen:
    """What a candidate did on one part of the data.

    Attributes:
        fidelity: against the float towers; None where a tower failed.
        metric: of the task; None where there are no labels.
        failures: what it does not keep; empty when it passes.
    """

    fidelity: Fidelity | None
    metric: Metric | None
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """Both towers under one decision.

    Attributes:
        name: for tables.
        decision: of each tower.
        predicted: cost of the decision by the sum of what its groups were measured to cost; see `sensitivity.cost`.
        size: per tower, bytes of its files; 0 where it could not be built.
        ratio: per tower, time against float on this device; None where it failed.
        on_search: on the part that the search chooses by.
        on_held_out: on the part that it does not choose by; None where it did not come to that.
    """

    name: str
    decision: Decision
    predicted: float
    size: dict[str, int]
    ratio: dict[str, Ratio | None]
    on_search: Seen
    on_held_out: Seen | None = None

    @property
    def passed(self) -> bool:
        """True when nothing failed on the search part."""
        return not self.on_search.failures


class Bench:
    """Runs candidates of one search; towers that were seen before are not run again."""

    def __init__(self, folder: Path, crew: Crew, material: Material, settings: Settings, scale: Scale) -> None:
        """Take the float towers' embeddings, which are in the folder, as the reference."""
        self._folder, self._crew, self._material, self._settings = folder, crew, material, settings
        self.scale = scale
        self.seen: dict[str, Candidate] = {}
        self._of: dict[tuple[str, ...], str] = {}
        self.looks = 0

    def on_search(self, decision: Decision, predicted: float, deadline: float) -> Candidate | None:
        """Run a candidate on the search part; None when time ran out before it was done."""
        tasks = {tower: search_task(tower, tower_decision(decision, tower)) for tower in TOWERS}
        entries = self._crew.do(list(tasks.values()), deadline)
        if len(entries) < len({task.key for task in tasks.values()}):
            return None
        identity = tuple(task.key for task in tasks.values())
        if identity not in self._of:
            # The first is float; the others are numbered as they come.
            name = f"c{len(self._of)}" if self._of else "float"
            self._of[identity] = name
            self.seen[name] = self._candidate(name, decision, predicted, tasks, entries)
        return self.seen[self._of[identity]]

    def known(self, decision: Decision) -> bool:
        """Say whether a decision was run on the search part and passed."""
        return any(one.passed and one.decision == decision for one in self.seen.values())

    def on_held_out(self, candidate: Candidate) -> tuple[Candidate, dict[TowerName, Task]]:
        """Run a candidate on the held-out part; returns it with the tasks that keep the files run, to be delivered."""
        self.looks += 1
        tasks: dict[TowerName, Task] = {
            tower: final_task(tower, tower_decision(candidate.decision, tower)) for tower in TOWERS
        }
        entries = self._crew.do(list(tasks.values()))
        rechecked = self._candidate(candidate.name, candidate.decision, candidate.predicted, tasks, entries, HELD_OUT)
        found = replace(rechecked, on_search=candidate.on_search, on_held_out=rechecked.on_search)
        self.seen[candidate.name] = found
        return found, tasks

    def _candidate(
        self,
        name: str,
        decision: Decision,
        predicted: float,
        tasks: dict[TowerName, Task],
        entries: dict[str, Entry],
        part: str = SEARCH,
    ) -> Candidate:
        of = {tower: entries[task.key] for tower, task in tasks.items()}
        size = {str(tower): entry.size for tower, entry in of.items()}
        ratios = {
            str(tower): ratio(entry.times, entry.float_times) if entry.times else None for tower, entry in of.items()
        }
        failed = tuple(f"the {tower} tower {entry.failed}" for tower, entry in of.items() if entry.failed)
        if failed:
            return Candidate(name, decision, predicted, size, ratios, Seen(None, None, failed))
        image, text = (np.load(work.rows(self._folder, tasks[tower], part)) for tower in TOWERS)
        seen = judged(self._folder, self._material, self._settings, part, image, text)
        worth = (
            worthless(size, ratios, self.scale, self._settings)
            if decision.image.methods or decision.text.methods
            else ()
        )
        return Candidate(name, decision, predicted, size, ratios, replace(seen, failures=(*seen.failures, *worth)))


def judged(
    folder: Path,
    material: Material,
    settings: Settings,
    part: str,
    image: npt.NDArray[np.float32],
    text: npt.NDArray[np.float32],
) -> Seen:
    """Hold a variant's rows on a part of the data against the promise, on whatever engine they were computed.

    Args:
        folder: of the search, with the float towers' rows.
        material: what the data is.
        settings: the promise.
        part: of the data.
        image: (N, D) float32 unit rows.
        text: (M, D) float32 unit rows, one for each prompt.

    Returns:
        The figures, and what is not kept.
    """
    facts = material.parts[part]
    float_image, float_text = (float_rows(folder, tower, part) for tower in TOWERS)
    text, float_text = figures.pool(text, facts.prompts), figures.pool(float_text, facts.prompts)
    found = fidelity(image, text, float_image, float_text, data=material.name, digest=facts.digest)
    metric = None
    if material.task in METRICS:
        metric = figures.metric(METRICS[material.task], (image, text), (float_image, float_text), facts.targets)
    both = material.task != "classification"
    return Seen(found, metric, gate.failures(found, metric, settings.min_agreement, settings.max_drop, both=both))


def float_rows(folder: Path, tower: TowerName, part: str) -> npt.NDArray[np.float32]:
    """Return the float tower's rows for a part: (N, D) float32; for texts a row for each prompt."""
    rows: npt.NDArray[np.float32] = np.load(work.rows(folder, float_task(tower, part), part))
    return rows


def worthless(
    size: dict[str, int], ratios: dict[str, Ratio | None], scale: Scale, settings: Settings
) -> tuple[str, ...]:
    """Say why a candidate is not worth having, however faithful: it is slower than float, or larger."""
    total = sum(size.values())
    if settings.objective == "size":
        return (f"it is no smaller than float ({total} bytes of {scale.size})",) if total >= scale.size else ()
    # The lower ends: a candidate is refused when it is slower beyond doubt.
    least = sum(scale.tower_seconds[tower] * found.low for tower, found in ratios.items() if found)
    if least <= scale.seconds:
        return ()
    share = least / scale.seconds
    return (f"it is slower than float here ({share:.2f} times as long; '--for size' takes it for its size)",)


def cost(candidate: Candidate, scale: Scale, objective: Objective) -> float:
    """Return a candidate's time or size, as a share of float's; infinite where a tower failed."""
    if objective == "size":
        return sum(candidate.size.values()) / scale.size
    found = candidate.ratio.items()
    return sum(scale.tower_seconds[tower] * one.median if one else float("inf") for tower, one in found) / scale.seconds


def tower_decision(decision: Decision, tower: str) -> TowerDecision:
    """Return one tower's part of a decision."""
    return decision.image if tower == "image" else decision.text


def float_task(tower: TowerName, part: str) -> Task:
    """Return the task that embeds a part with the float tower; two are timed, to know its speed and the noise."""
    rounds = _SEARCH_ROUNDS if part in (GOLDEN, SEARCH) else 0
    return Task("evaluate", tower, f"{tower}: float on {part}", parts=(part,), rounds=rounds)


def search_task(tower: TowerName, decision: TowerDecision) -> Task:
    """Return the task that runs a tower on the search part."""
    if not decision.methods:
        return float_task(tower, SEARCH)
    note = f"{tower}: {len(decision.methods)} groups changed, {SEARCH}"
    return Task("evaluate", tower, note, decision, parts=(SEARCH,), rounds=_SEARCH_ROUNDS)


def final_task(tower: TowerName, decision: TowerDecision) -> Task:
    """Return the task that runs a tower on the held-out part, one input at a time as on a device, and keeps it."""
    note = f"{tower}: {len(decision.methods)} groups changed, {HELD_OUT}"
    return Task("evaluate", tower, note, decision, parts=(HELD_OUT, GOLDEN), batch=1, rounds=_FINAL_ROUNDS, keep=True)


FLOAT_PARTS = (PROBE, SEARCH, HELD_OUT)
