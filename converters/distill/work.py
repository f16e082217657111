"""Where each thing lies in the work folder of a distillation, and what the processes tell each other in it."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters.distill.recipe import Recipe
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".distill"
IDENTITY, RECIPE, TEACHERS = "identity.json", "recipe.json", "teachers.json"
PREPARED, OUTCOME, REPORT = "prepared.json", "outcome.json", "report.json"
STUDENT, DATA, CHECKPOINTS, TREE = "student", "data", "checkpoints", "tree"
CONVERTED, DRAFT = "teachers", "draft.edge"
METRICS, PICTURE = "metrics.jsonl", "curves.png"
STOP, LOCK, TRAINING = "stop", "lock", "training.lock"
# Large, and of no use once the bundle is written; what stays says how it went and can be converted again.
HEAVY = (DATA, CHECKPOINTS, TREE, CONVERTED, DRAFT)

T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """What a work folder belongs to; a distillation goes on only where all of it is the same.

    Attributes:
        edgekit: version.
        recipe: digest of the recipe.
        teachers: digest of each teacher's bundle.
        images: digest of the training images with their texts; empty where there are none.
        validation: digest of the set to judge on, likewise.
        texts: digest of the texts for the text tower, likewise.
    """

    edgekit: str
    recipe: str
    teachers: tuple[str, ...]
    images: str
    validation: str
    texts: str


@dataclass(frozen=True)
class Paths:
    """The bundle of each teacher; empty where only embeddings are at hand."""

    teachers: tuple[str, ...]

    @property
    def bundles(self) -> tuple[Path | None, ...]:
        """As paths; None where there is no bundle."""
        return tuple(Path(path) if path else None for path in self.teachers)


def folder_of(out: Path) -> Path:
    """Return the work folder of an output."""
    return out.absolute().with_suffix(SUFFIX)


def write(folder: Path, name: str, record: object) -> None:
    """Write a record atomically."""
    write_bytes(folder / name, schema.dumps(record).encode())


def read(folder: Path, name: str, kind: type[T]) -> T:
    """Return a record that was written before.

    Args:
        folder: the work folder.
        name: of the file.
        kind: of the record.

    Returns:
        The record.

    Raises:
        InputError: it is missing or damaged.
    """
    path = folder / name
    try:
        return schema.loads(kind, path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: is missing; give --restart to begin anew") from error
    except BundleError as error:
        raise InputError(f"{error}; give --restart to begin anew") from error


def read_recipe(folder: Path) -> Recipe:
    """Return the recipe of a work folder."""
    if not (folder / RECIPE).is_file():
        raise InputError(f"{folder}: is no work folder of a distillation; 'edgekit distill … --prepare-only' makes one")
    return read(folder, RECIPE, Recipe)


@contextmanager
def locked(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Keep other processes out of a work folder; the system frees the lock however this process ends.

    Args:
        folder: the work folder.
        name: of the lock.

    Yields:
        Nothing.

    Raises:
        InputError: another process is at work there.
    """
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{folder}: another process is at work there; wait for it, or end it") from error
        yield
    finally:
        os.close(handle)
