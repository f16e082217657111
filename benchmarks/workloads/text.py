"""A text to an embedding: tokenizer and text tower, below the cache that `Clip` has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.clip import Clip


class TextWork:
    """A query tokenizes and embeds texts, as `Clip.embed_texts` does with texts that it has not seen."""

    def __init__(self, clip: Clip, texts: Sequence[str]) -> None:
        """Check that the texts can be tokenized.

        Args:
            clip: opened.
            texts: at least one.

        Raises:
            InputError: the bundle has no text tower.
            TextError: one of them is not a text.
            ExecutionError: the text tower was not loaded.
        """
        clip.token_ids(texts)
        self._tokenize, self._tower = clip.token_ids, clip.tower("text")
        self._texts = tuple(texts)

    @property
    def samples(self) -> int:
        """Distinct texts."""
        return len(self._texts)

    @property
    def stages(self) -> tuple[str, ...]:
        """The parts of a query."""
        return ("tokenize", "inference")

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Embed texts; see `edgekit.benchmarks.scenarios.protocol.Workload.query`."""
        return self.rows(indices)[1]

    def rows(self, indices: Sequence[int]) -> tuple[npt.NDArray[np.float32], tuple[int, ...]]:
        """Do a query.

        Args:
            indices: of the texts, each in 0..samples-1.

        Returns:
            (N, D) float32 unit rows, and the nanoseconds of each stage.

        Raises:
            ExecutionError: the engine failed, or returned a NaN or an infinity.
        """
        texts = [self._texts[index] for index in indices]
        begin = time.perf_counter_ns()
        ids = self._tokenize(texts)
        middle = time.perf_counter_ns()
        rows = self._tower.embed(ids)
        return rows, (middle - begin, time.perf_counter_ns() - middle)
