"""Strict JSON: what is not exactly the records' fields and types is refused, and the message says where."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle import schema
from edgekit.errors import BundleError


@dataclass(frozen=True)
class Inner:
    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Outer:
    count: int
    factor: float
    flag: bool
    kind: Literal["a", "b"]
    pair: tuple[int, float]
    inner: tuple[Inner, ...]
    notes: dict[str, str]


RIGHT: dict[str, Any] = {
    "count": 3,
    "factor": 0.5,
    "flag": True,
    "kind": "a",
    "pair": [1, 2.5],
    "inner": [{"name": "x", "shape": [1, "batch"]}],
    "notes": {"k": "v"},
}
RECORD = Outer(3, 0.5, True, "a", (1, 2.5), (Inner("x", (1, "batch")),), {"k": "v"})


def _with(**changes: Any) -> str:
    return json.dumps({**RIGHT, **changes})


def test_a_record_comes_back_as_it_was() -> None:
    assert schema.loads(Outer, json.dumps(RIGHT), "x") == RECORD
    assert schema.loads(Outer, schema.dumps(RECORD), "x") == RECORD
    assert schema.loads(Outer, schema.dumps(RECORD).encode(), "x") == RECORD


def test_text_is_indented_utf8_with_a_final_newline() -> None:
    text = schema.dumps(Inner("貓", ()))
    assert text == '{\n  "name": "貓",\n  "shape": []\n}\n'


def test_a_whole_number_is_also_a_float() -> None:
    found = schema.loads(Outer, _with(factor=2), "x").factor
    assert (found, type(found)) == (2.0, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 3.0}, "x.count: expected int, got 3.0"),
        ({"count": True}, "x.count: expected int, got True"),
        ({"count": "3"}, "x.count: expected int, got '3'"),
        ({"count": None}, "x.count: expected int, got None"),
        ({"factor": "0.5"}, "x.factor: expected float, got '0.5'"),
        ({"factor": False}, "x.factor: expected float, got False"),
        ({"flag": 1}, "x.flag: expected bool, got 1"),
        ({"kind": "c"}, "x.kind: expected one of 'a', 'b', got 'c'"),
        ({"kind": ["a"]}, "x.kind: expected one of 'a', 'b', got a list"),
        ({"pair": [1]}, "x.pair: expected 2 items, got 1"),
        ({"pair": [1, 2, 3]}, "x.pair: expected 2 items, got 3"),
        ({"pair": {"0": 1}}, "x.pair: expected a list, got an object"),
        ({"pair": [1.5, 1]}, r"x.pair\[0\]: expected int, got 1.5"),
        ({"inner": "abc"}, "x.inner: expected a list, got 'abc'"),
        ({"inner": [[]]}, r"x.inner\[0\]: expected an object, got a list"),
        ({"inner": [{"name": "x"}]}, r"x.inner\[0\]: the field 'shape' is missing"),
        ({"inner": [{"name": 1, "shape": []}]}, r"x.inner\[0\].name: expected str, got 1"),
        ({"inner": [{"name": "", "shape": [True]}]}, r"x.inner\[0\].shape\[0\]: expected int or str, got True"),
        ({"inner": [{"name": "", "shape": [1.0]}]}, r"x.inner\[0\].shape\[0\]: expected int or str, got 1.0"),
        ({"notes": []}, "x.notes: expected an object, got a list"),
        ({"notes": {"k": 1}}, "x.notes.k: expected str, got 1"),
        ({"count": "z" * 1000}, r"x.count: expected int, got 'z{50,60}\.\.\.$"),
        ({"new": 1}, "x: unknown field 'new'; a newer edgekit may have written this bundle"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        schema.loads(Outer, _with(**changes), "x")


@pytest.mark.parametrize("name", RIGHT)
def test_every_field_is_required(name: str) -> None:
    with pytest.raises(BundleError, match=f"x: the field '{name}' is missing"):
        schema.loads(Outer, json.dumps({key: value for key, value in RIGHT.items() if key != name}), "x")


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_a_document_that_is_no_object(text: str) -> None:
    with pytest.raises(BundleError, match="x: expected an object"):
        schema.loads(Outer, text, "x")


@pytest.mark.parametrize(
    "text", ["", " ", "{", '{"a":1,}', "{'a': 1}", "// c\n{}", "{} {}", '{"a": 01}', "\ufeff{}", '{"a": "\n"}']
)
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(BundleError, match="x: not valid JSON"):
        schema.loads(Outer, text, "x")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know(number: str) -> None:
    with pytest.raises(BundleError, match=f"x: not valid JSON: {number} is not a number"):
        schema.loads(Outer, _with(factor=0.125).replace("0.125", number), "x")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400])
def test_numbers_too_large_for_a_float(number: str) -> None:
    with pytest.raises(BundleError, match=r"x\.factor: -?inf is not a finite number"):
        schema.loads(Outer, _with(factor=0.125).replace("0.125", number), "x")


def test_a_number_of_many_digits() -> None:
    """Python refuses to convert more than 4,300 digits, as a ValueError."""
    with pytest.raises(BundleError):
        schema.loads(Outer, _with(count="?").replace('"?"', "9" * 10_000), "x")


def test_a_field_given_twice() -> None:
    with pytest.raises(BundleError, match="the field 'count' is given twice"):
        schema.loads(Outer, _with()[:-1] + ', "count": 4}', "x")
    with pytest.raises(BundleError, match="the field 'k' is given twice"):
        schema.loads(Outer, _with().replace('"k"', '"k": "1", "k"'), "x")


def test_a_hundred_thousand_fields_and_one_of_them_twice() -> None:
    """Found in one pass; a search per field would take minutes."""
    names = ", ".join(f'"{i}": 0' for i in (*range(100_000), 99_999))
    with pytest.raises(BundleError, match="the field '99999' is given twice"):
        schema.parse(f"{{{names}}}", "x")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_only_utf8_is_read(encoding: str) -> None:
    with pytest.raises(BundleError, match="not valid JSON"):
        schema.loads(Inner, '{"name": "é", "shape": []}'.encode(encoding), "x")


@pytest.mark.parametrize("escape", ["\\ud800", "a\\udc00b", "\\udc00\\ud800"])
def test_half_of_a_surrogate_pair(escape: str) -> None:
    """Python keeps it in a string that can then neither be printed nor written."""
    for text in (f'{{"name": "{escape}", "shape": []}}', f'{{"name": "", "shape": ["{escape}"]}}'):
        with pytest.raises(BundleError, match="holds half of a surrogate pair") as caught:
            schema.loads(Inner, text, "x")
        str(caught.value).encode()
    with pytest.raises(BundleError, match="holds half of a surrogate pair") as caught:
        schema.loads(Outer, _with().replace('"k"', f'"{escape}"'), "x")
    str(caught.value).encode()


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert schema.loads(Inner, '{"name": "\\ud83d\\ude00", "shape": []}', "x").name == "😀"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_of_any_depth(opening: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    for depth in (*range(850, 1010, 3), 100_000):
        inside = opening * depth + "1" + closing * depth
        with pytest.raises(BundleError):
            schema.loads(Outer, _with(count="?").replace('"?"', inside), "x")


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), b"bytes"])
def test_what_cannot_be_written(value: Any) -> None:
    with pytest.raises(BundleError, match="Outer cannot be written as JSON"):
        schema.dumps(Outer(3, value, True, "a", (1, 2.5), (), {}))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a", "x", "k"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*RIGHT, "name", "shape"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*RIGHT, "other"]), TREES, max_size=4))
def test_any_value_anywhere_is_accepted_or_refused_with_a_reason(changes: dict[str, Any]) -> None:
    try:
        found = schema.loads(Outer, _with(**changes), "x")
    except BundleError as error:
        assert str(error).startswith("x")
    else:
        assert schema.loads(Outer, schema.dumps(found), "x") == found


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_document_is_accepted_or_refused_with_a_reason(document: bytes | str) -> None:
    with pytest.raises(BundleError):
        schema.loads(Outer, document, "x")
