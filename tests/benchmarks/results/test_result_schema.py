"""The published schema: current, true to the records, and strict."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pytest

import bench_results
import json_check
from edgekit.benchmarks.results import json_schema
from edgekit.benchmarks.results.records import Result
from edgekit.bundle.schema import to_plain
from edgekit.errors import InputError

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "result.schema.json"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return json.loads(json.dumps(to_plain(bench_results.result(roofline=True))))


def test_the_published_file_is_current() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == json_schema.text(), (
        "run: python -m edgekit.benchmarks.results.json_schema docs/reference/result.schema.json"
    )


def test_it_is_written_by_the_command_that_the_docs_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgekit.benchmarks.results.json_schema", str(tmp_path / "schema.json")]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == json_schema.text()
    assert subprocess.run(command[:-1], capture_output=True, cwd=tmp_path).returncode != 0


def test_every_record_and_every_field_is_described(published: dict[str, Any]) -> None:
    assert len(published["$defs"]) > 20
    for name, definition in published["$defs"].items():
        assert definition["description"], name
        assert all(found["description"] for found in definition["properties"].values()), name


@pytest.mark.parametrize("device", sorted(bench_results.DEVICES))
@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_results_validate(published: dict[str, Any], device: str, scenario: Any) -> None:
    found = bench_results.result(device, scenario=scenario, seconds=20.0, reasons=("too short",))
    assert json_check.problems(published, json.loads(json.dumps(to_plain(found)))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("p50",), "fast"),
        (("verdict",), "PERHAPS"),
        (("latency", "n"), 1.5),
        (("plan", "batch"), None),
        (("subject", "placement", "image"), {"cpu": "all"}),
        (("series",), [{"name": "x"}]),
        (("latency", "histogram"), [[1.0]]),
        (("latency", "histogram"), [[1.0, 2, 3]]),
        (("energy", "joules"), "much"),
        (("plan", "sustained"), 1),
        (("schema_version",), True),
    ],
)
def test_a_wrong_value_is_refused(
    published: dict[str, Any], plain: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    broken = copy.deepcopy(plain)
    place = broken
    for name in path[:-1]:
        place = place[name]
    assert path[-1] in place
    place[path[-1]] = value
    assert json_check.problems(published, plain) == []
    assert json_check.problems(published, broken)


def test_an_unknown_field_and_a_missing_one_are_refused(published: dict[str, Any], plain: dict[str, Any]) -> None:
    assert json_check.problems(published, {**plain, "colour": "red"}) == ["$.colour: is not known"]
    assert json_check.problems(published, {k: v for k, v in plain.items() if k != "p99"}) == ["$.p99: is missing"]


def test_the_keys_that_the_issue_names_are_on_top() -> None:
    names = {field.name for field in fields(Result)}
    assert {"p50", "p90", "p99", "energy", "memory", "verdict", "reasons"} <= names


def test_fields_that_came_later_are_not_required(published: dict[str, Any]) -> None:
    result = published["$defs"]["Result"]
    assert "profiles" in result["properties"]
    assert "profiles" not in result["required"]


@dataclass(frozen=True)
class _Item:
    """An item.

    Attributes:
        size: in bytes,
            more or less.
    """

    size: int


@dataclass(frozen=True)
class _Whole:
    """A whole.

    Attributes:
        items: of it.
        names: by number.
        kind: what it is.
        other: or nothing.
    """

    items: tuple[_Item, ...]
    names: dict[str, tuple[str, int]]
    kind: Literal["a", "b"]
    other: _Item | None = None


def test_a_small_record_by_hand() -> None:
    assert json_schema.document(_Whole) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "_Whole of edgekit bench",
        "$ref": "#/$defs/_Whole",
        "$defs": {
            "_Item": {
                "type": "object",
                "description": "An item.",
                "properties": {"size": {"type": "integer", "description": "in bytes, more or less."}},
                "required": ["size"],
                "additionalProperties": False,
            },
            "_Whole": {
                "type": "object",
                "description": "A whole.",
                "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/$defs/_Item"}, "description": "of it."},
                    "names": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "array",
                            "prefixItems": [{"type": "string"}, {"type": "integer"}],
                            "items": False,
                            "minItems": 2,
                        },
                        "description": "by number.",
                    },
                    "kind": {"enum": ["a", "b"], "description": "what it is."},
                    "other": {
                        "anyOf": [{"$ref": "#/$defs/_Item"}, {"type": "null"}],
                        "description": "or nothing.",
                    },
                },
                "required": ["items", "names", "kind"],
                "additionalProperties": False,
            },
        },
    }


@dataclass(frozen=True)
class _Undescribed:
    """It lacks a line.

    Attributes:
        one: is there.
    """

    one: int
    two: int


@dataclass(frozen=True)
class _Strange:
    """It has a type that no schema tells.

    Attributes:
        one: strange.
    """

    one: complex


@pytest.mark.parametrize(("kind", "said"), [(_Undescribed, "two"), (_Strange, "complex")])
def test_a_record_that_cannot_be_told_is_an_error(kind: type[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        json_schema.document(kind)


def test_attributes_end_where_the_docstring_goes_on() -> None:
    class Some:
        """Some.

        Attributes:
            one: first.

        More text: not an attribute.
        """

    assert json_schema.attributes(Some) == {"one": "first."}
    assert json_schema.attributes(int) == {}
