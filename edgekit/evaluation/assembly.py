"""From images with their texts to a `Dataset`: texts numbered, contents hashed, a part of it taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.records import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.evaluation.records import Item, Task

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """An image and its right texts, each at least one character long, as a loader found them."""

    item: Item
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """What a loader found; no image has been read yet.

    Attributes:
        task: what the texts are.
        entries: the images, in the set's order.
        classes: every class name, in order; empty unless the task is classification.
    """

    task: Task
    entries: tuple[Entry, ...]
    classes: tuple[str, ...] = ()


def assemble(name: str, listing: Listing, limit: int | None = None) -> Dataset:
    """Make a set of what a loader found, and hash the images.

    Args:
        name: of the set.
        listing: with at least one entry.
        limit: keep so many images, chosen by a hash of their names so that every class has its share; all when None.

    Returns:
        The set; each item with its digest.

    Raises:
        InputError: an image cannot be read.
    """
    entries = listing.entries if limit is None else _sample(listing.entries, limit)
    numbers = {text: number for number, text in enumerate(listing.classes)}
    for entry in entries:
        for text in entry.texts:
            numbers.setdefault(text, len(numbers))
    # A caption that is given twice for one image is one right answer.
    targets = tuple(tuple(dict.fromkeys(numbers[text] for text in entry.texts)) for entry in entries)
    items = tuple(_hashed(entry.item) for entry in entries)
    return Dataset(name, digest_of(items, tuple(numbers), targets), listing.task, items, tuple(numbers), targets)


def select(dataset: Dataset, indices: Sequence[int], name: str) -> Dataset:
    """Take some of the images, with the texts that they need.

    Args:
        dataset: to take from.
        indices: of the images, in the order wanted.
        name: of the part.

    Returns:
        The part. All class names stay, so that the task is as hard as before; of captions, only those of the images
        taken.
    """
    items = tuple(dataset.items[i] for i in indices)
    texts, targets = dataset.texts, tuple(dataset.targets[i] for i in indices)
    if dataset.task == "retrieval":
        kept = sorted({number for target in targets for number in target})
        moved = {number: place for place, number in enumerate(kept)}
        texts = tuple(texts[number] for number in kept)
        targets = tuple(tuple(moved[number] for number in target) for target in targets)
    items = tuple(_hashed(item) for item in items)
    return Dataset(name, digest_of(items, texts, targets), dataset.task, items, texts, targets)


def digest_of(items: Iterable[Item], texts: Iterable[str], targets: Iterable[Sequence[int]]) -> str:
    r"""Hash a set: the same images, texts and targets in the same order have the same digest, wherever they lie.

    Args:
        items: with their digests.
        texts: class names or captions.
        targets: for each image, the indices of its right texts.

    Returns:
        SHA-256, 64 lower-case hexadecimal digits, of these lines, each ended by ``\n``, as UTF-8: ``image SHA256`` for
        each image, ``text JSON`` for each text (as Python's ``json.dumps`` writes a string: ASCII only), and
        ``target I J …`` for each image's targets.
    """
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"image {item.sha256}\n".encode())
    for text in texts:
        digest.update(f"text {json.dumps(text)}\n".encode())
    for target in targets:
        digest.update(f"{' '.join(['target', *map(str, target)])}\n".encode())
    return digest.hexdigest()


def _sample(entries: tuple[Entry, ...], limit: int) -> tuple[Entry, ...]:
    def position(index: int) -> bytes:
        return hashlib.sha256(entries[index].item.name.encode("utf-8", "surrogateescape")).digest()

    chosen = sorted(range(len(entries)), key=position)[:limit]
    return tuple(entries[index] for index in sorted(chosen))


def _hashed(item: Item) -> Item:
    if item.sha256:
        return item
    # Opening a pipe would wait for ever.
    if not item.path.is_file():
        raise InputError(f"{item.name}: {item.path} is no file, or a link that leads nowhere; remove or repair it")
    digest, left = hashlib.sha256(), item.size
    try:
        with item.path.open("rb") as file:
            file.seek(item.offset)
            while left != 0 and (chunk := file.read(_CHUNK if left is None else min(_CHUNK, left))):
                digest.update(chunk)
                left = None if left is None else left - len(chunk)
    except OSError as error:
        raise InputError(f"{item.name}: cannot be read: {error.strerror}") from error
    if left:
        raise InputError(f"{item.name}: {item.path} ends {left} bytes too early; copy it again")
    return replace(item, sha256=digest.hexdigest())
