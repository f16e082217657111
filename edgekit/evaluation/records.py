"""A labelled set of images, wherever it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Task = Literal["classification", "retrieval", "unlabelled"]


@dataclass(frozen=True)
class Item:
    """One encoded image in a file.

    Attributes:
        name: for messages; unique in its set.
        path: the file that holds it: the image itself, or a tar shard.
        offset: where it begins, in bytes.
        size: length in bytes; None for the whole file.
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read() if self.size is None else file.read(self.size)


@dataclass(frozen=True)
class Dataset:
    """Images, texts, and which belong together.

    Attributes:
        name: for reports.
        digest: SHA-256, hexadecimal, over the images' bytes, the texts and the targets, in order.
        task: ``classification`` when each image has exactly one right text, a class name to be put into templates;
            ``retrieval`` when texts are captions and used as they are; ``unlabelled`` when there are no texts.
        items: the images.
        texts: distinct class names or captions; empty when unlabelled.
        targets: for each image, the indices of its right texts; empty tuples when unlabelled.
    """

    name: str
    digest: str
    task: Task
    items: tuple[Item, ...]
    texts: tuple[str, ...]
    targets: tuple[tuple[int, ...], ...]
