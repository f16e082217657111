"""`edgekit.load`: choose the variant that runs right and fastest on this device, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgekit import decisions, golden, locations
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices, nothing_works
from edgekit.clip import Clip
from edgekit.decisions import Decision
from edgekit.errors import BundleError, EdgekitError, ExecutionError, InputError, RuntimeUnavailableError
from edgekit.judging import Choice, judge, open_towers
from edgekit.results import Candidate, Explanation
from edgekit.runtimes.protocol import SessionSettings
from edgekit.unchanged import states, unchanged

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.tower import DeviceTower

Check = Literal["cached", "always"]


def load(
    bundle: str | os.PathLike[str] | bytes,
    *,
    variant: str | None = None,
    runtime: str | None = None,
    device: str = "auto",
    settings: SessionSettings | None = None,
    towers: Sequence[TowerName] = golden.TOWERS,
    check: Check = "cached",
) -> Clip:
    """Load a bundle: digests checked, golden vectors checked on this device, the fastest variant that passes chosen.

    Args:
        bundle: name of a packaged bundle (``"starter"``), path of a ``.edge`` file or unpacked folder, or bytes.
        variant: id of the variant to use; any when None.
        runtime: name of the runtime to use; any when None.
        device: device to run on, as the runtime calls it; ``auto`` lets every device compete. A device that is named
            must take the whole graph unless ``settings.allow_cpu``.
        settings: threads, spinning, arena; see `SessionSettings` for the defaults.
        towers: which towers to open; a gallery indexer that never embeds a text saves the text tower's memory.
        check: ``cached`` runs the golden check once per bundle, engine version and processor, and hashes files again
            only when they changed since; ``always`` does both each time.

    Returns:
        A `Clip`; close it, or use it in a ``with`` block.

    Raises:
        BundleError: the bundle is missing, damaged or unsafe.
        InputError: there is no such variant, or an argument is wrong.
        RuntimeUnavailableError: nothing here opens the bundle and passes; the message lists every refusal.
    """
    names = _tower_names(towers)
    if check not in ("cached", "always"):
        raise InputError(f"check is {check!r}; give 'cached' or 'always'")
    settings = settings or SessionSettings()
    opened = open_bundle(locations.resolve(bundle))
    choices, refused = list_choices(opened, variant, runtime, device)
    key = decisions.key(
        {
            "bundle": opened.digest,
            "choices": [(c.variant.id, c.runtime.name, c.version, c.device) for c in choices],
            "settings": settings,
            "towers": names,
        }
    )
    known = decisions.recall(key) if check == "cached" else None
    if known is not None:
        opened.trust(unchanged(opened, known.files))
        choice = _same(choices, known.candidates[known.chosen])
        opened_towers = choice and _opened_again(opened, choice, names, settings)
        if opened_towers:
            return _clip(opened, known, opened_towers, cached=True, note="")
    found, chosen_towers = _compete(opened, choices, refused, names, settings)
    note = decisions.store(key, found)
    return _clip(opened, found, chosen_towers, cached=False, note=note)


def _tower_names(towers: Sequence[TowerName]) -> tuple[TowerName, ...]:
    names = tuple(name for name in golden.TOWERS if name in towers)
    if not names or len(names) != len(towers):
        raise InputError(f"towers must be 'image', 'text' or both, each once; got {tuple(towers)!r}")
    return names


def _opened_again(
    bundle: Bundle, choice: Choice, names: tuple[TowerName, ...], settings: SessionSettings
) -> dict[TowerName, DeviceTower] | None:
    """Open what was accepted at an earlier load; None when it no longer opens, so that all are judged again."""
    try:
        return open_towers(bundle, choice, names, settings)
    except ExecutionError:
        return None


def _compete(
    bundle: Bundle,
    choices: list[Choice],
    refused: list[Candidate],
    names: tuple[TowerName, ...],
    settings: SessionSettings,
) -> tuple[Decision, dict[TowerName, DeviceTower]]:
    """Judge every choice; keep only the best one's towers open."""
    judged: list[Candidate] = []
    best: tuple[float, int, dict[TowerName, DeviceTower]] | None = None
    for choice in choices:
        towers: dict[TowerName, DeviceTower] = {}
        try:
            towers = open_towers(bundle, choice, names, settings)
            milliseconds, checks = judge(bundle, choice, towers, timed=len(choices) > 1)
        except BundleError:
            # Damage is not this candidate's fault: no other variant of the same file can be trusted either.
            _close(towers)
            _close(best[2] if best else {})
            raise
        except EdgekitError as error:
            _close(towers)
            judged.append(choice.candidate(str(error)))
            continue
        judged.append(choice.candidate("", milliseconds, checks))
        time = milliseconds or 0.0
        if best is None or time < best[0]:
            _close(best[2] if best else {})
            best = time, len(judged) - 1, towers
        else:
            _close(towers)
    if best is None:
        raise RuntimeUnavailableError(nothing_works(bundle, judged + refused))
    if "text" in names:
        bundle.read(bundle.manifest.text.tokenizer)  # so that its state is stored with the towers'
    return Decision((*judged, *refused), best[1], states(bundle)), best[2]


def _clip(bundle: Bundle, decision: Decision, towers: dict[TowerName, DeviceTower], *, cached: bool, note: str) -> Clip:
    explanation = Explanation(
        bundle=f"{bundle.where} (sha256:{bundle.digest[:12]})",
        chosen=decision.candidates[decision.chosen],
        candidates=decision.candidates,
        cached=cached,
        note=note,
        placement={},
    )
    return Clip(bundle, towers, explanation)


def _same(choices: list[Choice], candidate: Candidate) -> Choice | None:
    wanted = (candidate.variant, candidate.runtime, candidate.device)
    return next(
        (c for c in choices if (c.variant.id, f"{c.runtime.name} {c.version}", c.device) == wanted),
        None,
    )


def _close(towers: dict[TowerName, DeviceTower]) -> None:
    for tower in towers.values():
        tower.close()
