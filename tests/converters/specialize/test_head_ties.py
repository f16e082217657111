"""Choosing a head where candidates are as good as each other, examples are few, or numbers are extreme."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.specialize import selection
from edgekit.converters.specialize.examples import Examples, log_loss, right
from edgekit.converters.specialize.heads import FAMILIES, Choice, choose
from edgekit.converters.specialize.selection import FOLDS, folds, select
from edgekit.frozen_labels import Head
from example_rows import clusters

KINDS = pytest.mark.parametrize("kind", list(FAMILIES))


class Proposed:
    """A family that proposes what it was given."""

    def __init__(self, *added: npt.NDArray[np.float64]) -> None:
        self.added = added

    def proposals(self, examples: Examples) -> Iterator[tuple[Choice, npt.NDArray[np.float64]]]:
        for number, added in enumerate(self.added, 1):
            yield Choice("ridge", float(number), 0.0, 1.0), added

    def fit(self, examples: Examples, choice: Choice) -> Head:
        return Head()


def plain(count: int = 6, labels: int = 3) -> Examples:
    return Examples(np.eye(count), np.arange(count) % labels, np.zeros((count, labels)))


def test_of_settings_that_are_the_same_the_first_is_taken() -> None:
    examples = plain()
    same = 2.0 * examples.wanted
    chosen = choose(Proposed(same, same.copy(), same.copy()), examples)
    assert chosen is not None
    assert chosen.strength == 1.0


def test_of_settings_with_as_many_right_the_surer_one_is_taken() -> None:
    examples = plain()
    chosen = choose(Proposed(0.5 * examples.wanted, 5.0 * examples.wanted, 2.0 * examples.wanted), examples)
    assert chosen is not None
    assert chosen.strength == 2.0


def test_more_right_ones_come_before_a_smaller_loss() -> None:
    examples = plain(4, 2)
    sure = 50.0 * examples.wanted
    sure[0] = [0.0, 1e-9]
    hesitant = 1e-3 * examples.wanted
    assert log_loss(sure, examples.classes) < log_loss(hesitant, examples.classes)
    chosen = choose(Proposed(sure, hesitant), examples)
    assert chosen is not None
    assert chosen.strength == 2.0


def test_without_a_proposal_there_is_no_choice() -> None:
    assert choose(Proposed(), plain()) is None


def _hits(monkeypatch: pytest.MonkeyPatch, **counts: int) -> None:
    """Let each kind be right on its first so many examples."""
    monkeypatch.setattr(selection, "cross_validated", lambda examples, kind: np.arange(len(examples)) < counts[kind])


@pytest.mark.parametrize(
    ("ridge", "cache", "wanted"),
    [(4, 4, "ridge"), (5, 4, "ridge"), (4, 5, "cache"), (2, 2, None), (1, 0, None), (2, 3, "cache"), (3, 2, "ridge")],
    ids=["tie", "ridge", "cache", "as-zero-shot", "worse", "cache-alone", "ridge-alone"],
)
def test_a_head_must_be_better_and_of_equal_ones_ridge_is_taken(
    monkeypatch: pytest.MonkeyPatch, ridge: int, cache: int, wanted: str | None
) -> None:
    # Two of six are right before: the zero logits choose the first label.
    examples = clusters(6)
    examples = Examples(examples.rows, examples.classes, np.zeros((6, 3)))
    _hits(monkeypatch, ridge=ridge, cache=cache)
    found = select(examples, "auto")
    assert (found.choice.kind if found.choice else None) == wanted
    assert [round(6 * trial.accuracy.value) for trial in found.trials] == [2, ridge, cache]


def test_a_head_that_is_asked_for_must_be_better_too(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Examples(clusters(6).rows, clusters(6).classes, np.zeros((6, 3)))
    _hits(monkeypatch, cache=2)
    assert select(examples, "cache").choice is None
    _hits(monkeypatch, cache=3)
    assert select(examples, "cache").choice is not None


def test_equal_logits_are_the_first_label() -> None:
    logits = np.array([[1.0, 1.0], [0.0, 0.0], [-np.inf, 2.0]])
    assert right(logits, np.array([0, 1, 1])).tolist() == [True, False, True]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_loss_of_any_scale_is_a_number(scale: float) -> None:
    logits = scale * np.array([[1.0, 0.0], [0.0, 1.0]])
    found = log_loss(logits, np.array([0, 1]))
    assert np.isfinite(found)
    assert 0 <= found <= np.log(2) + 1e-12


@KINDS
@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_examples_does_not_change_the_settings(kind: str, order: list[int]) -> None:
    examples = clusters(12, noise=0.2)
    one, other = choose(FAMILIES[kind], examples), choose(FAMILIES[kind], examples.take(np.array(order)))
    assert one is not None
    assert other is not None
    assert other.strength == pytest.approx(one.strength, rel=1e-6)
    assert other.sharpness == pytest.approx(one.sharpness, rel=1e-6)


@KINDS
@pytest.mark.parametrize("labels", [1, 2, 5], ids=["one-label", "two", "more-than-examples"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_examples_and_labels_are_no_error(kind: str, count: int, labels: int) -> None:
    examples = (
        clusters(count, labels)
        if labels < 5
        else Examples(clusters(count).rows, np.zeros(count, int), np.zeros((count, 5)))
    )
    with np.errstate(divide="raise", invalid="raise"):
        found = select(examples, kind)
        chosen = choose(FAMILIES[kind], examples)
    assert len(found.trials) == 2
    assert all(0 <= trial.accuracy.value <= 1 for trial in found.trials)
    if chosen is not None:
        added = FAMILIES[kind].fit(examples, chosen).added(examples.rows.astype(np.float32), labels)
        assert np.isfinite(added).all()


@KINDS
def test_copies_of_one_example_under_two_labels_give_a_tie_and_no_error(kind: str) -> None:
    rows = np.repeat(clusters(1, 2).rows, 6, axis=0)
    examples = Examples(rows, np.array([0, 1] * 3), np.zeros((6, 2)))
    found = select(examples, kind)
    assert found.accuracy("zero-shot").value == 0.5
    assert np.isfinite(found.accuracy(kind).value)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 9))
def test_folds_are_as_large_as_each_other(classes: list[int], factor: int) -> None:
    found = folds(np.array(classes))
    counts = np.bincount(found, minlength=FOLDS)
    assert counts.max() - counts.min() <= 1
    # Names of the classes mean nothing, only their order.
    assert (folds(factor * np.array(classes)) == found).all()


@pytest.mark.parametrize("taken", [[True, False, True], [2, 0]], ids=["mask", "places"])
def test_some_of_the_examples_keep_what_belongs_to_them(taken: list[int]) -> None:
    examples = clusters(3)
    some = examples.take(np.array(taken))
    places = np.flatnonzero(taken) if isinstance(taken[0], bool) else np.array(taken)
    assert len(some) == 2
    assert (some.rows == examples.rows[places]).all()
    assert (some.classes == examples.classes[places]).all()
    assert some.labels == examples.labels
