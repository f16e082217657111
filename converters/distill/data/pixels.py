"""The pixels that views are made from: decoded once into a mapped array, or anew each time where that is too large."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data.decoding import Decoder
from edgekit.errors import BundleError
from edgekit.evaluation.records import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

_CHUNK = 256


class Pixels(Protocol):
    """Pixels of a set's images, by number."""

    def __len__(self) -> int:
        """Return the number of images."""

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return uint8 (N, H, W, 3) RGB of some images; the caller's own."""


@dataclass(frozen=True)
class Progress:
    """How far a cache is.

    Attributes:
        data: digest of the images and their order.
        spec: how they were made.
        done: so many of them are on the disk.
    """

    data: str
    spec: ImageSpec
    done: int


def bytes_of(images: int, spec: ImageSpec) -> int:
    """Return the size of a cache."""
    return images * spec.height * spec.width * 3


def build(
    path: Path, items: Sequence[Item], data: str, spec: ImageSpec, on_progress: Callable[[int, int], None]
) -> None:
    """Write the pixels of images into a ``.npy``, or go on where an interrupted run ended.

    Args:
        path: the file; it appears under this name when it is complete.
        items: the images.
        data: digest of them and their order.
        spec: how pixels are made.
        on_progress: called with the number of images done, and of all.

    Raises:
        ImageError: an image cannot be decoded; the message names it.
        OSError: the disk is full.
    """
    part, record = path.with_suffix(".part"), path.with_suffix(".json")
    known = _progress(record, data, spec)
    if path.exists() and known == len(items):
        return
    path.unlink(missing_ok=True)
    shape = (len(items), spec.height, spec.width, 3)
    known = known if part.exists() else 0
    # What was there is of other images, or ends before what the record says.
    fresh = known == 0
    array = np.lib.format.open_memmap(part, "w+" if fresh else "r+", np.uint8, shape if fresh else None)
    decoder = Decoder(spec)
    for start in range(known, len(items), _CHUNK):
        stop = min(start + _CHUNK, len(items))
        array[start:stop] = decoder.decode(items[start:stop])
        array.flush()
        # Only what is on the disk is called done.
        write_bytes(record, schema.dumps(Progress(data, spec, stop)).encode())
        on_progress(stop, len(items))
    part.replace(path)


def _progress(record: Path, data: str, spec: ImageSpec) -> int:
    """Return how many images a cache of just these holds already."""
    try:
        found = schema.loads(Progress, record.read_bytes(), str(record))
    except (OSError, BundleError):
        return 0
    return found.done if (found.data, found.spec) == (data, spec) else 0


class Cached:
    """Pixels that `build` wrote; mapped, so that several processes share the memory."""

    def __init__(self, path: Path) -> None:
        self._array = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._array)

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Copy the pixels of some images."""
        return np.asarray(self._array[np.asarray(indices, np.int64)])


class Decoded:
    """Pixels that are decoded each time they are wanted."""

    def __init__(self, items: Sequence[Item], spec: ImageSpec) -> None:
        self._items = items
        self._decoder = Decoder(spec)

    def __len__(self) -> int:
        return len(self._items)

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Decode some images."""
        return self._decoder.decode([self._items[int(index)] for index in indices])


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write where images lie, one a line, so that `read_items` need not open the sets again."""
    rows = ([item.name, str(item.path.absolute()), item.offset, item.size, item.sha256] for item in items)
    # Names that are no UTF-8 survive as JSON's escapes.
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_items(path: Path) -> list[Item]:
    """Read what `write_items` wrote."""
    rows = (json.loads(line) for line in path.read_bytes().splitlines())
    return [Item(name, Path(where), offset, size, sha256) for name, where, offset, size, sha256 in rows]
