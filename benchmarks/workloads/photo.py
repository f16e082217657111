"""An encoded photo to its ranked labels: all that `Clip.classify` does, each part timed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ImageError
from edgekit.preprocess import decode_for, fit
from edgekit.preprocess.parallel import in_parallel
from edgekit.results import ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.workloads.inputs import Photo
    from edgekit.clip import Clip
    from edgekit.results import Label

    Ranking = tuple[Label, ...]


class PhotoWork:
    """A query reads, decodes, fits, embeds and ranks photos; their files are read anew each time."""

    def __init__(self, clip: Clip, photos: Sequence[Photo], labels: Sequence[str]) -> None:
        """Embed the labels, which an app does once.

        Args:
            clip: opened.
            photos: at least one.
            labels: to rank; the bundle's frozen ones, in their order, stand for themselves with what was tuned for
                them.

        Raises:
            TextError: a label cannot be used with this bundle.
            ExecutionError: a tower that is needed was not loaded.
        """
        self._tower, self._spec = clip.tower("image"), clip.manifest.image
        frozen = clip.labels and tuple(labels) == clip.labels
        self._labels, self._score = clip.scorer(None if frozen else labels)
        self._photos = tuple(photos)

    @property
    def samples(self) -> int:
        """Distinct photos."""
        return len(self._photos)

    @property
    def stages(self) -> tuple[str, ...]:
        """The parts of a query."""
        return ("decode", "preprocess", "inference", "postprocess")

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Classify photos; see `edgekit.benchmarks.scenarios.protocol.Workload.query`."""
        return self.rankings(indices)[1]

    def rankings(self, indices: Sequence[int]) -> tuple[list[Ranking], tuple[int, ...]]:
        """Do a query.

        Several photos are decoded and fitted at once, one on each core, as `Clip.classify_many` does; the time that
        took is divided between the two stages as the threads' own times are.

        Args:
            indices: of the photos, each in 0..samples-1.

        Returns:
            Labels of each photo, best first, and the nanoseconds of each stage.

        Raises:
            ImageError: a photo cannot be decoded.
            ExecutionError: the engine failed, or returned a NaN or an infinity.
        """
        clock, begin = time.perf_counter_ns, time.perf_counter_ns()
        pixels, share = self._pixels(indices)
        ready = clock()
        rows = self._tower.embed(pixels)
        embedded = clock()
        found = [ranked(self._labels, row, None) for row in self._score(rows)]
        decode = round((ready - begin) * share)
        return found, (decode, ready - begin - decode, embedded - ready, clock() - embedded)

    def _pixels(self, indices: Sequence[int]) -> tuple[npt.NDArray[np.uint8], float]:
        """Return the tower's input, and the share of decoding in the threads' times."""
        clock, spec = time.perf_counter_ns, self._spec
        output = np.empty((len(indices), spec.height, spec.width, 3), np.uint8)
        times = [(0, 0)] * len(indices)

        def fill(place: int) -> None:
            begin = clock()
            try:
                decoded = decode_for(self._photos[indices[place]], spec)
                middle = clock()
                output[place] = fit(decoded, spec)
            except ImageError as error:
                if isinstance(self._photos[indices[place]], str | os.PathLike):
                    raise  # the message starts with its path already
                raise ImageError(f"{error} (photo {indices[place]})") from error
            times[place] = (middle - begin, clock() - middle)

        in_parallel(fill, len(indices))
        decoding = sum(decode for decode, _ in times)
        return output, decoding / max(1, decoding + sum(fitting for _, fitting in times))
