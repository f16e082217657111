"""Place towers: recall what was chosen for them here, or let everything that could run them compete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgekit import decisions
from edgekit.choices import list_choices
from edgekit.decisions import Decision
from edgekit.errors import ExecutionError, GoldenError
from edgekit.judging import judge, open_towers
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials.compete import compete
from edgekit.tuning import store
from edgekit.unchanged import states, unchanged

if TYPE_CHECKING:
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.policies import Policy
    from edgekit.tower import DeviceTower

Check = Literal["cached", "always"]


@dataclass(frozen=True)
class Wanted:
    """Towers that are to run on one variant, runtime and device, and what there is to choose from.

    Attributes:
        names: of the towers.
        variant: id of the only variant wanted, or None.
        runtime: name of the only runtime wanted, or None.
        device: the only device wanted, or ``auto``.
        settings: of the sessions; None takes those that were tuned, else what `policy` stands for.
        policy: what makes one candidate better than another.
    """

    names: tuple[TowerName, ...]
    variant: str | None
    runtime: str | None
    device: str
    settings: SessionSettings | None
    policy: Policy


@dataclass(frozen=True)
class Placed:
    """Towers that were opened.

    Attributes:
        towers: open, by name.
        decision: the candidates, and the one in use.
        cached: True when they were judged at an earlier load.
        note: why the judgement could not be stored; else empty.
        tuned: day of the tuning that chose; else empty.
    """

    towers: dict[TowerName, DeviceTower]
    decision: Decision
    cached: bool = False
    note: str = ""
    tuned: str = ""


def place(bundle: Bundle, wanted: Wanted, check: Check, budget: float) -> Placed:
    """Choose for some towers, and open them.

    Args:
        bundle: opened.
        wanted: which towers, and what there is to choose from.
        check: as for `edgekit.load`.
        budget: seconds that choosing may take.

    Returns:
        The open towers, and why they run where they run.

    Raises:
        BundleError: a file is damaged.
        InputError: there is no such variant, or an argument is wrong.
        RuntimeUnavailableError: nothing here opens the bundle and passes; the message lists every refusal.
    """
    choices, refused = list_choices(bundle, wanted.variant, wanted.runtime, wanted.device)
    # What was tuned was tuned for latency.
    placed = _tuned(bundle, choices, wanted, check) if wanted.policy == "latency" else None
    if placed is not None:
        return placed
    settings = wanted.settings or default_settings(wanted.policy)
    key = decisions.key(
        {
            "bundle": bundle.digest,
            "choices": [(c.variant.id, c.runtime.name, c.version, c.device) for c in choices],
            "settings": settings,
            "towers": wanted.names,
            "policy": wanted.policy,
        }
    )
    known = decisions.recall(key) if check == "cached" else None
    if known is not None and not 0 < known.cut < budget:
        choice = store.same(choices, known.candidates[known.chosen])
        towers = choice and _opened_again(bundle, choice, wanted.names, settings, known)
        if towers:
            return Placed(towers, known, cached=True)
    found = compete(bundle, choices, refused, wanted.names, settings, budget, wanted.policy)
    _touch(bundle, wanted.names)
    decision = Decision(found.candidates, found.chosen, states(bundle), found.cut)
    return Placed(found.towers, decision, note=decisions.store(key, decision))


def default_settings(policy: Policy) -> SessionSettings:
    """Return the settings that a policy stands for: threads that wait actively cost power."""
    return SessionSettings(spinning=policy != "power")


def for_tower(decision: Decision, tower: TowerName) -> Decision:
    """Return a decision whose candidates say for which tower they were judged."""
    return replace(decision, candidates=tuple(replace(one, tower=tower) for one in decision.candidates))


def _tuned(bundle: Bundle, choices: list[Choice], wanted: Wanted, check: Check) -> Placed | None:
    """Open what ``edgekit tune`` chose; None when there is no such choice, or it does not fit or hold any more."""
    tuned = store.recall(bundle, wanted.names)
    choice = None if tuned is None else store.fitting(tuned, choices, wanted.settings)
    if tuned is None or choice is None:
        return None
    known = tuned.decision if check == "cached" else None
    towers = _opened_again(bundle, choice, wanted.names, tuned.settings, known)
    if towers is None:
        return None
    if check == "always":
        try:
            judge(bundle, choice, towers, timed=False)
        except GoldenError:
            for tower in towers.values():
                tower.close()
            return None
    return Placed(towers, tuned.decision, cached=check == "cached", tuned=tuned.date)


def _opened_again(
    bundle: Bundle,
    choice: Choice,
    names: tuple[TowerName, ...],
    settings: SessionSettings,
    known: Decision | None,
) -> dict[TowerName, DeviceTower] | None:
    """Open what was accepted before; None when it no longer opens, so that all are judged again."""
    if known is not None:
        bundle.trust(unchanged(bundle, known.files))
    try:
        return open_towers(bundle, choice, names, settings)
    except ExecutionError:
        return None


def _touch(bundle: Bundle, names: tuple[TowerName, ...]) -> None:
    if "text" in names:
        bundle.read(bundle.text.tokenizer)  # so that its state is stored with the towers'
