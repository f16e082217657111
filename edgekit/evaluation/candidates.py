"""Which variants on which runtimes and devices are evaluated, and in which order."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from edgekit.choices import list_choices
from edgekit.errors import RuntimeUnavailableError
from edgekit.evaluation.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.bundle.manifest import Fidelity
    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.embedding import EmbeddedImages
    from edgekit.evaluation.scoring import Scored
    from edgekit.judging import Choice

# The names of the type that weights and arithmetic of a float reference have.
_FLOAT = frozenset({"fp32", "float32"})


def wanted_choices(
    bundle: Bundle, variants: Sequence[str], runtimes: Sequence[str], device: str
) -> tuple[list[Choice], list[Outcome]]:
    """List what is to be evaluated: float variants first, then as the manifest lists them.

    Args:
        bundle: opened.
        variants: ids of those wanted; all when empty.
        runtimes: names of those wanted; all when empty.
        device: the only device wanted, or ``auto``.

    Returns:
        What to try, and what cannot be tried, with the reason.

    Raises:
        InputError: the bundle has no such variant.
        RuntimeUnavailableError: there is nothing to try.
    """
    choices: list[Choice] = []
    refused: list[Outcome] = []
    last: RuntimeUnavailableError | None = None
    for variant, runtime in product(dict.fromkeys(variants) or (None,), dict.fromkeys(runtimes) or (None,)):
        try:
            found, gone = list_choices(bundle, variant, runtime, device)
        except RuntimeUnavailableError as error:
            last = error
            refused.append(Outcome(variant or "every variant", runtime or "every runtime", device, str(error)))
            continue
        choices += found
        refused += [Outcome(c.variant, c.runtime, c.device, c.reason) for c in gone]
    if last is not None and not choices:
        raise last
    order = {record.id: place for place, record in enumerate(bundle.manifest.variants)}
    choices.sort(key=lambda choice: (choice.variant.precision not in _FLOAT, order[choice.variant.id]))
    return choices, refused


def group(choice: Choice, runtimes: Sequence[str]) -> tuple[str, str]:
    """Return what a candidate stands for where not everything is evaluated: its variant, on each runtime asked for."""
    return choice.variant.id, choice.runtime.name if runtimes else ""


def outcome(
    choice: Choice,
    images: EmbeddedImages | None = None,
    scored: Scored | None = None,
    fidelity: Fidelity | None = None,
    *,
    refused: str = "",
) -> Outcome:
    """Return the record of one candidate; without `images` and `scored` it was refused."""
    return Outcome(
        variant=choice.variant.id,
        runtime=f"{choice.runtime.name} {choice.version}".rstrip(),
        device=choice.device,
        refused=refused,
        metrics=scored.metrics if scored else (),
        fidelity=fidelity,
        images_per_second=len(images.rows) / images.seconds if images else None,
    )
