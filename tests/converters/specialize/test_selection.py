"""Cross-validation: folds that share out every class, honest figures, and zero-shot kept unless it is beaten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.label_records import HeadKind
from edgekit.converters.specialize import selection
from edgekit.converters.specialize.examples import Examples
from edgekit.converters.specialize.heads import FAMILIES, choose
from edgekit.converters.specialize.selection import FOLDS, cross_validated, folds, select
from edgekit.errors import InputError
from example_rows import clusters


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_every_fold_has_its_share_of_every_class(given_classes: list[int]) -> None:
    classes = np.array(given_classes, np.int64)
    found = folds(classes)
    assert (found == folds(classes)).all()
    assert set(found.tolist()) <= set(range(FOLDS))
    for number in set(given_classes):
        counts = np.bincount(found[classes == number], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


def test_the_best_head_is_taken() -> None:
    found = select(clusters(60), "auto")
    assert [trial.kind for trial in found.trials] == ["zero-shot", "ridge", "cache"]
    assert found.choice is not None
    taken = found.accuracy(found.choice.kind)
    assert taken.value == max(trial.accuracy.value for trial in found.trials)
    assert taken.n == 60
    assert found.trials[0].against is None
    assert found.trials[1].against is not None


@pytest.mark.parametrize("kind", ["ridge", "cache"])
def test_only_the_head_asked_for_is_tried(kind: HeadKind) -> None:
    examples = clusters(45)
    found = select(examples, kind)
    assert [trial.kind for trial in found.trials] == ["zero-shot", kind]
    assert found.choice == choose(FAMILIES[kind], examples)


def test_none_measures_and_tunes_nothing() -> None:
    found = select(clusters(30), "none")
    assert found.choice is None
    assert [trial.kind for trial in found.trials] == ["zero-shot"]


def test_labels_that_are_right_are_left_alone() -> None:
    examples = clusters(30)
    known = Examples(examples.rows, examples.classes, 50.0 * examples.wanted)
    found = select(known, "auto")
    assert found.choice is None
    assert found.accuracy("zero-shot").value == 1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_taken_is_right_more_often_than_zero_shot(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(20, 4))
    noise = Examples(
        rows / np.linalg.norm(rows, axis=1, keepdims=True), random.integers(0, 3, 20), random.normal(size=(20, 3))
    )
    found = select(noise, "auto")
    if found.choice is not None:
        assert found.accuracy(found.choice.kind).value > found.accuracy("zero-shot").value
    else:
        assert all(trial.accuracy.value <= found.accuracy("zero-shot").value for trial in found.trials)


def test_noise_is_not_flattered() -> None:
    """Classes at random: a figure of the examples that a head was fitted to would be far above chance."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(200, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    noise = Examples(rows, random.integers(0, 4, 200), random.normal(size=(200, 4)))
    for kind in FAMILIES:
        assert 0.15 < cross_validated(noise, kind).mean() < 0.36


def test_one_example_of_a_label_cannot_show_a_gain() -> None:
    examples = clusters(3)
    assert select(examples, "auto").accuracy("ridge").n == 3


def test_a_single_example_is_no_error() -> None:
    assert select(clusters(1, labels=2), "auto").trials[0].accuracy.n == 1


def test_a_cache_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_CACHED", 20)
    with pytest.raises(InputError, match=r"30 examples are too many for a cache.*at most 20.*--head ridge"):
        select(clusters(30), "cache")
    assert [trial.kind for trial in select(clusters(30), "auto").trials] == ["zero-shot", "ridge"]
