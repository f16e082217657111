"""The heads that labelled examples are turned into, and the choice of their settings by leaving each example out.

Nothing is trained: a cache stores the examples, a ridge head solves one linear system. Both add to the logits of the
labels' embeddings, so that a strength of zero would give those back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgekit.converters.specialize.examples import Examples, log_loss, right
from edgekit.converters.specialize.ridge import decompose
from edgekit.frozen_labels import Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from edgekit.bundle.label_records import HeadKind

# More examples would make a cache larger than the towers that it belongs to; a ridge head does not grow.
MOST_CACHED = 4096
# Strengths, as multiples of what brings the head's spread over the labels to that of the logits.
_STRENGTHS = tuple(2.0**power for power in range(-3, 5))
# Sharpnesses, as multiples of one over the examples' mean distance; penalties, of the mean squared singular value.
_SHARPNESSES = tuple(2.0**power for power in range(-1, 6))
_PENALTIES = tuple(10.0**power for power in (-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5))
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Choice:
    """Settings of a head; see `edgekit.bundle.label_records.HeadSpec`."""

    kind: HeadKind
    strength: float
    sharpness: float
    penalty: float


class Family(Protocol):
    """One kind of head."""

    def proposals(self, examples: Examples) -> Iterator[tuple[Choice, npt.NDArray[np.float64]]]:
        """Yield settings, each with the (n, K) that it adds to every example's logits when that one is left out."""

    def fit(self, examples: Examples, choice: Choice) -> Head:
        """Return the head of all examples."""


class Cache:
    """Votes of the examples near a photo (Tip-Adapter; Zhang et al. 2021, arXiv 2111.03930, equation 4)."""

    def proposals(self, examples: Examples) -> Iterator[tuple[Choice, npt.NDArray[np.float64]]]:
        """Yield settings; an example has no vote on itself."""
        count = len(examples)
        if count < 2:
            return
        mean = examples.rows.sum(axis=0)
        # The mean over pairs of two different examples.
        distance = max(1e-9, 1 - (float(mean @ mean) - count) / (count * (count - 1)))
        for factor in _SHARPNESSES:
            sharpness = factor / distance
            votes = np.concatenate([_votes(examples, start, sharpness) for start in range(0, count, _ROWS_AT_ONCE)])
            unit = examples.spread / (float(votes.std(axis=1).mean()) or 1.0)
            for strength in _STRENGTHS:
                yield Choice("cache", strength * unit, sharpness, 0.0), strength * unit * votes

    def fit(self, examples: Examples, choice: Choice) -> Head:
        """Return the cache."""
        return Head(
            keys=examples.rows.astype(np.float32),
            classes=examples.classes.astype(np.int32),
            strength=choice.strength,
            sharpness=choice.sharpness,
        )


class RidgeHead:
    """An affine function of the embedding, regressed on which class an example has."""

    def proposals(self, examples: Examples) -> Iterator[tuple[Choice, npt.NDArray[np.float64]]]:
        """Yield settings; predictions without the example itself are exact."""
        ridge, targets = decompose(examples.rows), examples.wanted
        for factor in _PENALTIES:
            penalty = factor * ridge.scale
            found = ridge.left_out(targets, penalty)
            unit = examples.spread / (float(found.std(axis=1).mean()) or 1.0)
            for strength in _STRENGTHS:
                yield Choice("ridge", strength * unit, 0.0, penalty), strength * unit * found

    def fit(self, examples: Examples, choice: Choice) -> Head:
        """Return the coefficients, the strength in them."""
        weights = choice.strength * decompose(examples.rows).solve(examples.wanted, choice.penalty)
        return Head(weights=weights.astype(np.float32))


FAMILIES: dict[HeadKind, Family] = {"ridge": RidgeHead(), "cache": Cache()}
"""Every kind of head, the one that is taken first where two are as good."""


def choose(family: Family, examples: Examples) -> Choice | None:
    """Choose a head's settings by leaving each example out.

    Args:
        family: the kind of head.
        examples: at least one.

    Returns:
        The settings with which most examples are right when they are left out; of equal ones those with the smallest
        log-loss. None when there are too few examples to leave one out.
    """
    best: tuple[tuple[int, float], Choice] | None = None
    for choice, added in family.proposals(examples):
        logits = examples.logits + added
        rank = int(right(logits, examples.classes).sum()), -log_loss(logits, examples.classes)
        if best is None or rank > best[0]:
            best = rank, choice
    return best[1] if best else None


def _votes(examples: Examples, start: int, sharpness: float) -> npt.NDArray[np.float64]:
    """Return each label's votes for some rows, (rows, K), without those rows' own."""
    rows = examples.rows[start : start + _ROWS_AT_ONCE]
    near = np.exp(-sharpness * (1 - rows @ examples.rows.T))
    places = np.arange(len(rows))
    near[places, start + places] = 0
    return np.asarray(near @ examples.wanted)
