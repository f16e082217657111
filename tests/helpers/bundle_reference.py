"""The manifest's part of docs/reference/bundle.md, made from the records themselves.

``python tests/helpers/bundle_reference.py`` writes it anew; a test compares.
"""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgekit.bundle.manifest import Manifest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bundle.md"
BEGIN, END = "<!-- fields: begin, made by tests/helpers/bundle_reference.py -->", "<!-- fields: end -->"
_JSON = {int: "integer", float: "number", str: "string", bool: "boolean"}


def records() -> list[type[Any]]:
    """Every record of the manifest, in the order in which a reader of the page meets them."""
    found: list[type[Any]] = [Manifest]
    for record in found:  # grows while it is walked
        for hint in get_type_hints(record).values():
            found += [
                part for part in _parts(hint) if isinstance(part, type) and is_dataclass(part) and part not in found
            ]
    return found


def meanings(record: type[Any]) -> dict[str, str]:
    """The ``Attributes`` section of a record's docstring, one line per field."""
    _, _, section = (inspect.getdoc(record) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for line in section.splitlines():
        if entry := re.match(r" {4}(\w+): (.*)", line):
            found[entry[1]] = entry[2]
        elif line.strip():
            found[list(found)[-1]] += " " + line.strip()
    return found


def table(record: type[Any]) -> str:
    """One record as a Markdown section."""
    summary = (inspect.getdoc(record) or "").partition("\n\nAttributes:")[0].replace("\n", " ")
    hints, texts = get_type_hints(record), meanings(record)
    lines = [f"### {record.__name__}", "", summary, "", "| field | JSON type | meaning |", "|---|---|---|"]
    for field in fields(record):
        meaning = texts[field.name].replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{field.name}` | {json_type(hints[field.name])} | {meaning} |")
    return "\n".join(lines) + "\n"


def json_type(hint: Any) -> str:
    """How a field's type looks in JSON."""
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        name = getattr(hint, "__name__", "")
        return f"[{name}](#{name.lower()})"
    if origin is Literal:
        return "one of " + ", ".join(f'`"{value}"`' for value in args)
    if origin is tuple and args[1] is Ellipsis:
        return f"list of {json_type(args[0])}"
    if origin is tuple:
        return f"list of {len(args)} × {json_type(args[0])}"
    if origin is dict:
        return f"object of {json_type(args[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join("null" if arg is type(None) else json_type(arg) for arg in args)
    return _JSON[hint]


def section() -> str:
    """Everything between the two marks."""
    return "\n".join(table(record) for record in records())


def _parts(hint: Any) -> list[Any]:
    return [hint, *(part for arg in get_args(hint) for part in _parts(arg))]


def main() -> None:
    """Write the section into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{section()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
