"""From what a recipe calls its teachers to bundles on disk."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.reader import open_bundle
from edgekit.converters.convert import ConvertOptions, convert
from edgekit.converters.distill import work
from edgekit.converters.distill.data.teachers import stored
from edgekit.converters.distill.kept import kept_variant
from edgekit.errors import InputError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.distill.recipe import Recipe, TeacherSpec

_SOURCES = "edgekit.sources"


def find(recipe: Recipe, folder: Path, on_stage: Callable[[str], None]) -> tuple[Path | None, ...]:
    """Return each teacher's bundle; one that is named by a source is converted into the work folder, once.

    Args:
        recipe: says what they are.
        folder: the work folder.
        on_stage: called with each stage's name.

    Returns:
        A path for each teacher; None for one of which only embeddings are at hand.

    Raises:
        InputError: a teacher is neither a bundle nor a source, or has no portable graph of a tower that is kept.
        ConversionError: a source cannot be converted.
    """
    found = tuple(_one(spec, i, folder, on_stage) for i, spec in enumerate(recipe.teachers))
    if found[0] is not None and (recipe.student.image is None or recipe.student.text is None):
        kept_variant(open_bundle(found[0]))
    return found


def digests(recipe: Recipe, bundles: tuple[Path | None, ...]) -> tuple[str, ...]:
    """Return the digest of each teacher's bundle, ``sha256:`` and 64 digits, whether or not it is at hand."""
    return tuple(
        f"sha256:{open_bundle(path).digest}" if path is not None else stored(Path(spec.embeddings))[1].digest
        for spec, path in zip(recipe.teachers, bundles, strict=True)
    )


def _one(spec: TeacherSpec, index: int, folder: Path, on_stage: Callable[[str], None]) -> Path | None:
    if not spec.model:
        return None
    path = resolve(spec.model)
    if isinstance(path, Path) and path.exists():
        if any(variant.text is None for variant in open_bundle(path).manifest.variants):
            raise InputError(
                f"teachers[{index}].model: {path}: has no text tower, its labels were frozen; name the bundle that "
                "it was made from"
            )
        return path.absolute()
    kind, colon, _ = spec.model.partition(":")
    known = sorted({entry.name for entry in entry_points(group=_SOURCES)})
    if not colon and spec.model not in known:
        raise InputError(f"teachers[{index}].model: {spec.model}: no such bundle")
    if kind not in known:
        raise InputError(
            f"teachers[{index}].model: {spec.model}: neither a bundle nor a source; a source starts with one of "
            f"{', '.join(known)}"
        )
    made = folder / work.CONVERTED / f"{index}.edge"
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        options = ConvertOptions(tokenizer=Path(spec.tokenizer) if spec.tokenizer else None, weights="float32")
        convert(spec.model, made, options, lambda name: on_stage(f"teacher {index + 1}: {name}"))
    return made
