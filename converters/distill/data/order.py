"""Which image or text each step uses: a pure function of seed and step, so that resuming needs only the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Turn:
    """What a step uses.

    Attributes:
        indices: int64 (N,), numbers of images or texts.
        epochs: int64 (N,), how often each was used before.
    """

    indices: Integers
    epochs: Integers


class Order:
    """All items in a new order each epoch, without a break between epochs, so that every batch is full."""

    def __init__(self, count: int, batch: int, seed: int, stream: int) -> None:
        """Remember the settings; two `stream` numbers give unrelated orders."""
        self._count, self._batch, self._seed, self._stream = count, batch, seed, stream
        self._known: dict[int, Integers] = {}

    def turn(self, step: int, rank: int, world: int) -> Turn:
        """Return the part of a step's batch that one process computes.

        Args:
            step: from 0.
            rank: of the process.
            world: number of processes; their parts, joined by rank, are the batch of a single one.

        Returns:
            Indices and epochs.
        """
        first = step * self._batch
        places = np.arange(first + self._batch * rank // world, first + self._batch * (rank + 1) // world)
        epochs = places // self._count
        indices = np.empty(len(places), np.int64)
        for epoch in range(*_span(epochs)):
            inside = epochs == epoch
            indices[inside] = self._permutation(epoch)[places[inside] % self._count]
        return Turn(indices, epochs)

    def _permutation(self, epoch: int) -> Integers:
        found = self._known.get(epoch)
        if found is None:
            found = np.random.default_rng([self._seed, self._stream, epoch]).permutation(self._count)
            # A batch can reach into the next epoch, hardly ever further.
            self._known = {**{k: v for k, v in self._known.items() if abs(k - epoch) <= 1}, epoch: found}
        return found


def _span(epochs: Integers) -> tuple[int, int]:
    return (int(epochs[0]), int(epochs[-1]) + 1) if len(epochs) else (0, 0)
