"""Records from strict documents: every problem names the file, the field, the line, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgekit import strict_fields, strict_yaml
from edgekit.errors import InputError

FARM = strict_yaml.Kind("farm", "farms", "bench", "begin with 'animals:'")


@dataclass(frozen=True)
class Animal:
    name: str
    legs: int = 4


@dataclass(frozen=True)
class Barn:
    width: float


@dataclass(frozen=True)
class Farm:
    animals: tuple[Animal, ...]
    barn: Barn | None = None


def read(folder, text, short=None):
    path = folder / "farm.yaml"
    path.write_text(text, encoding="utf-8")
    document = strict_yaml.load(path, FARM)
    return strict_fields.record(Farm, document.value, strict_fields.Places(path, document, short or {}))


def test_a_record_with_its_defaults(tmp_path):
    farm = read(tmp_path, "animals:\n  - name: hen\n    legs: 2\n  - {name: cow}\nbarn: {width: 3}\n")
    assert farm == Farm((Animal("hen", 2), Animal("cow")), Barn(3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("animal: []\n", "animal: there is no such field; did you mean 'animals'? (line 1)"),
        ("zzz: 1\n", "zzz: there is no such field; there are animals, barn (line 1)"),
        (
            "animals:\n  - name: hen\n    leg: 2\n",
            "animals[0].leg: there is no such field; did you mean 'legs'? (line 3)",
        ),
        (
            "animals: []\nbarn:\n  widht: 2\n",
            "barn.widht: there is no such field; did you mean 'width'? (line 3)",
        ),
        ("animals:\n  - legs: 2\n", "animals[0]: the field 'name' is missing (line 2)"),
        ("animals:\n  - name: 5\n", "animals[0].name: expected str, got 5 (line 2)"),
        ("animals: hen\n", "animals: expected a list, got 'hen' (line 1)"),
        ("barn: {width: 1}\n", "the field 'animals' is missing"),
        ("- a\n", "expected an object, got a list"),
    ],
)
def test_problems_are_located(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'farm.yaml'}: {message}"


def test_a_short_form_gives_its_line(tmp_path):
    path = tmp_path / "farm.yaml"
    path.write_text("# one\nanimal: hen\n", encoding="utf-8")
    document = strict_yaml.load(path, FARM)
    places = strict_fields.Places(path, document, {"animals[0]": "animal"})
    assert places.message("animals[0].name", "is odd") == f"{path}: animals[0].name: is odd (line 2)"


def test_the_kind_is_named_in_messages(tmp_path):
    path = tmp_path / "farm.yaml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is empty; begin with 'animals:'"):
        strict_yaml.load(path, FARM)
    path.write_text("a: &x 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"are not used in farms"):
        strict_yaml.load(path, FARM)
