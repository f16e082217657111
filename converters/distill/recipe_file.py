"""Read a recipe from YAML: typed, complete, and checked before anything runs."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit import strict_fields, strict_yaml
from edgekit.bundle import schema
from edgekit.converters.distill import recipe_losses, recipe_rules
from edgekit.converters.distill.recipe import Recipe
from edgekit.errors import InputError

_KIND = strict_yaml.Kind("recipe", "recipes", "distill", "'edgekit distill --example' prints a recipe that runs")
# The short form that stands for the first teacher.
_SHORT = {"teachers[0]": "teacher"}

# Where one value stands for a list of one.
_LISTS = ("images", "texts", "validation", "templates")


def read(path: Path) -> Recipe:
    """Read and check a recipe.

    Short forms: ``teacher: X.edge`` for ``teachers:`` with one entry, a text for an entry of ``teachers`` (its `model`)
    and for ``student.image`` and ``student.text`` (their `arch`), one text for a list in ``data``, and a list of
    names for ``losses``, each with weight 1.

    Args:
        path: YAML file; paths in it are relative to its folder.

    Returns:
        The recipe, its paths absolute.

    Raises:
        InputError: the message names the file, the field, what is wrong and what to write instead.
        MissingDependencyError: a package that distillation needs is absent.
    """
    document = strict_yaml.load(path, _KIND)
    places = strict_fields.Places(path, document, _SHORT)
    recipe = strict_fields.record(Recipe, _written_out(document.value, path), places)
    recipe = _placed(recipe, path.absolute().parent)
    for field, problem in recipe_rules.problems(recipe):
        raise InputError(places.message(field, problem))
    for field, problem in recipe_losses.problems(recipe):
        raise InputError(places.message(field, problem))
    return recipe


def digest(recipe: Recipe) -> str:
    """Return the SHA-256 of a portable recipe's canonical JSON, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(schema.dumps(portable(recipe)).encode()).hexdigest()


def portable(recipe: Recipe) -> Recipe:
    """Return a recipe without the folders of this machine: of each path, only the last name is left."""
    data, student = recipe.data, recipe.student
    data = replace(
        data,
        images=tuple(map(_last, data.images)),
        texts=tuple(map(_last, data.texts)),
        validation=tuple(map(_last, data.validation)),
        store="",
    )
    if student.image is not None:
        student = replace(student, image=replace(student.image, weights=_last(student.image.weights)))
    if student.text is not None:
        student = replace(student, text=replace(student.text, weights=_last(student.text.weights)))
    teachers = tuple(
        replace(
            teacher,
            model=":".join(map(_last, teacher.model.split(":"))),
            embeddings=_last(teacher.embeddings),
            tokenizer=_last(teacher.tokenizer),
        )
        for teacher in recipe.teachers
    )
    return replace(recipe, teachers=teachers, data=data, student=student)


def _last(path: str) -> str:
    # Names of hubs have a slash too; only what was made absolute is a path of this machine.
    return path.rstrip("/").rpartition("/")[2] if path.startswith("/") else path


def _written_out(value: Any, path: Path) -> Any:
    """Replace the short forms by what they stand for; anything odd is left for the conversion to refuse."""
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no fields; 'edgekit distill --example' prints a recipe that runs")
    plain = dict(value)
    if "teacher" in plain:
        if "teachers" in plain:
            raise InputError(f"{path}: teacher: is given beside teachers; list all of them under teachers")
        plain["teachers"] = [plain.pop("teacher")]
    if isinstance(plain.get("teachers"), list):
        plain["teachers"] = [{"model": one} if isinstance(one, str) else one for one in plain["teachers"]]
    if isinstance(plain.get("data"), dict):
        plain["data"] = {k: [v] if k in _LISTS and isinstance(v, str) else v for k, v in plain["data"].items()}
    if isinstance(plain.get("student"), dict):
        towers = ("image", "text")
        plain["student"] = {
            k: {"arch": v} if k in towers and isinstance(v, str) else v for k, v in plain["student"].items()
        }
    losses = plain.get("losses")
    if isinstance(losses, str):
        plain["losses"] = {losses: 1.0}
    elif isinstance(losses, list) and all(isinstance(name, str) for name in losses):
        plain["losses"] = dict.fromkeys(losses, 1.0)
    return plain


def _placed(recipe: Recipe, home: Path) -> Recipe:
    """Make paths absolute."""
    data, student = recipe.data, recipe.student
    data = replace(
        data,
        images=tuple(_path_or_name(home, text) for text in data.images),
        texts=tuple(_path_or_name(home, text) for text in data.texts),
        validation=tuple(_path_or_name(home, text) for text in data.validation),
        store=_path(home, data.store),
    )
    if student.image is not None:
        student = replace(student, image=replace(student.image, weights=_path(home, student.image.weights)))
    if student.text is not None:
        student = replace(student, text=replace(student.text, weights=_path(home, student.text.weights)))
    teachers = tuple(
        replace(
            teacher,
            model=_model(home, teacher.model),
            embeddings=_path(home, teacher.embeddings),
            tokenizer=_path(home, teacher.tokenizer),
        )
        for teacher in recipe.teachers
    )
    return replace(recipe, teachers=teachers, data=data, student=student)


def _path(home: Path, text: str) -> str:
    # Unlike Path's, this leaves the home of a user that there is not as it stands.
    return str(home / os.path.expanduser(text)) if text else ""  # noqa: PTH111


def _there(path: Path) -> bool:
    # Unlike Path's, this takes no offence at a name that no file can have, such as one that is too long.
    return os.path.exists(path)  # noqa: PTH110


def _path_or_name(home: Path, text: str) -> str:
    """A path where it looks like one or is there; else a name, of a fetched set or a packaged bundle."""
    looks = any(character in text for character in "/.{*?[~")
    return _path(home, text) if looks or _there(home / text) else text


def _model(home: Path, text: str) -> str:
    """Of a source, such as ``onnx:./exported``, each part that is written as a path and is there becomes absolute."""
    kind, colon, spec = text.partition(":")
    if not colon or _there(home / text):
        return _path_or_name(home, text)
    parts = [
        _path(home, part) if any(c in part for c in "/.~") and _there(Path(_path(home, part))) else part
        for part in spec.split(":")
    ]
    return ":".join([kind, *parts])
