"""Judge an export: do the graphs, the pixels and the token ids agree with the framework they came from?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.converters import exchange
from edgekit.converters.engine_worker import BATCHES, TRIMMED
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.golden import TowerName

# The least agreement that each way of storing weights must keep, per row. float32 leaves only rounding.
LIMITS = {
    "float32": Tolerance(cosine_min=0.9999, centred_min=0.999),
    "float16": Tolerance(cosine_min=0.9995, centred_min=0.995),
    "int8": Tolerance(cosine_min=0.98, centred_min=0.95),
}
# A device may add its own rounding to what was measured here: three times the loss, and never less than this.
_SLACK, _FLOOR = 3.0, Tolerance(cosine_min=1e-4, centred_min=1e-3)


@dataclass(frozen=True)
class Preprocessing:
    """Differences between edgekit's pixels and ids and the checkpoint's own.

    Attributes:
        pixels_max: largest difference, in levels of 255.
        pixels_equal: share of equal values, 0..1.
        texts: number of texts compared; all gave the same ids.
    """

    pixels_max: int
    pixels_equal: float
    texts: int


def towers(
    folder: Path, storage: str, kinds: Mapping[TowerName, str], unjudged: Collection[str] = ()
) -> dict[TowerName, Agreement]:
    """Compare both towers of one storage with the framework, at every batch size.

    Args:
        folder: the work folder.
        storage: folder of the graphs.
        kinds: per tower, the name in `LIMITS` that bounds it.
        unjudged: towers that no limit bounds.

    Returns:
        Per tower, the worst agreement over the batch sizes.

    Raises:
        ConversionError: a tower leaves its limit, or its embeddings have another shape; the message gives the figures.
    """
    found: dict[TowerName, Agreement] = {}
    for tower, kind in kinds.items():
        reference = np.load(exchange.array(folder, f"reference_{tower}"))
        rows = [_rows(folder, storage, f"{tower}_batch{b}") for b in BATCHES]
        if wrong := [found.shape for found in rows if found.shape != reference.shape]:
            raise ConversionError(
                f"the {tower} tower stored as {kind} gives embeddings of shape {wrong[0]}, its source "
                f"{reference.shape}; no bundle was written"
            )
        every = [agreement(found, reference) for found in rows]
        # NaN is worse than any number, and compares with none.
        worst = min(every, key=lambda a: -math.inf if math.isnan(a.centred_min) else a.centred_min)
        worst = next((a for a in every if not within(a, LIMITS[kind])), worst)
        if tower not in unjudged and not within(worst, LIMITS[kind]):
            raise ConversionError(
                f"the {tower} tower stored as {kind} disagrees with its source: max error {worst.max_error:.2g}, "
                f"cosine {worst.cosine_min:.5f}, centred cosine {worst.centred_min:.5f} (limits "
                f"{LIMITS[kind].cosine_min}, {LIMITS[kind].centred_min}); no bundle was written"
            )
        found[tower] = worst
    return found


def trims(folder: Path) -> bool:
    """Say whether cutting padding columns leaves the float text tower's embeddings as they are."""
    path = exchange.array(folder, f"float32_text_{TRIMMED}")
    if not path.exists():
        return False
    return within(agreement(np.load(path), np.load(exchange.array(folder, "reference_text"))), LIMITS["float32"])


def preprocessing(folder: Path, ids: npt.NDArray[np.int32], texts: tuple[str, ...], limit: int) -> Preprocessing:
    """Compare edgekit's own pixels and ids with the checkpoint's.

    Args:
        folder: the work folder.
        ids: what the SDK's tokenizer gives for `texts`, (N, L) int32.
        texts: for the message.
        limit: largest difference of a pixel that is accepted, in levels of 255.

    Returns:
        The differences.

    Raises:
        ConversionError: a pixel or an id differs by more than is accepted.
    """
    ours = np.load(exchange.array(folder, "pixels")).astype(np.int16)
    theirs = np.load(exchange.array(folder, "reference_pixels")).astype(np.int16)
    if ours.shape != theirs.shape:
        raise ConversionError(
            f"preprocessing gives {ours.shape[1:]}, the checkpoint's own transform {theirs.shape[1:]}"
        )
    differences = np.abs(ours - theirs)
    if int(differences.max()) > limit:
        raise ConversionError(
            f"preprocessing differs from the checkpoint's own transform by {differences.max()} levels of 255 "
            f"(limit {limit}); please report this checkpoint"
        )
    expected = np.load(exchange.array(folder, "reference_token_ids"))
    wrong = [i for i in range(len(texts)) if ids.shape != expected.shape or not np.array_equal(ids[i], expected[i])]
    if wrong:
        raise ConversionError(
            f"the bundle's tokenizer disagrees with the checkpoint's own on {len(wrong)} of {len(texts)} texts, "
            f"first on {texts[wrong[0]][:60]!r}; please report this checkpoint"
        )
    return Preprocessing(int(differences.max()), float((differences == 0).mean()), len(texts))


def tolerance(measured: Agreement) -> Tolerance:
    """Return what the golden check shall demand on devices of a tower measured here, on the same golden inputs."""
    plain = max(_FLOOR.cosine_min, _SLACK * (1 - measured.cosine_min))
    centred = max(_FLOOR.centred_min, _SLACK * (1 - measured.centred_min))
    return Tolerance(cosine_min=max(-1.0, round(1 - plain, 6)), centred_min=max(-1.0, round(1 - centred, 6)))


def within(found: Agreement, limit: Tolerance) -> bool:
    """Say whether an agreement keeps a limit; NaN does not."""
    return found.cosine_min >= limit.cosine_min and found.centred_min >= limit.centred_min


def _rows(folder: Path, storage: str, name: str) -> npt.NDArray[np.float32]:
    rows: npt.NDArray[np.float32] = np.load(exchange.array(folder, f"{storage}_{name}"))
    return rows
