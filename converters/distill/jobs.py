"""The work folder of one distillation: made, recognized again, and kept from two commands at once."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.converters.distill import recipe_file, teachers, work
from edgekit.converters.distill.data import sets
from edgekit.converters.distill.data.texts import read_texts
from edgekit.converters.distill.digests import texts_digest
from edgekit.converters.distill.work import Identity
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgekit.converters.distill.data.sets import Sets
    from edgekit.converters.distill.recipe import Recipe

# Of `edgekit.atomic`.
_TEMPORARY = re.compile(r"\..+\.tmp")
_NAMES = {
    "edgekit": "version of edgekit",
    "teachers": "teacher",
    "images": "set of training images",
    "validation": "validation set",
    "texts": "set of texts",
}


@dataclass(frozen=True)
class Job:
    """A distillation that may go on.

    Attributes:
        recipe: what is to be done.
        folder: the work folder.
        bundles: of the teachers; None for one of which only embeddings are at hand.
        sets: the images; None where the recipe has none.
        identity: of all that decides the result.
    """

    recipe: Recipe
    folder: Path
    bundles: tuple[Path | None, ...]
    sets: Sets | None
    identity: Identity


@contextmanager
def opened(recipe: Recipe, folder: Path, *, restart: bool, on_stage: Callable[[str], None]) -> Iterator[Job]:
    """Make the work folder, or go on in it.

    Args:
        recipe: checked.
        folder: the work folder; what is in it is only touched where it is one of a distillation.
        restart: begin anew.
        on_stage: called with each stage's name.

    Yields:
        The job, with its folder locked.

    Raises:
        InputError: the folder belongs to something else, another process works in it, or the data or a teacher cannot
            be used.
        ConversionError: a teacher cannot be converted.
    """
    _check(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with work.locked(folder):
        if restart:
            _empty(folder)
        on_stage("looking at the data")
        found = sets.collect(recipe.data)
        words = texts_digest(read_texts(recipe.data.texts)) if recipe.data.texts else ""
        bundles = teachers.find(recipe, folder, on_stage)
        identity = Identity(
            edgekit=__version__,
            recipe=recipe_file.digest(recipe),
            teachers=teachers.digests(recipe, bundles),
            images="" if found is None else found.train.digest,
            validation="" if found is None else found.validation.digest,
            texts=words,
        )
        _recognize(folder, identity)
        work.write(folder, work.RECIPE, recipe)
        work.write(folder, work.TEACHERS, work.Paths(tuple(str(path) if path else "" for path in bundles)))
        # Last: a folder with it is complete.
        work.write(folder, work.IDENTITY, identity)
        yield Job(recipe, folder, bundles, found, identity)


def tidy(folder: Path) -> None:
    """Remove what is large and of no use once the bundle is written."""
    for name in work.HEAVY:
        _delete(folder / name)


def remove(folder: Path) -> None:
    """Remove a work folder that nothing more is done in."""
    shutil.rmtree(folder)


def _recognize(folder: Path, identity: Identity) -> None:
    if not (folder / work.IDENTITY).exists():
        return
    known = work.read(folder, work.IDENTITY, Identity)
    for field in ("edgekit", "recipe", "teachers", "images", "validation", "texts"):
        if getattr(known, field) != getattr(identity, field):
            raise InputError(
                f"{folder}: was begun with another {_NAMES.get(field, field)}; give another output, or --restart to "
                "delete what is there and begin anew"
            )


def _check(folder: Path) -> None:
    if not folder.exists() or (folder / work.IDENTITY).is_file():
        return
    # What a run that was ended before it wrote its identity leaves.
    early = {work.LOCK, work.CONVERTED, work.RECIPE, work.TEACHERS}
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file"}
    if any(name not in early and not _TEMPORARY.fullmatch(name) for name in names):
        raise InputError(
            f"{folder}: is in the way, and is no work folder of a distillation; move it, or choose another output"
        )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != work.LOCK:
            _delete(path)


def _delete(path: Path) -> None:
    # Of what lies on another disk only the link goes: who made it may have more there.
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
