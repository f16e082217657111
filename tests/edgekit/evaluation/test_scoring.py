"""A set's figures against their definitions written out, and what is left out because it says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.evaluation.metrics import mcnemar, places
from edgekit.evaluation.records import Dataset, Item, Task
from edgekit.evaluation.scoring import score

Rows = npt.NDArray[np.float32]


def _rows(n: int, seed: int, d: int = 6) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _set(task: Task, targets: list[tuple[int, ...]], texts: int) -> Dataset:
    items = tuple(Item(f"{number}.png", Path(f"{number}.png"), sha256="0" * 64) for number in range(len(targets)))
    return Dataset("set", "0" * 64, task, items, tuple(f"text {n}" for n in range(texts)), tuple(targets))


def _right_at(query: Rows, gallery: Rows, right: tuple[int, ...], k: int) -> bool:
    """The definition, one query at a time, with Python's own stable sort."""
    products = [round(float(np.dot(query.astype(np.float64), row.astype(np.float64))), 12) for row in gallery]
    order = sorted(range(len(gallery)), key=lambda place: -products[place])
    return bool(set(order[:k]) & set(right))


def _figures(dataset: Dataset, images: Rows, texts: Rows) -> dict[str, float]:
    return {metric.name: metric.found.value for metric in score(dataset, images, texts, None).metrics}


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(2, 14), st.integers(0, 99))
def test_retrieval_is_its_definition(data: st.DataObject, images: int, texts: int, seed: int) -> None:
    choice = st.lists(st.integers(0, texts - 1), min_size=1, max_size=3, unique=True).map(tuple)
    targets = data.draw(st.lists(choice, min_size=images, max_size=images))
    rows, captions = _rows(images, seed), _rows(texts, seed + 1)
    found = _figures(_set("retrieval", targets, texts), rows, captions)
    wanted = {}
    back = [tuple(i for i, target in enumerate(targets) if text in target) for text in range(texts)]
    for k in (1, 5, 10):
        if k == 1 or k < texts:
            hits = [_right_at(rows[i], captions, targets[i], k) for i in range(images)]
            wanted[f"image_to_text_recall@{k}"] = np.mean(hits)
        if k == 1 or k < images:
            hits = [_right_at(captions[i], rows, back[i], k) for i in range(texts)]
            wanted[f"text_to_image_recall@{k}"] = np.mean(hits)
    assert found == pytest.approx(wanted)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(0, 99))
def test_classification_is_its_definition(classes: list[int], seed: int) -> None:
    images, labels = _rows(len(classes), seed), _rows(7, seed + 1)
    found = _figures(_set("classification", [(c,) for c in classes], 7), images, labels)
    right = {k: [_right_at(images[i], labels, (c,), k) for i, c in enumerate(classes)] for k in (1, 5)}
    by_class = [np.mean([hit for hit, c in zip(right[1], classes, strict=True) if c == of]) for of in set(classes)]
    assert found == pytest.approx(
        {"top1": np.mean(right[1]), "top5": np.mean(right[5]), "mean_per_class": np.mean(by_class)}
    )


@pytest.mark.parametrize(
    ("texts", "depths"), [(1, [1]), (4, [1]), (5, [1]), (6, [1, 5]), (10, [1, 5]), (11, [1, 5, 10])]
)
def test_a_depth_that_takes_in_everything_is_left_out(texts: int, depths: list[int]) -> None:
    dataset = _set("retrieval", [(n,) for n in range(texts)], texts)
    names = list(_figures(dataset, _rows(texts, 0), _rows(texts, 1)))
    assert names == [f"{way}_recall@{k}" for way in ("image_to_text", "text_to_image") for k in depths]


def test_of_equal_texts_the_first_wins() -> None:
    images = _rows(1, 0)
    twice = np.concatenate([images, images])
    assert _figures(_set("retrieval", [(1,)], 2), images, twice)["image_to_text_recall@1"] == 0
    assert _figures(_set("retrieval", [(0,)], 2), images, twice)["image_to_text_recall@1"] == 1
    assert places(images, twice, [(1,)], 2).tolist() == [1]


def test_a_set_without_labels_has_no_figures() -> None:
    scored = score(_set("unlabelled", [(), ()], 0), _rows(2, 0), _rows(3, 1), None)
    assert (scored.metrics, dict(scored.right)) == ((), {})


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_only_first_places_are_tested_against_the_reference(task: Task) -> None:
    dataset = _set(task, [(n % 7,) for n in range(30)], 7)
    first = score(dataset, _rows(30, 0), _rows(7, 1), None)
    second = score(dataset, _rows(30, 2), _rows(7, 3), first)
    assert all(metric.against is None for metric in first.metrics)
    tested = {metric.name: metric.against for metric in second.metrics if metric.against is not None}
    assert set(tested) == set(first.right)
    assert set(tested) == (
        {"top1"} if task == "classification" else {"image_to_text_recall@1", "text_to_image_recall@1"}
    )
    for name, test in tested.items():
        assert test == mcnemar(first.right[name], second.right[name])


def test_a_candidate_equal_to_the_reference_lost_and_won_nothing() -> None:
    dataset = _set("classification", [(n % 3,) for n in range(9)], 3)
    first = score(dataset, _rows(9, 0), _rows(3, 1), None)
    again = score(dataset, _rows(9, 0), _rows(3, 1), first)
    (test,) = [metric.against for metric in again.metrics if metric.against]
    assert (test.only_first, test.only_second, test.exact_p, test.mid_p) == (0, 0, 1.0, 1.0)
    assert [metric.found for metric in again.metrics] == [metric.found for metric in first.metrics]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 15), st.integers(2, 9), st.integers(0, 50))
def test_the_scale_of_the_rows_does_not_matter(images: int, texts: int, seed: int) -> None:
    dataset = _set("retrieval", [(n % texts,) for n in range(images)], texts)
    rows, captions = _rows(images, seed), _rows(texts, seed + 1)
    assert _figures(dataset, rows, captions) == _figures(dataset, rows * 4, captions * 2)
