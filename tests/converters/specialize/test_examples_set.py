"""A set of examples in terms of the labels: matched by name, each content once, none missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.converters.specialize.examples_set import open_examples
from edgekit.errors import InputError
from small_sets import picture, write_csv

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("cat", "dog", "café")


def make(folder: Path, rows: list[tuple[str, int, str]]) -> str:
    """A CSV of (file, number of its picture, label)."""
    folder.mkdir(exist_ok=True)
    for name, number, _ in rows:
        (folder / name).write_bytes(picture(number))
    return str(write_csv(folder / "set.csv", [["path", "label"], *([name, label] for name, _, label in rows)]))


def test_classes_are_numbers_of_labels(tmp_path: Path) -> None:
    path = make(tmp_path, [("0.png", 0, "dog"), ("1.png", 1, "cat"), ("2.png", 2, "café"), ("3.png", 3, "dog")])
    found = open_examples(path, LABELS)
    assert found.classes == (1, 0, 2, 1)
    assert [item.name for item in found.items] == ["0.png", "1.png", "2.png", "3.png"]
    assert found.name == "set.csv"
    assert len(found.digest) == 64
    (note,) = found.notes
    assert note.startswith("the scarcest label has 1 example: cross-validation")


def test_names_that_look_alike_are_the_same(tmp_path: Path) -> None:
    path = make(tmp_path, [("0.png", 0, "dog"), ("1.png", 1, "cat"), ("2.png", 2, "cafe\u0301")])
    assert open_examples(path, LABELS).classes == (1, 0, 2)


def test_copies_count_once(tmp_path: Path) -> None:
    rows = [(f"{number}.png", number, LABELS[number % 3]) for number in range(12)]
    found = open_examples(make(tmp_path, [*rows, ("copy.png", 0, "cat")]), LABELS)
    assert len(found.items) == len(found.classes) == 12
    assert found.notes == ("1 examples are copies of others, and count once",)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("0.png", 0, "cow"), ("1.png", 1, "hen")], "its classes 'cow', 'hen' are not among the labels"),
        ([("0.png", 0, "cat")], "has no example of 'dog', 'café'"),
        (
            [("0.png", 0, "cat"), ("1.png", 0, "dog"), ("2.png", 2, "café")],
            r"1.png is labelled 'dog', and the same image as 0.png is labelled 'cat'",
        ),
        ([(f"{number}.png", number, f"x{number}") for number in range(7)], "'x4' and 2 more are not among"),
    ],
    ids=["unknown", "missing", "two labels", "many"],
)
def test_what_does_not_fit_is_told(tmp_path: Path, rows: list[tuple[str, int, str]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_examples(make(tmp_path, rows), LABELS)


def test_captions_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(picture(0))
    (tmp_path / "0.txt").write_text("a cat")
    with pytest.raises(InputError, match="holds data for retrieval, not for classification"):
        open_examples(str(tmp_path), LABELS)
