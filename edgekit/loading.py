"""`edgekit.load`: choose the variant that runs right and fastest on this device, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgekit import decisions, golden, locations
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices, not_installed
from edgekit.clip import Clip
from edgekit.decisions import Decision
from edgekit.errors import ExecutionError, GoldenError, InputError
from edgekit.judging import judge, open_towers
from edgekit.results import Explanation
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials.compete import compete
from edgekit.tuning import store
from edgekit.unchanged import states, unchanged

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.tower import DeviceTower

Check = Literal["cached", "always"]


def load(
    bundle: str | os.PathLike[str] | bytes,
    *,
    variant: str | None = None,
    runtime: str | None = None,
    device: str = "auto",
    settings: SessionSettings | None = None,
    towers: Sequence[TowerName] | None = None,
    check: Check = "cached",
    budget: float = 30.0,
) -> Clip:
    """Load a bundle: digests checked, golden vectors checked on this device, the fastest variant that passes chosen.

    What ``edgekit tune`` (or `edgekit.tune`) chose for this bundle on this device is used where it fits the arguments;
    otherwise the candidates compete here, in this process.

    Args:
        bundle: name of a packaged bundle (``"starter"``), path of a ``.edge`` file or unpacked folder, or bytes.
        variant: id of the variant to use; any when None.
        runtime: name of the runtime to use; any when None.
        device: device to run on, as the runtime calls it; ``auto`` lets every device compete. A device that is named
            must take the whole graph unless ``settings.allow_cpu``.
        settings: threads, spinning, arena, the engine's own options; None takes those that were tuned, else the
            defaults of `SessionSettings`.
        towers: which towers to open; a gallery indexer that never embeds a text saves the text tower's memory. None
            opens all that the bundle has: one of frozen labels may have no text tower.
        check: ``cached`` runs the golden check once per bundle, engine version and processor, and hashes files again
            only when they changed since; ``always`` does both each time.
        budget: seconds that a first load may take to choose. When they are over, the fastest that was accepted so far
            is taken, and `Clip.explain` lists what was not tried; with none accepted yet, the search goes on. A
            candidate that was begun is not interrupted (``edgekit tune`` does that).

    Returns:
        A `Clip`; close it, or use it in a ``with`` block.

    Raises:
        BundleError: the bundle is missing, damaged or unsafe.
        InputError: there is no such variant, or an argument is wrong.
        RuntimeUnavailableError: nothing here opens the bundle and passes; the message lists every refusal.
    """
    if check not in ("cached", "always"):
        raise InputError(f"check is {check!r}; give 'cached' or 'always'")
    if not budget >= 0:
        raise InputError(f"budget is {budget!r}; give the seconds that choosing may take, 0 or more")
    opened = open_bundle(locations.resolve(bundle))
    names = tower_names(towers, opened)
    choices, refused = list_choices(opened, variant, runtime, device)
    clip = _tuned(opened, choices, names, settings, check)
    if clip is not None:
        return clip
    settings = settings or SessionSettings()
    key = decisions.key(
        {
            "bundle": opened.digest,
            "choices": [(c.variant.id, c.runtime.name, c.version, c.device) for c in choices],
            "settings": settings,
            "towers": names,
        }
    )
    known = decisions.recall(key) if check == "cached" else None
    if known is not None and not 0 < known.cut < budget:
        choice = store.same(choices, known.candidates[known.chosen])
        opened_towers = choice and _opened_again(opened, choice, names, settings, known)
        if opened_towers:
            return Clip(opened, opened_towers, _explanation(opened, known, cached=True))
    found = compete(opened, choices, refused, names, settings, budget)
    _touch(opened, names)
    decision = Decision(found.candidates, found.chosen, states(opened), found.cut)
    note = decisions.store(key, decision)
    return Clip(opened, found.towers, _explanation(opened, decision, note=note))


def tower_names(towers: Sequence[TowerName] | None, bundle: Bundle) -> tuple[TowerName, ...]:
    """Return the towers wanted in their own order.

    Args:
        towers: as the caller gave them; None for all that there are.
        bundle: opened.

    Returns:
        At least one.

    Raises:
        InputError: one is unknown or given twice, or there is none; or the bundle has no text tower.
    """
    if towers is None:
        return golden.TOWERS if bundle.manifest.text is not None else golden.TOWERS[:1]
    names = tuple(name for name in golden.TOWERS if name in towers)
    if not names or len(names) != len(towers):
        raise InputError(f"towers must be 'image', 'text' or both, each once; got {tuple(towers)!r}")
    if "text" in names:
        _ = bundle.text  # raises where there is none
    return names


def _tuned(
    bundle: Bundle,
    choices: list[Choice],
    names: tuple[TowerName, ...],
    settings: SessionSettings | None,
    check: Check,
) -> Clip | None:
    """Open what ``edgekit tune`` chose; None when there is no such choice, or it does not fit or hold any more."""
    tuned = store.recall(bundle, names)
    choice = None if tuned is None else store.fitting(tuned, choices, settings)
    if tuned is None or choice is None:
        return None
    known = tuned.decision if check == "cached" else None
    towers = _opened_again(bundle, choice, names, tuned.settings, known)
    if towers is None:
        return None
    if check == "always":
        try:
            judge(bundle, choice, towers, timed=False)
        except GoldenError:
            for tower in towers.values():
                tower.close()
            return None
    return Clip(bundle, towers, _explanation(bundle, tuned.decision, cached=check == "cached", tuned=tuned.date))


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


def _explanation(
    bundle: Bundle, decision: Decision, *, cached: bool = False, note: str = "", tuned: str = ""
) -> Explanation:
    untried = sum(candidate.untried for candidate in decision.candidates)
    if untried:
        advice = "give 'edgekit tune' more --minutes" if tuned else "run 'edgekit tune'"
        late = f"{untried} of {len(decision.candidates)} candidates were not tried for lack of time; {advice}"
        note = f"{late}; {note}" if note else late
    return Explanation(
        bundle=f"{bundle.where} (sha256:{bundle.digest[:12]})",
        chosen=decision.candidates[decision.chosen],
        candidates=decision.candidates,
        cached=cached,
        note=note,
        placement={},
        tuned=tuned,
        absent=not_installed(bundle),
    )
