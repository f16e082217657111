"""Parts of a set that stay the same when the set grows."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.evaluation.records import Dataset

_BITS = 64


def split(dataset: Dataset, parts: Sequence[float], seed: int) -> tuple[Dataset, ...]:
    """Divide a set: each image goes where a hash of its content and the seed says.

    So adding or removing images moves no other, and two copies of one image never end in two parts. The sizes only
    come near the shares asked for.

    Args:
        dataset: with at least one image for each part.
        parts: the share of each part, above 0, adding up to 1.
        seed: another one gives another division.

    Returns:
        The parts, in the order of `parts`; images keep their order. Class names are complete in every part; captions
        are those of its images.

    Raises:
        InputError: the shares are not usable, a part would get no image, or an image cannot be read.
    """
    if not (all(part > 0 for part in parts) and abs(sum(parts) - 1) <= 1e-9):
        raise InputError(f"the parts of a set are shares above 0 that add up to 1, not {list(parts)}")
    whole = select(dataset, range(len(dataset.items)), dataset.name)  # every item hashed
    bounds = list(accumulate(parts))[:-1]
    chosen: list[list[int]] = [[] for _ in parts]
    for index, item in enumerate(whole.items):
        chosen[bisect_right(bounds, _position(item.sha256, seed))].append(index)
    empty = next((number for number, part in enumerate(chosen, 1) if not part), None)
    if empty is not None:
        raise InputError(
            f"{dataset.name}: part {empty} of {list(parts)} gets none of the {len(whole.items)} images; "
            "use more images, larger parts or another seed"
        )
    total = len(parts)
    return tuple(
        select(whole, part, f"{dataset.name} (part {number} of {total}, seed {seed})")
        for number, part in enumerate(chosen, 1)
    )


def _position(sha256: str, seed: int) -> float:
    """Return where in 0..1 a content falls."""
    digest = hashlib.sha256(f"{seed} {sha256}".encode()).digest()
    # Of 64 bits a float keeps 53; the division must not round up to 1.
    return (int.from_bytes(digest[: _BITS // 8], "big") >> 11) / (1 << 53)
