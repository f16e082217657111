"""Keep what ``edgekit tune`` chose, and find it again at a load that it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import decisions
from edgekit.decisions import Decision
from edgekit.golden import TOWERS
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.results import Candidate


@dataclass(frozen=True)
class Tuned:
    """A stored tuning.

    Attributes:
        date: day it was made, as ``2026-01-31`` (UTC).
        objective: what it was to make fast, see `edgekit.tuning.Objective`.
        engines: version of every runtime that could have opened the bundle, by name.
        decision: the candidates and the one chosen.
    """

    date: str
    objective: str
    engines: dict[str, str]
    decision: Decision

    @property
    def chosen(self) -> Candidate:
        """The candidate to use."""
        return self.decision.candidates[self.decision.chosen]

    @property
    def settings(self) -> SessionSettings:
        """The settings it was measured with."""
        return SessionSettings(threads=self.chosen.threads, options=self.chosen.options)


def store(bundle: Bundle, names: tuple[TowerName, ...], tuned: Tuned) -> str:
    """Store a tuning; return an empty string, or why it could not be stored."""
    return decisions.store_record(_key(bundle, names), tuned)


def recall(bundle: Bundle, names: tuple[TowerName, ...]) -> Tuned | None:
    """Return the tuning of this very bundle on this processor.

    Args:
        bundle: opened.
        names: the towers to be used.

    Returns:
        The one made for these towers, else the one made for both, in which each was checked; None when there is none.
    """
    for towers in dict.fromkeys((names, TOWERS)):
        tuned = decisions.recall_record(_key(bundle, towers), Tuned)
        if tuned is not None and 0 <= tuned.decision.chosen < len(tuned.decision.candidates):
            return tuned
    return None


def fitting(tuned: Tuned, choices: list[Choice], settings: SessionSettings | None) -> Choice | None:
    """Return the choice that a tuning stands for.

    Args:
        tuned: recalled.
        choices: what the caller's variant, runtime and device leave to choose from, here and now.
        settings: the caller's, or None when they left them open.

    Returns:
        None when the caller asked for something else, or when an engine is new here or has another version since.
    """
    if settings not in (None, tuned.settings):
        return None
    if any(tuned.engines.get(choice.runtime.name) != choice.version for choice in choices):
        return None
    return same(choices, tuned.chosen)


def same(choices: list[Choice], candidate: Candidate) -> Choice | None:
    """Return the choice that a stored candidate stands for; None when it is not among `choices`."""
    wanted = (candidate.variant, candidate.runtime, candidate.device)
    return next((c for c in choices if (c.variant.id, f"{c.runtime.name} {c.version}", c.device) == wanted), None)


def _key(bundle: Bundle, names: tuple[TowerName, ...]) -> str:
    return decisions.key({"tuned": True, "bundle": bundle.digest, "towers": names})
