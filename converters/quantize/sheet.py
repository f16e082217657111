"""The card's section about a quantization: what was promised, the trade, and the picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.converters.quantize import report
from edgekit.converters.quantize.data import CALIBRATION, HELD_OUT, SEARCH
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.bundle.manifest import VariantRecord
    from edgekit.converters.quantize.packing import Job


def section(job: Job, made: Sequence[VariantRecord], picture: str) -> str:
    """Return the section as Markdown.

    Args:
        job: what is packed.
        made: the new variants; none where float was kept.
        picture: path of the picture, relative to the card.

    Returns:
        Markdown without a heading.
    """
    outcome, parts = job.outcome, job.material.parts
    trades = report.best_trades(outcome)
    winner = outcome.winner
    promise = f"Float was kept: {outcome.reason}."
    if made:
        first, *others = made
        promise = f"Variant `{first.id}`, target {first.target}: {_promise(job)}"
        promise += "".join(f" The same as `{one.id}`: {_agreement(one)}." for one in others)
    counts = f"{parts[CALIBRATION].images} images to calibrate, {parts[SEARCH].images} to choose by, "
    counts += f"{parts[HELD_OUT].images} with {parts[HELD_OUT].texts} texts"
    milliseconds = ", ".join(f"{tower} {1000 * outcome.scale.tower_seconds[tower]:.2f} ms" for tower in TOWERS)
    return "\n".join(
        [
            promise,
            "",
            *report.markdown(trades, winner.name if winner else ""),
            "",
            *(f"{line}." for line in report.legend(winner.name if winner else "", outcome.looks)),
            "",
            f"Float took {milliseconds}; threads: {job.settings.threads or 'as the engine chooses'}.",
            f"Data: {job.material.name}, sha256 `{job.material.digest[:16]}…`: {counts} held out.",
            *(f"Note: {note}." for note in job.material.notes),
            "",
            f"![fidelity against time and size]({picture})",
        ]
    )


def _agreement(variant: VariantRecord) -> str:
    if variant.fidelity is None:
        return "not measured"
    share = variant.fidelity.image_to_text.top1
    return f"top-1 agreement {share.value:.2%} ± {share.error:.2%}"


def _promise(job: Job) -> str:
    winner = job.outcome.winner
    seen = winner.on_held_out if winner else None
    if seen is None or seen.fidelity is None:
        raise ValueError("only a proven candidate can be packed")
    share = seen.fidelity.image_to_text.top1
    gate = f", {job.settings.min_agreement:.2%} demanded" if job.settings.min_agreement > 0 else ", nothing demanded"
    text = f"top-1 agreement with float {share.value:.2%} ± {share.error:.2%} on {share.n} held-out photos{gate}."
    found = seen.metric
    if found is None or math.isnan(found.drop):
        return text
    return f"{text} {found.name} {found.value.value:.1%}, float {found.float32.value:.1%}."
