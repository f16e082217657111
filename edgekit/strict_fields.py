"""Turn the plain values of a strict document into a record; every problem names the file, the field and the line."""

from __future__ import annotations

import difflib
import json
import types
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from edgekit.bundle import schema
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.strict_yaml import Document

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Where a document's fields are, for messages.

    Attributes:
        path: of the file.
        document: its content, as `strict_yaml.load` gives it.
        short: names in the file by the field that they stand for, such as ``{"teachers[0]": "teacher"}``.
    """

    path: Path
    document: Document
    short: dict[str, str] = field(default_factory=dict)

    def message(self, name: str, problem: str) -> str:
        """Return one line about a field.

        Args:
            name: path of the field, such as ``data.images[0]``.
            problem: what is wrong with it, and what to do.

        Returns:
            ``FILE: FIELD: PROBLEM (line N)``; without the line where neither the field nor what holds it has one.
        """
        line = self._line(name)
        return f"{self.path}: {name}: {problem}" + (f" (line {line})" if line else "")

    def _line(self, name: str) -> int:
        """The line of a field, or of what stands for it: a short form, or the mapping that lacks it."""
        lines = self.document.lines
        for whole, written in self.short.items():
            if name.startswith(whole) and whole not in lines:
                name = name.replace(whole, written, 1)
        while name:
            if name in lines:
                return lines[name]
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        return 0


def record(kind: type[T], value: Any, places: Places) -> T:
    """Make a record of plain values.

    Args:
        kind: a frozen dataclass, of what `edgekit.bundle.schema` reads.
        value: dictionaries, lists, texts, numbers, booleans and None.
        places: where they stand.

    Returns:
        An instance of `kind`.

    Raises:
        InputError: a field is unknown (the nearest one is named), missing, or of the wrong type.
    """
    _known(kind, value, "", places)
    try:
        return schema.loads(kind, json.dumps(value), "")
    except BundleError as error:
        name, colon, problem = str(error).removeprefix(".").partition(": ")
        text = places.message(name, problem) if colon and name else f"{places.path}: {str(error).lstrip('.: ')}"
        raise InputError(text) from error


def _known(kind: Any, value: Any, where: str, places: Places) -> None:
    """Refuse a field that no record has, with the nearest one that it has."""
    kind, many = _record_of(kind)
    if many and isinstance(value, list):
        for i, item in enumerate(value):
            _known(kind, item, f"{where}[{i}]", places)
        return
    if kind is None or not isinstance(value, dict):
        return
    names, hints = [entry.name for entry in fields(kind)], get_type_hints(kind)
    for name, item in value.items():
        inner = f"{where}.{name}" if where else name
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise InputError(places.message(inner, f"there is no such field; {hint}"))
        _known(hints[name], item, inner, places)


def _record_of(kind: Any) -> tuple[Any, bool]:
    """Return the record in a field's type, if it is one, and whether the field is a tuple of them."""
    if get_origin(kind) is tuple:
        return _record_of(get_args(kind)[0])[0], True
    if get_origin(kind) in (Union, types.UnionType):
        kind = get_args(kind)[0]
    return (kind if is_dataclass(kind) else None), False
