"""A validator for the part of JSON Schema that the published schema of results uses, written from its specification."""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}
_KNOWN = frozenset(
    {
        "$ref",
        "$defs",
        "$schema",
        "title",
        "description",
        "type",
        "enum",
        "anyOf",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
    }
)


def problems(document: dict[str, Any], value: Any) -> list[str]:
    """Everything in `value` that the schema `document` does not allow, each with its path."""
    return list(_problems(document, document, value, "$"))


def _problems(root: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> Any:
    unknown = set(schema) - _KNOWN
    assert not unknown, f"{where}: this validator does not know {unknown}"
    if "$ref" in schema:
        yield from _problems(root, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, where)
    if "anyOf" in schema and all(list(_problems(root, each, value, where)) for each in schema["anyOf"]):
        yield f"{where}: {value!r} is none of {schema['anyOf']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is not one of {schema['enum']}"
    kind = schema.get("type")
    if kind is not None and not _is(kind, value):
        yield f"{where}: {value!r} is no {kind}"
        return
    if kind == "object":
        yield from _object(root, schema, value, where)
    if kind == "array":
        yield from _array(root, schema, value, where)


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _object(root: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], where: str) -> Any:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name}: is missing"
    for name, item in value.items():
        if name in known:
            yield from _problems(root, known[name], item, f"{where}.{name}")
        elif rest is False:
            yield f"{where}.{name}: is not known"
        elif isinstance(rest, dict):
            yield from _problems(root, rest, item, f"{where}.{name}")


def _array(root: dict[str, Any], schema: dict[str, Any], value: list[Any], where: str) -> Any:
    first = schema.get("prefixItems", [])
    if len(value) < schema.get("minItems", 0):
        yield f"{where}: has {len(value)} items, too few"
    for i, item in enumerate(value):
        if i < len(first):
            yield from _problems(root, first[i], item, f"{where}[{i}]")
        elif schema.get("items") is False:
            yield f"{where}[{i}]: is one too many"
        elif isinstance(schema.get("items"), dict):
            yield from _problems(root, schema["items"], item, f"{where}[{i}]")
