"""Strict JSON for frozen dataclasses: unknown fields refused, types checked, errors by path.

A field is required unless its dataclass gives a default: such a field came later, and bundles made before lack it.
"""

from __future__ import annotations

import json
import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edgekit.errors import BundleError

T = TypeVar("T")
OPTIONAL = {"optional": True}
"""Metadata of a field that may be absent though its default is made anew each time, as that of a dictionary."""


def dumps(record: object) -> str:
    """Write a record as JSON; the same record always gives the same text.

    Args:
        record: a dataclass of plain values, dataclasses, dictionaries and tuples.

    Returns:
        Indented JSON with a final newline.

    Raises:
        BundleError: a value is not finite, or of a type that JSON does not know.
    """
    try:
        return json.dumps(to_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"{type(record).__name__} cannot be written as JSON: {error}") from error


def to_plain(record: object) -> Any:
    """Turn nested dataclasses and tuples into the dicts and lists that JSON knows."""
    if is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_plain(getattr(record, f.name)) for f in fields(record)}
    if isinstance(record, dict):
        return {key: to_plain(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [to_plain(value) for value in record]
    return record


def loads(cls: type[T], text: str | bytes, where: str) -> T:
    """Parse JSON into `cls`.

    Args:
        cls: a frozen dataclass.
        text: UTF-8 JSON.
        where: name of the document, for messages.

    Returns:
        An instance of `cls`.

    Raises:
        BundleError: not JSON, or a field is missing, unknown or of the wrong type; the message names the field.
    """
    return cast("T", _convert(cls, parse(text, where), where))


def parse(text: str | bytes, where: str) -> Any:
    """Parse JSON whose objects name no field twice.

    Args:
        text: UTF-8 JSON.
        where: name of the document, for messages.

    Returns:
        The value, as the standard library gives it.

    Raises:
        BundleError: not JSON.
    """
    try:
        # Decoded here: given bytes, json would accept UTF-16, UTF-32 and halves of surrogate pairs too.
        decoded = text if isinstance(text, str) else text.decode()
        return json.loads(decoded, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON: {error}") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {_shown(name)} is given twice")
        _check_text(name)
        found[name] = value
    return found


def _no_constants(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON knows")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{_shown(text)} holds half of a surrogate pair") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType) and any(is_dataclass(arg) for arg in get_args(kind)):
        # The only such union in use: a record or null.
        return None if value is None else _convert(get_args(kind)[0], value, where)
    if is_dataclass(kind):
        return _convert_record(cast("type[Any]", kind), value, where)
    if origin is tuple:
        return _convert_tuple(get_args(kind), value, where)
    if origin is dict:
        return _convert_dict(get_args(kind)[1], value, where)
    if origin is Literal and value not in get_args(kind):
        raise BundleError(f"{where}: expected one of {', '.join(map(repr, get_args(kind)))}, got {_shown(value)}")
    if origin is Literal:
        return value
    return _convert_scalar(get_args(kind) if origin in (Union, types.UnionType) else (kind,), value, where)


def _convert_scalar(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if float in kinds and int not in kinds and _is_scalar(int, value):
        value = _float(value)
    if not any(_is_scalar(kind, value) for kind in kinds):
        raise BundleError(f"{where}: expected {' or '.join(k.__name__ for k in kinds)}, got {_shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError(f"{where}: {value} is not a finite number")
    if isinstance(value, str):
        try:
            _check_text(value)
        except ValueError as error:
            raise BundleError(f"{where}: {error}") from error
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _convert_dict(of: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected an object, got {_shown(value)}")
    return {key: _convert(of, item, f"{where}.{key}") for key, item in value.items()}


def _convert_record(kind: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected an object, got {_shown(value)}")
    hints = _hints(kind)
    names = [f.name for f in fields(kind)]
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise BundleError(f"{where}: unknown field {_shown(unknown[0])}; a newer edgekit may have written this bundle")
    missing = [f.name for f in fields(kind) if f.name not in value and f.default is MISSING and not f.metadata]
    if missing:
        raise BundleError(f"{where}: the field {missing[0]!r} is missing")
    return kind(**{name: _convert(hints[name], value[name], f"{where}.{name}") for name in names if name in value})


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BundleError(f"{where}: expected a list, got {_shown(value)}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(args):
        raise BundleError(f"{where}: expected {len(args)} items, got {len(value)}")
    return tuple(_convert(of, item, f"{where}[{i}]") for i, (of, item) in enumerate(zip(args, value, strict=True)))


def _is_scalar(kind: Any, value: Any) -> bool:
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)


def _shown(value: Any) -> str:
    # Not the repr of a list or an object, which may be nested more deeply than repr can follow.
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]
