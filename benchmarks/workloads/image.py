"""Preprocessed pixels to an embedding: the image tower and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgekit.preprocess import preprocess_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.benchmarks.workloads.inputs import Photo
    from edgekit.clip import Clip


class ImageWork:
    """A query embeds pixels that lie in memory; putting a batch together is part of the query, not of the stage."""

    def __init__(self, clip: Clip, photos: Sequence[Photo]) -> None:
        """Decode every photo.

        Args:
            clip: opened.
            photos: at least one.

        Raises:
            ImageError: one cannot be decoded.
            ExecutionError: the image tower was not loaded.
        """
        self._tower = clip.tower("image")
        self._pixels = preprocess_batch(photos, clip.manifest.image)

    @property
    def samples(self) -> int:
        """Distinct photos."""
        return len(self._pixels)

    @property
    def stages(self) -> tuple[str, ...]:
        """The one part of a query."""
        return ("inference",)

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Embed photos; see `edgekit.benchmarks.scenarios.protocol.Workload.query`."""
        return self.rows(indices)[1]

    def rows(self, indices: Sequence[int]) -> tuple[npt.NDArray[np.float32], tuple[int, ...]]:
        """Do a query.

        Args:
            indices: of the photos, each in 0..samples-1.

        Returns:
            (N, D) float32 unit rows, and the nanoseconds of the stage.

        Raises:
            ExecutionError: the engine failed, or returned a NaN or an infinity.
        """
        batch = self._pixels[indices[0] : indices[0] + 1] if len(indices) == 1 else self._pixels[list(indices)]
        begin = time.perf_counter_ns()
        rows = self._tower.embed(batch)
        return rows, (time.perf_counter_ns() - begin,)
