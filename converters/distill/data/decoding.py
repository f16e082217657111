"""From stored images to pixels, several at a time; a broken image is named."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ImageError
from edgekit.preprocess import preprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.evaluation.records import Item


class Decoder:
    """Decodes images of one set for one preprocessing, on threads of its own."""

    def __init__(self, spec: ImageSpec) -> None:
        self._spec = spec
        self._threads = _cores()
        self._pool: ThreadPoolExecutor | None = None

    def decode(self, items: Sequence[Item]) -> npt.NDArray[np.uint8]:
        """Decode images.

        Args:
            items: N of them.

        Returns:
            uint8 (N, height, width, 3) RGB.

        Raises:
            ImageError: one cannot be read or decoded; the message names it.
        """
        pixels = np.empty((len(items), self._spec.height, self._spec.width, 3), np.uint8)
        if self._threads == 1 or len(items) < 2:
            found = iter([self._one(item) for item in items])
        else:
            # Made late: a set that is cached never needs it.
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="edgekit-decode")
            found = self._pool.map(self._one, items)
        for place, one in enumerate(found):
            pixels[place] = one
        return pixels

    def _one(self, item: Item) -> npt.NDArray[np.uint8]:
        try:
            return preprocess(item.read(), self._spec)
        except OSError as error:
            raise ImageError(f"{item.path}: {item.name}: cannot be read: {error.strerror or error}") from error
        except ImageError as error:
            reason = str(error).removeprefix("<bytes>: ")
            raise ImageError(f"{item.path}: {item.name}: {reason}; repair or remove it") from error


def scaled(spec: ImageSpec, side: int) -> ImageSpec:
    """Return a preprocessing that frames a photo as `spec` does, at another size.

    Args:
        spec: of a model.
        side: the longer side of the pixels.

    Returns:
        The same where `side` is the model's own.
    """
    longest = max(spec.height, spec.width)
    if side == longest:
        return spec

    def resized(length: int) -> int:
        return round(length * side / longest)

    height, width = max(1, resized(spec.height)), max(1, resized(spec.width))
    return replace(spec, height=height, width=width, shortest_edge=resized(spec.shortest_edge))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
