"""The published JSON Schema of a result file, made from the records and their docstrings.

``python -m edgekit.benchmarks.results.json_schema FILE`` writes it; a test holds the committed file against it.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgekit.atomic import write_bytes
from edgekit.benchmarks.results.records import Result
from edgekit.errors import InputError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def document(root: type[Any] = Result) -> dict[str, Any]:
    """Return the schema of a record and of all records in it.

    Args:
        root: a frozen dataclass whose docstrings follow Google's style.

    Returns:
        A JSON Schema (draft 2020-12) with one definition for each record.

    Raises:
        InputError: a field has a type that the schema cannot tell, or no line under ``Attributes:``.
    """
    definitions: dict[str, Any] = {}
    _define(root, definitions)
    return {
        "$schema": DIALECT,
        "title": f"{root.__name__} of edgekit bench",
        "$ref": f"#/$defs/{root.__name__}",
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """Return the published file's text."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def attributes(kind: type[Any]) -> dict[str, str]:
    """Read the lines under ``Attributes:`` of a class's docstring.

    Args:
        kind: the class.

    Returns:
        The text of each attribute, on one line; empty where there is no such part.
    """
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "Attributes:"), len(lines))
    found: dict[str, str] = {}
    name = ""
    for line in lines[start + 1 :]:
        first = re.match(r" {4}(\w+): (.*)", line)
        if first:
            name = first[1]
            found[name] = first[2]
        elif name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return found


def _define(kind: type[Any], definitions: dict[str, Any]) -> None:
    if kind.__name__ in definitions:
        return
    # First, so that a record that holds itself ends the recursion.
    definitions[kind.__name__] = {}
    hints, texts = get_type_hints(kind), attributes(kind)
    properties = {}
    for field in fields(kind):
        if field.name not in texts:
            raise InputError(f"{kind.__name__}.{field.name}: has no line under 'Attributes:'")
        properties[field.name] = {**_schema(hints[field.name], definitions), "description": texts[field.name]}
    definitions[kind.__name__] = {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or "").split("\n\nAttributes:")[0].replace("\n", " "),
        "properties": properties,
        "required": [field.name for field in fields(kind) if field.default is MISSING],
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        _define(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(argument, definitions) for argument in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is tuple:
        items = [_schema(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    raise InputError(f"the schema cannot tell the type {kind!r}")


def main() -> None:
    """Write the schema to the file that the one argument names."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m edgekit.benchmarks.results.json_schema FILE")
    write_bytes(Path(sys.argv[1]), text().encode())


if __name__ == "__main__":
    main()
