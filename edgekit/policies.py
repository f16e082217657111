"""What "best" means where each tower may run on another variant, runtime and device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgekit.bundle.manifest import VariantRecord
    from edgekit.golden import TowerName
    from edgekit.results import Candidate

Policy = Literal["latency", "power", "accuracy"]
"""``latency``: least time of an inference, measured here. ``power``: least processor time of an inference, measured
here over all threads: what an accelerator takes over no longer costs the processor's energy, and a wake-up less lets it
sleep; watts are measured by ``edgekit bench`` with a meter. ``accuracy``: closest to the float model, by the variant's
held-out data and by the golden check on this device, whichever is worse."""

POLICIES: tuple[Policy, ...] = ("latency", "power", "accuracy")
# Two candidates whose centred cosines are this close are equally accurate: golden checks have few inputs.
_EQUAL = 3


def rank(
    policy: Policy, candidate: Candidate, variant: VariantRecord, names: tuple[TowerName, ...]
) -> tuple[float, ...]:
    """Return where an accepted candidate stands: the least is the best.

    Args:
        policy: what counts.
        candidate: accepted; its times are 0 where they were not measured.
        variant: that it runs.
        names: the towers that it is to run.

    Returns:
        Figures that are compared one after another.
    """
    time = candidate.milliseconds or 0.0
    if policy == "power":
        return candidate.processor or 0.0, time
    if policy == "accuracy":
        return -round(accuracy(candidate, variant, names), _EQUAL), time
    return (time,)


def accuracy(candidate: Candidate, variant: VariantRecord, names: tuple[TowerName, ...]) -> float:
    """Return the mean centred cosine with the float model.

    Args:
        candidate: with the golden checks that it passed here.
        variant: with what was measured on held-out data, unless it is the float model itself.
        names: the towers that count.

    Returns:
        The least of the towers', of both measurements.
    """
    found = [check.agreement.centred_mean for check in candidate.checks if check.tower in names]
    if variant.fidelity is not None:
        found += [variant.fidelity.image.centred_mean] if "image" in names else []
        found += [variant.fidelity.text.centred_mean] if "text" in names else []
    return min(found, default=0.0)
