"""Which samples each query takes: every sample in turn, in seeded permutations, never one repeated input."""

from __future__ import annotations

import numpy as np

from edgekit.errors import InputError

# Entries that are drawn in advance; after them the same sequence starts again, so a query only slices a list.
_DRAWN = 4096


class Order:
    """The sequence of samples. Nothing is written after construction, so that threads may share it."""

    def __init__(self, samples: int, batch: int, seed: int) -> None:
        """Draw the sequence: permutations of all samples, one after the other.

        Args:
            samples: distinct samples there are, at least 1.
            batch: samples of a query, at least 1.
            seed: of the permutations, 0 or more.

        Raises:
            InputError: there is no sample, or a number is out of its range.
        """
        if samples < 1:
            raise InputError("the workload has no samples; give at least one photo or text")
        if batch < 1:
            raise InputError(f"batch is {batch}; give at least 1")
        random = np.random.default_rng(seed)
        rounds = -(-max(_DRAWN, batch) // samples)
        drawn = np.concatenate([random.permutation(samples) for _ in range(rounds)])
        self._length = len(drawn)
        self._batch = batch
        self._indices: list[int] = np.concatenate([drawn, drawn[:batch]]).tolist()

    def take(self, number: int) -> list[int]:
        """Return the samples of a query.

        Args:
            number: of the query, 0 or more.

        Returns:
            As many indices as the batch has samples, each in 0..samples-1.
        """
        start = number * self._batch % self._length
        return self._indices[start : start + self._batch]
