"""Strict YAML: what is plain is read, and what readers of YAML take differently is refused with what to write."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import strict_yaml
from edgekit.errors import InputError

RECIPE = strict_yaml.Kind("recipe", "recipes", "distill", "'edgekit distill --example' prints a recipe that runs")


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return strict_yaml.load(path, RECIPE)

    return read


def test_plain_values_are_read_with_their_lines(load):
    found = load("a: 1\nb:\n  - x\n  - y: 2.5\nc: {d: true, e: null, f: 'yes'}\n")
    assert found.value == {"a": 1, "b": ["x", {"y": 2.5}], "c": {"d": True, "e": None, "f": "yes"}}
    assert (found.lines["a"], found.lines["b[1].y"], found.lines["c.f"]) == (1, 4, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("2.", 2.0),
        (".5", 0.5),
        ("-0.25", -0.25),
        ("+3", 3),
        ("0", 0),
        ("false", False),
        ("~", None),
        ("./a b", "./a b"),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("e5", "e5"),
        ("vit-tiny", "vit-tiny"),
        ("timm:resnet18", "timm:resnet18"),
        ("2024-01-31", "2024-01-31"),
        ('"012"', "012"),
        ('""', ""),
        (".nan", ".nan"),
    ],
)
def test_scalars_follow_yaml_1_2(load, text, value):
    found = load(f"x: {text}").value["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["no", "On", "yes", "OFF", "y", "012", "1_000", "1:30", "0x1f", "0o7", "-0_1"])
def test_what_readers_disagree_about_is_refused(load, text):
    with pytest.raises(InputError, match=r"recipe.yaml: a.b: readers of YAML disagree about .* \(line 2\)"):
        load(f"a:\n  b: {text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"a: is given twice, in lines 1 and 3"),
        ("x:\n  a: 1\n  a: 2\n", r"x\.a: is given twice, in lines 2 and 3"),
        ("a: &n 1\nb: *n\n", "line 1: anchors and aliases"),
        ("a: !!python/object:os.system x\n", "line 1: tags"),
        ("a: !mine 1\n", "line 1: tags"),
        ("<<: {a: 1}\nb: *x\n", "anchors and aliases|alias"),
        ("? [a, b]\n: 1\n", "line 1: a field's name must be a text"),
        ("a:\n", r"a: has no value; .* \(line 1\)"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a: 1\n b: 2\n", r"not valid YAML: .*line 2"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x01\n", "not valid YAML"),
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        (b"a: \xff\xfe\n", "is not UTF-8 text"),
        ("a: 1e999\n", "too large a number"),
        ("a: 12345678901234567890\n", "too large a number"),
        ("[" * 5000, "nested too deeply|not valid"),
        ("a: " + "x" * (1 << 20), "larger than a recipe"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else "bytes",
)
def test_everything_else_is_refused(load, text, message):
    with pytest.raises(InputError, match=message):
        load(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: cannot be read: No such file"):
        strict_yaml.load(tmp_path / "none.yaml", RECIPE)


def test_a_byte_order_mark_is_no_part_of_the_first_name(load):
    assert load(b"\xef\xbb\xbfa: 1").value == {"a": 1}


_NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6),
    st.text(max_size=12).filter(lambda t: t.isprintable()),
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8
)


@settings(max_examples=80, deadline=None)
@given(value=st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=4))
def test_json_is_read_as_json(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "recipe.yaml"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert strict_yaml.load(path, RECIPE).value == value


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from("ab:-[]{}'\"#&*!|>%\n 01.e_yno~<"), max_size=40))
def test_any_text_gives_plain_values_or_one_clear_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        value = strict_yaml.load(path, RECIPE).value
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
        return
    assert _is_plain(value)


def _is_plain(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int) or math.isfinite(value)
