"""Result files: written whole or not at all, read strictly; one result, or several in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.benchmarks.results.records import SCHEMA_VERSION, Result
from edgekit.bundle import schema
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

SEVERAL = "results"
"""The one key of a file that holds more than one result; its value is their list."""


def read(path: Path) -> Result:
    """Read a file that holds one result.

    Args:
        path: of the file, as `write` or ``edgekit bench --json`` made it.

    Returns:
        The result.

    Raises:
        InputError: the file cannot be read, is no result of this edgekit's schema, or holds several.
    """
    found = read_all(path)
    if len(found) != 1:
        raise InputError(f"{path}: holds {len(found)} results, one is wanted here; write each to a file of its own")
    return found[0]


def read_all(path: Path) -> tuple[Result, ...]:
    """Read a file that holds one result or several, or every ``*.json`` of a folder.

    Args:
        path: of the file or folder.

    Returns:
        At least one result; those of a folder in the order of their file names.

    Raises:
        InputError: nothing can be read there, or a file is no result of this edgekit's schema.
    """
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise InputError(f"{path}: holds no result; give a folder that 'edgekit bench -o' wrote to")
        return tuple(result for file in files for result in read_all(file))
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return loads(text, str(path))


def loads(text: str | bytes, where: str) -> tuple[Result, ...]:
    """Parse one result or several.

    Args:
        text: UTF-8 JSON.
        where: name of the document, for messages.

    Returns:
        At least one result.

    Raises:
        InputError: it is no result of this edgekit's schema; the message names the field.
    """
    try:
        plain = schema.parse(text, where)
        several = isinstance(plain, dict) and set(plain) == {SEVERAL} and isinstance(plain[SEVERAL], list)
        found = plain[SEVERAL] if several else [plain]
        if not found:
            raise InputError(f"{where}: its list of results is empty")
        names = [f"{where}: {SEVERAL}[{i}]" for i in range(len(found))] if several else [where]
        return tuple(_result(item, name) for item, name in zip(found, names, strict=True))
    except BundleError as error:
        raise InputError(f"{error} (not a result of 'edgekit bench')") from error


def dumps(result: Result) -> str:
    """Write one result as JSON text: a line for each field, lists of numbers on one line."""
    return dumps_record(result)


def dumps_record(record: object) -> str:
    """Write any record of plain values as JSON text in the same way."""
    return _text(schema.to_plain(record), "") + "\n"


def dumps_all(results: Sequence[Result]) -> str:
    """Write results as JSON text: one as itself, several as ``{"results": [...]}``."""
    if len(results) == 1:
        return dumps(results[0])
    return _text({SEVERAL: schema.to_plain(tuple(results))}, "") + "\n"


def write(path: Path, result: Result) -> Path:
    """Write one result, whole or not at all.

    Args:
        path: a file whose name ends in ``.json``, or a folder that exists, where the result's id names the file.
        result: to be written.

    Returns:
        The file.

    Raises:
        InputError: the folder does not exist or cannot be written to, or the id can name no file in it.
    """
    file = path / f"{result.id}.json" if path.is_dir() else path
    # Read from a file, the id may be anything; edgekit's own ids need no care.
    if file is not path and (file.parent != path or not result.id):
        raise InputError(f"{path}: the result's id {result.id!r} names no file in this folder; give a file's name here")
    write_bytes(file, dumps(result).encode())
    return file


def _result(plain: Any, where: str) -> Result:
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    # Before the strict reading, so that a newer file is told apart from a damaged one.
    number = version if isinstance(version, int | float) and not isinstance(version, bool) else None
    if number is not None and number < 1:
        raise InputError(f"{where}: schema_version is {version}; there are versions 1 to {SCHEMA_VERSION}")
    if number is not None and number > SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema_version is {version}, this edgekit reads up to {SCHEMA_VERSION}; upgrade edgekit"
        )
    if number == 1:
        plain = _from_version_1(plain)
    found = schema.loads(Result, json.dumps(plain), where)
    for i, series in enumerate(found.series):
        if len(series.times) != len(series.values):
            raise InputError(
                f"{where}.series[{i}]: has {len(series.times)} times and {len(series.values)} values; each reading has "
                "one of both"
            )
    return found


def _from_version_1(plain: dict[str, Any]) -> dict[str, Any]:
    """Leave out `memory.arena`, which no engine ever filled."""
    memory = plain.get("memory")
    kept = {name: value for name, value in memory.items() if name != "arena"} if isinstance(memory, dict) else memory
    return {**plain, "schema_version": SCHEMA_VERSION, "memory": kept}


def _text(value: Any, indent: str) -> str:
    """Write JSON that a person can read: a series of thousands of numbers takes one line, not thousands."""
    if isinstance(value, dict) and value:
        inner = f"{indent}  "
        items = (f"{inner}{_scalar(key)}: {_text(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = f"{indent}  "
        return "[\n" + ",\n".join(f"{inner}{_text(item, inner)}" for item in value) + f"\n{indent}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"a result cannot be written as JSON: {error}") from error
