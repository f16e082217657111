"""What queries are made of: real photos and texts, packaged ones or the user's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.datasets import locate, open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Item

MOST = 64
"""Photos and texts of a set that are taken at most: their pixels, 9.2 MiB at 224 x 224, are more than a chip's caches
hold, and little enough not to count as the model's memory."""

MOST_BYTES = 64 * 2**20
"""Bytes of photos that are held in memory at most, where they are parts of larger files; one is always taken."""

Photo = str | bytes
"""A path of an encoded photo, or its bytes where it is a part of a larger file."""


@dataclass(frozen=True)
class Inputs:
    """Distinct inputs.

    Attributes:
        name: of where they come from.
        photos: encoded, each a path, or bytes.
        texts: for the text tower.
        labels: to rank for a photo; empty for the bundle's frozen ones, or else the packaged ones.
    """

    name: str
    photos: tuple[Photo, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def gather(data: str | None = None, bundle: Bundle | None = None) -> Inputs:
    """Collect inputs.

    Args:
        data: a path or the name of a fetched set, in any layout of ``edgekit eval``; of its photos and texts `MOST` are
            taken, photos by a hash of their names; of photos inside shards, `MOST_BYTES` at most. None takes edgekit's
            sample photos and labels.
        bundle: its golden photos and texts join the packaged ones, and its texts stand in for a set without any.

    Returns:
        The inputs, each distinct.

    Raises:
        InputError: the set cannot be found or read.
    """
    known = _texts(bundle)
    if data is None:
        photos = _distinct([*_sample_photos(), *_golden_photos(bundle)])
        return Inputs("samples" if bundle is None else "samples and golden inputs", photos, known)
    dataset = open_dataset(locate(data), limit=MOST)
    return Inputs(dataset.name, _distinct(_photos(dataset.items)), tuple(dataset.texts[:MOST]) or known)


def packaged_labels() -> tuple[str, ...]:
    """Return the labels that edgekit brings along, such as ``a cat``."""
    listed = (files("edgekit.samples.labels") / "everyday.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in listed.splitlines() if line.strip())


def require(inputs: Inputs, pipeline: Pipeline) -> None:
    """Refuse inputs that a pipeline cannot work with.

    Args:
        inputs: as `gather` gives them.
        pipeline: what a query does.

    Raises:
        InputError: there is no photo, or no text, for it.
    """
    missing = "text" if pipeline == "text" and not inputs.texts else ""
    missing = "photo" if pipeline != "text" and not inputs.photos else missing
    if missing:
        raise InputError(f"{inputs.name}: holds no {missing}; the {pipeline} pipeline needs at least one")


def _photos(items: Sequence[Item]) -> list[Photo]:
    """Return paths, and what lies inside larger files as bytes, as far as there is room."""
    found: list[Photo] = []
    held = 0
    for item in items:
        if item.size is None:
            found.append(str(item.path))
        elif not held or held + item.size <= MOST_BYTES:
            found.append(item.read())
            held += item.size
    return found


def _texts(bundle: Bundle | None) -> tuple[str, ...]:
    golden = () if bundle is None else tuple(golden.text for golden in bundle.manifest.golden.texts)
    return tuple(dict.fromkeys([*golden, *packaged_labels()]))


def _sample_photos() -> list[Photo]:
    # The folder of photos has no Python file, and the import system knows no single path of it.
    folder = Path(str(files("edgekit.samples") / "photos"))
    return [str(path) for path in sorted(folder.glob("*.jpg"))]


def _golden_photos(bundle: Bundle | None) -> list[Photo]:
    return [] if bundle is None else [bytes(bundle.read(golden.photo)) for golden in bundle.manifest.golden.images]


def _distinct(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    """Leave out photos whose bytes were there before."""
    found: dict[bytes, Photo] = {}
    for photo in photos:
        try:
            data = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
        except OSError as error:
            raise InputError(f"{photo!r}: cannot be read: {error.strerror}") from error
        found.setdefault(hashlib.sha256(data).digest(), photo)
    return tuple(found.values())
