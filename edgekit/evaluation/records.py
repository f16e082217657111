"""A labelled set of images, wherever it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Task = Literal["classification", "retrieval", "unlabelled"]
TASKS: tuple[Task, ...] = ("classification", "retrieval", "unlabelled")


@dataclass(frozen=True)
class Item:
    """One encoded image in a file.

    Attributes:
        name: for messages; unique in its set.
        path: the file that holds it: the image itself, or a tar shard.
        offset: where it begins, in bytes.
        size: length in bytes; None for the whole file.
        sha256: of the encoded image, hexadecimal; empty where it was not computed yet.
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None
    sha256: str = ""

    def read(self) -> bytes:
        """Read the encoded image.

        Returns:
            The bytes of a JPEG, PNG or another image file.

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
        digest: SHA-256, hexadecimal, over the images' bytes, the texts and the targets, in order;
            `edgekit.evaluation.assembly.digest_of` defines it.
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
