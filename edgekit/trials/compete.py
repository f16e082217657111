"""Judge candidates one after another in this process, within a bound on the time; keep the best one's towers open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.choices import nothing_works
from edgekit.errors import BundleError, EdgekitError, InputError, RuntimeUnavailableError
from edgekit.judging import WRONG_NUMBERS, judge, open_towers
from edgekit.policies import rank
from edgekit.results import UNTRIED
from edgekit.trials import marks

if TYPE_CHECKING:
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.policies import Policy
    from edgekit.results import Candidate
    from edgekit.runtimes.protocol import SessionSettings
    from edgekit.tower import DeviceTower

_CURES = "'edgekit tune' also tries settings of the engines that may cure wrong numbers, and 'load' then uses them"


@dataclass(frozen=True)
class Competition:
    """What a competition among candidates found.

    Attributes:
        candidates: every candidate as it was judged, and those refused beforehand.
        chosen: index of the best that passed.
        towers: its towers, open.
        cut: seconds after which the rest was not tried; 0 when every candidate was.
    """

    candidates: tuple[Candidate, ...]
    chosen: int
    towers: dict[TowerName, DeviceTower]
    cut: float


def compete(
    bundle: Bundle,
    choices: list[Choice],
    refused: list[Candidate],
    names: tuple[TowerName, ...],
    settings: SessionSettings,
    budget: float,
    policy: Policy = "latency",
) -> Competition:
    """Judge every choice that there is time for; only the best one's towers stay open.

    Args:
        bundle: opened.
        choices: what to judge, the most promising first.
        refused: candidates refused beforehand, for the record.
        names: which towers.
        settings: of the sessions.
        budget: seconds after which no further choice is begun, once one was accepted.
        policy: what makes one better than another.

    Returns:
        What was found.

    Raises:
        BundleError: a file is damaged.
        RuntimeUnavailableError: nothing passes; the message lists every refusal.
    """
    judged: list[Candidate] = []
    best: tuple[tuple[float, ...], int, dict[TowerName, DeviceTower]] | None = None
    start, cut = time.monotonic(), 0.0
    for choice in choices:
        if best is not None and time.monotonic() - start >= budget:
            reason = f"{UNTRIED}the {budget:g} s for choosing were over; run 'edgekit tune', or give a larger budget"
            judged.append(choice.candidate(reason, ran=False))
            cut = budget
            continue
        try:
            candidate, towers = _tried(bundle, choice, names, settings, timed=len(choices) > 1)
        except BundleError:
            # Damage is not this candidate's fault: no other variant of the same file can be trusted either.
            _close(best[2] if best else {})
            raise
        judged.append(candidate)
        if not candidate.accepted:
            continue
        place = rank(policy, candidate, choice.variant, names)
        if best is None or place < best[0]:
            _close(best[2] if best else {})
            best = place, len(judged) - 1, towers
        else:
            _close(towers)
    if best is None:
        message = nothing_works(bundle, judged + refused)
        wrong = any(WRONG_NUMBERS in candidate.reason for candidate in judged)
        raise RuntimeUnavailableError(f"{message}\n{_CURES}" if wrong else message)
    return Competition((*judged, *refused), best[1], best[2], cut)


def _tried(
    bundle: Bundle, choice: Choice, names: tuple[TowerName, ...], settings: SessionSettings, *, timed: bool
) -> tuple[Candidate, dict[TowerName, DeviceTower]]:
    """Judge one choice; its towers are open when it was accepted."""
    mark = marks.mark_of(bundle, choice, settings, names)
    if marks.crashed(mark):
        # Imported here: hardly any load needs a child process.
        from edgekit.trials.retrial import refusal

        if reason := refusal(bundle, choice, names, settings):
            return choice.candidate(reason), {}
    towers: dict[TowerName, DeviceTower] = {}
    with marks.judging(mark):
        try:
            towers = open_towers(bundle, choice, names, settings)
            times, checks = judge(bundle, choice, towers, timed=timed)
        except EdgekitError as error:
            _close(towers)
            if isinstance(error, BundleError):
                raise
            # A setting that this engine does not know says nothing about the variant.
            return choice.candidate(str(error), ran=not isinstance(error, InputError)), {}
    if times is None:
        return choice.candidate("", None, checks), towers
    return choice.candidate("", times.milliseconds, checks, processor=times.processor), towers


def _close(towers: dict[TowerName, DeviceTower]) -> None:
    for tower in towers.values():
        tower.close()
