"""Read a recipe from YAML: typed, complete, and checked before anything runs."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import types
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from edgekit.bundle import schema
from edgekit.converters.distill import recipe_losses, recipe_rules, recipe_yaml
from edgekit.converters.distill.recipe import Recipe
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe_yaml import Document

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
    document = recipe_yaml.load(path)
    plain = _written_out(document.value, path)
    _known_fields(Recipe, plain, "", path, document)
    try:
        recipe = schema.loads(Recipe, json.dumps(plain), "")
    except BundleError as error:
        raise InputError(_located(path, document, str(error))) from error
    recipe = _placed(recipe, path.absolute().parent)
    for field, problem in recipe_rules.problems(recipe):
        raise InputError(_located(path, document, f".{field}: {problem}"))
    for field, problem in recipe_losses.problems(recipe):
        raise InputError(_located(path, document, f".{field}: {problem}"))
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


def _known_fields(kind: Any, value: Any, where: str, path: Path, document: Document) -> None:
    """Refuse a field that no record has, with the nearest one that it has."""
    kind, many = _record_of(kind)
    if many and isinstance(value, list):
        for i, item in enumerate(value):
            _known_fields(kind, item, f"{where}[{i}]", path, document)
        return
    if kind is None or not isinstance(value, dict):
        return
    names, hints = [field.name for field in fields(kind)], get_type_hints(kind)
    for name, item in value.items():
        inner = f"{where}.{name}"
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise InputError(_located(path, document, f"{inner}: there is no such field; {hint}"))
        _known_fields(hints[name], item, inner, path, document)


def _record_of(kind: Any) -> tuple[Any, bool]:
    """Return the record in a field's type, if it is one, and whether the field is a tuple of them."""
    if get_origin(kind) is tuple:
        return _record_of(get_args(kind)[0])[0], True
    if get_origin(kind) in (Union, types.UnionType):
        kind = get_args(kind)[0]
    return (kind if is_dataclass(kind) else None), False


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


def _located(path: Path, document: Document, message: str) -> str:
    """Put the file before a message that begins with a field's path, and its line behind it."""
    field, colon, problem = message.removeprefix(".").partition(": ")
    if not colon:
        return f"{path}: {message.lstrip('.: ')}"
    line = _line(document, field)
    return f"{path}: {field}: {problem}" + (f" (line {line})" if line else "")


def _line(document: Document, field: str) -> int:
    """The line of a field, or of what stands for it: a short form, or the mapping that lacks it."""
    if field.startswith("teachers[0]") and "teachers" not in document.lines:
        field = field.replace("teachers[0]", "teacher", 1)
    while field:
        if field in document.lines:
            return document.lines[field]
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return 0
