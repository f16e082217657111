"""Parts by content: stable, complete, and without a copy on the other side."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Entry, Listing, assemble, digest_of, select
from edgekit.evaluation.datasets import open_dataset, split
from edgekit.evaluation.records import Dataset, Item, Task


def _set(contents: list[int], task: Task = "retrieval") -> Dataset:
    """A set whose images are only their digests: nothing is read."""
    items = tuple(
        Item(f"{place}", Path("/nowhere"), sha256=hashlib.sha256(bytes([number])).hexdigest())
        for place, number in enumerate(contents)
    )
    classes = ("even", "odd", "neither") if task == "classification" else ()
    texts: list[tuple[str, ...]] = [() for _ in contents]
    if task == "classification":
        texts = [(classes[number % 2],) for number in contents]
    elif task == "retrieval":
        texts = [(f"caption {number}", f"about {number // 3}") for number in contents]
    entries = tuple(Entry(item, text) for item, text in zip(items, texts, strict=True))
    return assemble("set", Listing(task, entries, classes))


def _pairs(dataset: Dataset) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (item.name, item.sha256, tuple(dataset.texts[i] for i in target))
        for item, target in zip(dataset.items, dataset.targets, strict=True)
    ]


@pytest.mark.parametrize("task", ["classification", "retrieval", "unlabelled"])
@settings(max_examples=30, deadline=None)
@given(contents=st.lists(st.integers(0, 80), min_size=40, max_size=80), seed=st.integers(0, 50))
def test_a_split_is_a_division(task: Task, contents: list[int], seed: int) -> None:
    whole = _set([*range(40), *contents], task)
    parts = split(whole, (0.5, 0.3, 0.2), seed)
    assert sorted(pair for part in parts for pair in _pairs(part)) == sorted(_pairs(whole))
    for i, part in enumerate(parts):
        others = {item.sha256 for other in parts[:i] for item in other.items}
        assert others.isdisjoint(item.sha256 for item in part.items)
        used = {text for target in part.targets for text in target}
        if task == "classification":
            assert part.texts == whole.texts
        else:
            assert used == set(range(len(part.texts)))
        assert part.digest == digest_of(part.items, part.texts, part.targets)
        assert part.task == task


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 200), min_size=30), st.sets(st.integers(0, 200), max_size=20), st.integers(0, 50))
def test_more_images_move_no_other(first: set[int], more: set[int], seed: int) -> None:
    def homes(contents: set[int]) -> dict[str, int]:
        parts = split(_set(sorted(contents)), (0.5, 0.5), seed)
        return {item.sha256: number for number, part in enumerate(parts) for item in part.items}

    before, after = homes(first), homes(first | more)
    assert before == {sha256: after[sha256] for sha256 in before}


def test_the_shares_are_about_those_asked_for_and_the_seed_matters() -> None:
    whole = _set([i % 250 for i in range(250)])
    sizes = [len(part.items) for part in split(whole, (0.8, 0.2), 0)]
    assert 170 < sizes[0] < 230
    assert split(whole, (0.8, 0.2), 0)[0].digest == split(whole, (0.8, 0.2), 0)[0].digest
    assert split(whole, (0.8, 0.2), 0)[0].digest != split(whole, (0.8, 0.2), 1)[0].digest
    assert split(whole, (1.0,), 0)[0].digest == whole.digest


@pytest.mark.parametrize("parts", [(), (0.5,), (0.5, 0.6), (1.2, -0.2), (1.0, 0.0), (float("nan"), 1.0)])
def test_shares_that_are_none(parts: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="add up to 1"):
        split(_set([1, 2, 3]), parts, 0)


def test_a_part_without_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"part [12] of \[0.5, 0.5\] gets none of the 3 images"):
        split(_set([1, 1, 1]), (0.5, 0.5), 2)


def test_items_that_were_not_hashed_are(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    whole = open_dataset(tmp_path)
    bare = Dataset("bare", "", whole.task, tuple(Item(i.name, i.path) for i in whole.items), whole.texts, whole.targets)
    assert [part.digest for part in split(bare, (0.5, 0.5), 0)] == [p.digest for p in split(whole, (0.5, 0.5), 0)]


def test_the_digest_is_as_documented(tmp_path: Path) -> None:
    for name, text in (("a", "caf\u00e9\none"), ("b", "one")):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    found = open_dataset(tmp_path)
    lines = [f"image {hashlib.sha256(name.encode()).hexdigest()}" for name in "ab"]
    lines += [f"text {json.dumps(text)}" for text in ("caf\u00e9", "one")]
    lines += ["target 0 1", "target 1"]
    assert found.digest == hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()


def test_a_limit_is_a_stable_sample(tmp_path: Path) -> None:
    for label in "abcde":
        (tmp_path / label).mkdir()
        for number in range(20):
            (tmp_path / label / f"{number}.png").write_bytes(f"{label}{number}".encode())
    some, more = open_dataset(tmp_path, limit=20), open_dataset(tmp_path, limit=50)
    assert len(some.items) == 20
    assert some.texts == tuple("abcde")
    assert {target[0] for target in some.targets} == set(range(5))
    assert {item.name for item in some.items} < {item.name for item in more.items}
    assert [item.name for item in some.items] == sorted(item.name for item in some.items)
    assert open_dataset(tmp_path, limit=1000).digest == open_dataset(tmp_path).digest


def test_selecting_keeps_captions_that_are_needed_and_all_classes() -> None:
    part = select(_set([0, 1, 5]), [1, 2], "part")
    assert part.texts == ("about 0", "caption 1", "caption 5", "about 1")
    assert [[part.texts[i] for i in target] for target in part.targets] == [
        ["caption 1", "about 0"],
        ["caption 5", "about 1"],
    ]
    assert select(_set([0, 2, 4], "classification"), [0], "part").texts == ("even", "odd", "neither")
