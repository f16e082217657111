"""The promise: what a variant must keep before it is delivered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Fidelity
    from edgekit.converters.quantize.figures import Metric

MIN_QUERIES = 50
"""A direction with fewer queries than this is reported but not judged, unless it is the only one."""


def failures(
    fidelity: Fidelity, metric: Metric | None, min_agreement: float, max_drop: float | None, *, both: bool = True
) -> tuple[str, ...]:
    """Say what a variant does not keep.

    Args:
        fidelity: against the float towers.
        metric: the task's own, where there are labels.
        min_agreement: least top-1 agreement, 0..1; 0 turns this off.
        max_drop: largest drop of the metric, in points; None where it does not count.
        both: whether texts look for images too; class names do not, whose many images are all as good.

    Returns:
        A sentence for each figure that fails; empty when the variant may be delivered.
    """
    found = []
    for tower in ("image", "text"):
        if math.isnan(getattr(fidelity, tower).cosine_min):
            found.append(f"the {tower} tower returns NaN or infinity")
    directions = {"image to text": fidelity.image_to_text, "text to image": fidelity.text_to_image}
    for name, retrieval in directions.items():
        share = retrieval.top1
        judged = name == "image to text" or (both and share.n >= MIN_QUERIES)
        # Written so that NaN fails.
        if min_agreement > 0 and judged and not share.value >= min_agreement:
            found.append(
                f"top-1 agreement {name} {share.value:.2%} ± {share.error:.2%} (n={share.n}) is below "
                f"{min_agreement:.2%}"
            )
    if max_drop is not None and metric is not None and not metric.drop <= max_drop:
        found.append(
            f"{metric.name} drops by {metric.drop:.2f} ± {metric.error:.2f} points, {max_drop:.2f} are allowed"
        )
    return tuple(found)
