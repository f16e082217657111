"""`edgekit.load`: choose the variant that runs right and fastest on this device, and say why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from edgekit import golden, locations
from edgekit.bundle.reader import open_bundle
from edgekit.choices import not_installed
from edgekit.clip import Clip
from edgekit.errors import InputError
from edgekit.placing import Check, Placed, Wanted, for_tower, place
from edgekit.policies import POLICIES
from edgekit.results import Explanation

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.policies import Policy
    from edgekit.runtimes.protocol import SessionSettings

T = TypeVar("T")


def load(
    bundle: str | os.PathLike[str] | bytes,
    *,
    variant: str | Mapping[TowerName, str] | None = None,
    runtime: str | Mapping[TowerName, str] | None = None,
    device: str | Mapping[TowerName, str] = "auto",
    settings: SessionSettings | Mapping[TowerName, SessionSettings] | None = None,
    policy: Policy | None = None,
    towers: Sequence[TowerName] | None = None,
    check: Check = "cached",
    budget: float = 30.0,
) -> Clip:
    """Load a bundle: digests checked, golden vectors checked on this device, the fastest variant that passes chosen.

    What ``edgekit tune`` (or `edgekit.tune`) chose for this bundle on this device is used where it fits the arguments;
    otherwise the candidates compete here, in this process. Both towers run on one variant, runtime and device, unless
    one of these arguments is a mapping or a policy is given: then each tower is placed by itself, such as the image
    tower on an NPU and the text tower on the CPU. All variants of a bundle share one embedding space.

    Args:
        bundle: name of a packaged bundle (``"starter"``), path of a ``.edge`` file or unpacked folder, or bytes.
        variant: id of the variant to use, or of each tower's; any when None.
        runtime: name of the runtime to use, or of each tower's; any when None.
        device: device to run on, as the runtime calls it, or each tower's; ``auto`` lets every device compete. A device
            that is named must take the whole graph unless ``settings.allow_cpu``.
        settings: threads, spinning, arena, the engine's own options, or each tower's; None takes those that were tuned,
            else the defaults of `SessionSettings` (for ``power`` without spinning).
        policy: what each tower is placed by: ``latency``, ``power`` or ``accuracy``, see `edgekit.policies`. With None
            and a mapping, ``latency``; with None alone, both towers are placed as one, the fastest together.
        towers: which towers to open; a gallery indexer that never embeds a text saves the text tower's memory. None
            opens all that the bundle has: one of frozen labels may have no text tower.
        check: ``cached`` runs the golden check once per bundle, engine version and processor, and hashes files again
            only when they changed since; ``always`` does both each time.
        budget: seconds that a first load may take to choose, shared by the towers where each is placed by itself. When
            they are over, the best that was accepted so far is taken, and `Clip.explain` lists what was not tried; with
            none accepted yet, the search goes on. A candidate that was begun is not interrupted (``edgekit tune`` does
            that).

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
    if policy is not None and policy not in POLICIES:
        raise InputError(f"policy is {policy!r}; give one of {', '.join(POLICIES)}, or None for both towers as one")
    opened = open_bundle(locations.resolve(bundle))
    names = tower_names(towers, opened)
    for what, given in (("variant", variant), ("runtime", runtime), ("device", device), ("settings", settings)):
        _check(what, given)
    by_itself = policy is not None or any(isinstance(one, Mapping) for one in (variant, runtime, device, settings))
    groups = [(name,) for name in names] if by_itself else [names]
    placed: list[Placed] = []
    try:
        for group in groups:
            wanted = Wanted(
                group,
                _of(variant, group[0], None),
                _of(runtime, group[0], None),
                _of(device, group[0], "auto"),
                _of(settings, group[0], None),
                policy or "latency",
            )
            placed.append(place(opened, wanted, check, budget / len(groups)))
    except BaseException:
        for one in placed:
            for tower in one.towers.values():
                tower.close()
        raise
    opened_towers = {name: tower for one in placed for name, tower in one.towers.items()}
    return Clip(opened, opened_towers, _explanation(opened, names, placed, (policy or "latency") if by_itself else ""))


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


def _check(what: str, given: object) -> None:
    """Refuse a mapping that names no tower; one that is not opened may be named."""
    if isinstance(given, Mapping) and (strange := [repr(key) for key in given if key not in golden.TOWERS]):
        raise InputError(f"{what}: {', '.join(strange)} is no tower; there are {', '.join(golden.TOWERS)}")


def _of(given: T | Mapping[TowerName, T], name: TowerName, otherwise: T) -> T:
    return given.get(name, otherwise) if isinstance(given, Mapping) else given


def _explanation(bundle: Bundle, names: tuple[TowerName, ...], placed: list[Placed], policy: str) -> Explanation:
    """Explain one placement of all towers, or, with a policy, one of each."""
    decisions = [one.decision for one in placed]
    if policy:
        decisions = [for_tower(decision, name) for decision, name in zip(decisions, names, strict=True)]
    chosen = [decision.candidates[decision.chosen] for decision in decisions]
    return Explanation(
        bundle=f"{bundle.where} (sha256:{bundle.digest[:12]})",
        chosen=chosen[0],
        candidates=tuple(candidate for decision in decisions for candidate in decision.candidates),
        cached=all(one.cached for one in placed),
        note=_note(placed),
        placement={},
        tuned=placed[0].tuned if all(one.tuned == placed[0].tuned for one in placed) else "",
        absent=not_installed(bundle),
        towers=dict(zip(names, chosen, strict=True)) if policy else {},
        policy=policy,
    )


def _note(placed: list[Placed]) -> str:
    candidates = [candidate for one in placed for candidate in one.decision.candidates]
    untried = sum(candidate.untried for candidate in candidates)
    late = ""
    if untried:
        advice = "give 'edgekit tune' more --minutes" if any(one.tuned for one in placed) else "run 'edgekit tune'"
        late = f"{untried} of {len(candidates)} candidates were not tried for lack of time; {advice}"
    return "; ".join(dict.fromkeys(part for part in (late, *(one.note for one in placed)) if part))
