"""Heads: what they predict without an example is what a head fitted without it predicts."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.label_records import HeadKind
from edgekit.converters.specialize import heads
from edgekit.converters.specialize.examples import Examples, log_loss, right
from edgekit.converters.specialize.heads import FAMILIES, choose
from example_rows import clusters

KINDS = pytest.mark.parametrize("kind", list(FAMILIES))


@KINDS
@settings(max_examples=10, deadline=None)
@given(st.integers(3, 9), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_left_out_is_fitted_without(kind: HeadKind, count: int, labels: int, seed: int) -> None:
    examples, family = clusters(count, labels, seed=seed), FAMILIES[kind]
    for choice, added in islice(family.proposals(examples), 0, None, 11):
        for place in range(count):
            rest = np.arange(count) != place
            head = family.fit(examples.take(rest), choice)
            found = head.added(examples.rows[place : place + 1].astype(np.float32), labels)[0]
            np.testing.assert_allclose(added[place], found, rtol=1e-3, atol=1e-3)


@KINDS
def test_a_head_learns_what_the_labels_do_not_know(kind: HeadKind) -> None:
    everything = clusters(120)
    examples, unseen = everything.take(np.arange(60)), everything.take(np.arange(60, 120))
    family = FAMILIES[kind]
    choice = choose(family, examples)
    assert choice is not None
    assert choice.kind == kind
    assert choice.strength > 0
    assert (choice.sharpness > 0) == (kind == "cache")
    assert (choice.penalty > 0) == (kind == "ridge")
    added = family.fit(examples, choice).added(unseen.rows.astype(np.float32), 3)
    before, after = right(unseen.logits, unseen.classes), right(unseen.logits + added, unseen.classes)
    assert before.mean() < 0.5
    assert after.mean() > 0.9


@KINDS
def test_the_choice_is_the_best_of_what_was_proposed(kind: HeadKind) -> None:
    examples, family = clusters(24, noise=1.0), FAMILIES[kind]
    ranks = {
        choice: (
            right(examples.logits + added, examples.classes).sum(),
            -log_loss(examples.logits + added, examples.classes),
        )
        for choice, added in family.proposals(examples)
    }
    chosen = choose(family, examples)
    assert chosen is not None
    assert ranks[chosen] == max(ranks.values())


@KINDS
def test_equal_examples_break_nothing(kind: HeadKind) -> None:
    row = np.array([[1.0, 0.0]])
    examples = Examples(np.repeat(row, 4, axis=0), np.array([0, 1, 0, 1]), np.zeros((4, 2)))
    for _, added in FAMILIES[kind].proposals(examples):
        assert np.isfinite(added).all()
    choice = choose(FAMILIES[kind], examples)
    assert choice is not None
    assert np.isfinite([choice.strength, choice.sharpness, choice.penalty]).all()


def test_a_cache_of_one_has_nobody_to_ask() -> None:
    assert choose(FAMILIES["cache"], clusters(1)) is None


def test_votes_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = clusters(20)
    whole = [added for _, added in FAMILIES["cache"].proposals(examples)]
    monkeypatch.setattr(heads, "_ROWS_AT_ONCE", 7)
    for one, other in zip(whole, (added for _, added in FAMILIES["cache"].proposals(examples)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1), st.floats(0.1, 500))
def test_log_loss_is_the_softmax(count: int, labels: int, seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    logits, classes = scale * random.normal(size=(count, labels)), random.integers(0, labels, count)
    with np.errstate(divide="ignore"):
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        wanted = -np.log(shares / shares.sum(axis=1, keepdims=True))[np.arange(count), classes].mean()
    if np.isfinite(wanted):
        assert log_loss(logits, classes) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert right(logits, classes).tolist() == [int(np.argmax(row)) == c for row, c in zip(logits, classes, strict=True)]


def test_a_spread_is_never_zero() -> None:
    assert Examples(np.ones((2, 1)), np.zeros(2, np.int64), np.zeros((2, 3))).spread == 1.0
    assert clusters(6).wanted.sum(axis=1).tolist() == [1.0] * 6
