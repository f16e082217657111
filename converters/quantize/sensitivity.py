"""What each group would lose and save under each method: the tasks that measure it, and the options they give.

Two passes, so that a short budget is spent on what matters: first every method on all groups of one kind together
(loss, size, and time on this device), then the methods that are worth it on each group alone (loss only). A group that
was not measured alone is taken to have its share, by number of weights, of its kind's loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize import figures, work
from edgekit.converters.quantize.choose import Option, hull
from edgekit.converters.quantize.data import PROBE
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.quantize.work import Task
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.quantize.journal import Entry
    from edgekit.converters.quantize.methods.records import Group
    from edgekit.converters.quantize.settings import Objective
    from edgekit.converters.quantize.work import Survey
    from edgekit.golden import TowerName

Kinds = Mapping[tuple[str, str], Sequence[Option]]
"""Options by (tower, kind)."""

ROUNDS = 7
# What is not asked for counts a fifth: a table that costs no time is still stored in fewer bytes, and noise in the
# timing does not decide against that.
SECOND = 0.2


@dataclass(frozen=True)
class Scale:
    """The float bundle, against which savings are counted.

    Attributes:
        seconds: of one photo and one text.
        size: of both towers, in bytes.
        tower_seconds: per tower.
        tower_size: per tower.
    """

    seconds: float
    size: int
    tower_seconds: dict[str, float]
    tower_size: dict[str, int]


@dataclass(frozen=True)
class Measured:
    """One method on all groups of one kind, or on one group.

    Attributes:
        tower: image or text.
        kind: of the groups.
        group: name of the one group; empty for all of the kind.
        method: applied to them.
        loss: 1 - mean centred cosine of the tower's embeddings; 0 where it failed.
        flips: share of probe inputs whose best match changed.
        bytes: by which the tower's files grow; 0 where it was not built.
        ratio: time against float; None where it was not timed.
        failed: why there are no figures; empty when there are.
    """

    tower: TowerName
    kind: str
    group: str
    method: str
    loss: float
    flips: float
    bytes: int
    ratio: Ratio | None
    failed: str


def usable(survey: Survey, wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the methods to try for each kind of group that the tower has."""
    kinds = dict.fromkeys(group.kind for group in sorted(survey.groups, key=lambda g: -g.parameters))
    return {
        kind: tuple(
            name for name, method in survey.methods.items() if kind in method.kinds and name in (wanted or survey.usual)
        )
        for kind in kinds
    }


def kind_tasks(tower: TowerName, survey: Survey, methods: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Task]:
    """Return the tasks of the first pass by (kind, method), the kinds with most weights first."""
    found = {}
    for kind in sorted(methods, key=lambda k: (-_parameters(survey.groups, k), k)):
        for method in methods[kind]:
            decision = TowerDecision({group.name: method for group in survey.groups if group.kind == kind})
            note = f"{tower}: {kind} as {method}"
            found[kind, method] = Task("evaluate", tower, note, decision, parts=(PROBE,), rounds=ROUNDS)
    return found


def group_tasks(tower: TowerName, survey: Survey, methods: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Task]:
    """Return the tasks of the second pass by (group, method); kinds of a single group are known already."""
    found = {}
    # One method after the other, so that what time allows is whole for the methods that save most.
    for position in range(max(map(len, methods.values()), default=0)):
        for group in survey.groups:
            alone = sum(other.kind == group.kind for other in survey.groups) == 1
            if not alone and position < len(methods.get(group.kind, ())):
                method = methods[group.kind][position]
                note = f"{tower}: {group.name} as {method}"
                found[group.name, method] = Task(
                    "evaluate", tower, note, TowerDecision({group.name: method}), parts=(PROBE,)
                )
    return found


def read(
    folder: Path,
    task: Task,
    entry: Entry,
    kind: str,
    group: str,
    reference: npt.NDArray[np.float32],
    others: npt.NDArray[np.float32],
    size: int,
) -> Measured:
    """Turn what a worker left into figures.

    Args:
        folder: of the search.
        task: that was done.
        entry: its entry in the journal.
        kind: of the groups.
        group: name of the one group, or an empty string.
        reference: rows of the float tower for the part `PROBE`.
        others: rows of the other float tower for the part `PROBE`.
        size: of the float tower's files.

    Returns:
        The figures.
    """
    method = next(iter(task.decision.methods.values()))
    if entry.failed:
        return Measured(task.tower, kind, group, method, 0.0, 0.0, 0, None, entry.failed)
    rows = np.load(work.rows(folder, task, PROBE))
    timed = ratio(entry.times, entry.float_times) if entry.times else None
    return Measured(
        task.tower,
        kind,
        group,
        method,
        figures.loss(rows, reference),
        figures.flips(rows, reference, others),
        entry.size - size,
        timed,
        "",
    )


def kind_options(
    measured: Sequence[Measured], scale: Scale, objective: Objective
) -> dict[tuple[str, str], list[Option]]:
    """Return the options of each (tower, kind), float32 among them."""
    found: dict[tuple[str, str], list[Option]] = {}
    for one in measured:
        options = found.setdefault((one.tower, one.kind), [Option("", 0.0, 0.0)])
        if not one.failed and one.ratio is not None:
            options.append(Option(one.method, one.loss, cost(one, scale, objective)))
    return found


def cost(one: Measured, scale: Scale, objective: Objective) -> float:
    """Return what a method adds to the float bundle's time or size, as a share of it; the other counts a little.

    A difference in time that its interval does not tell from none is none.
    """
    seconds = 0.0
    if one.ratio is not None and not one.ratio.low <= 1 <= one.ratio.high:
        seconds = (one.ratio.median - 1) * scale.tower_seconds[one.tower] / scale.seconds
    size = one.bytes / scale.size
    return seconds + SECOND * size if objective == "latency" else size + SECOND * seconds


def worthwhile(kinds: Kinds, tower: str) -> dict[str, tuple[str, ...]]:
    """Return the methods of each kind that a best trade may use, the cheapest first."""
    return {
        kind: tuple(option.name for option in reversed(hull(options)) if option.name)
        for (of, kind), options in kinds.items()
        if of == tower
    }


def group_options(
    surveys: Mapping[TowerName, Survey],
    kinds: Kinds,
    alone: Sequence[Measured],
) -> dict[str, list[Option]]:
    """Return the options of every group of both towers, named ``tower/group``.

    Args:
        surveys: the groups of the towers that may change.
        kinds: options of whole kinds.
        alone: groups that were measured alone.

    Returns:
        For each group float32, and each method with its share of the kind's cost and the loss measured alone, or its
        share of the kind's loss.
    """
    by_group = {(one.tower, one.group, one.method): one for one in alone}
    found: dict[str, list[Option]] = {}
    for tower, survey in surveys.items():
        for group in survey.groups:
            share = group.parameters / max(1, _parameters(survey.groups, group.kind))
            options = [Option("", 0.0, 0.0)]
            for option in kinds.get((tower, group.kind), ()):
                one = by_group.get((tower, group.name, option.name))
                if option.name and not (one and one.failed):
                    options.append(Option(option.name, one.loss if one else share * option.loss, share * option.cost))
            found[f"{tower}/{group.name}"] = options
    return found


def _parameters(groups: Sequence[Group], kind: str) -> int:
    return sum(group.parameters for group in groups if group.kind == kind)
