"""Figures, paired gains and the plateau rule against a plain computation of the same, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.training import judge
from edgekit.converters.distill.training.plateau import Track, restore

_SOME = settings(max_examples=25, deadline=None)
_SEEDS = st.integers(0, 10_000)


def _unit(rows, dimension, seed):
    found = np.random.default_rng(seed).normal(size=(rows, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def _by_name(scores):
    return {figure.name: figure for figure in scores.figures}


def _checked(figure, cases):
    assert figure.n == len(cases)
    assert figure.value == pytest.approx(sum(cases) / len(cases))
    mean = sum(cases) / len(cases)
    error = (
        math.sqrt(sum((case - mean) ** 2 for case in cases) / (len(cases) - 1) / len(cases)) if len(cases) > 1 else 0
    )
    assert figure.error == pytest.approx(error, abs=1e-12)


@_SOME
@given(_SEEDS, st.integers(1, 12), st.integers(1, 14))
def test_recall_is_the_share_of_images_with_a_right_text_among_the_best(seed, images, texts):
    rows, bank = _unit(images, 4, seed), _unit(texts, 4, seed + 1)
    random = np.random.default_rng(seed)
    targets = [tuple(random.choice(texts, random.integers(0, min(3, texts) + 1), replace=False)) for _ in range(images)]
    targets[0] = targets[0] or (0,)
    found = _by_name(judge.by_labels(rows, bank, targets))
    assert set(found) == {f"recall@{k}" for k in (1, 5, 10) if k == 1 or k < texts}
    for k in (1, 5, 10):
        if f"recall@{k}" not in found:
            continue
        cases = []
        for row, right in zip(rows, targets, strict=True):
            if right:
                best = sorted(range(texts), key=lambda i: -float(bank[i].astype(np.float64) @ row))[:k]
                cases.append(float(bool(set(best) & set(right))))
        _checked(found[f"recall@{k}"], cases)


@_SOME
@given(_SEEDS, st.integers(2, 15), st.integers(1, 6))
def test_agreement_and_centred_cosine_by_hand(seed, rows, dimension):
    student, teacher = _unit(rows, dimension, seed), _unit(rows, dimension, seed + 1)
    found = judge.by_teacher(student, teacher)
    assert [figure.name for figure in found.figures] == ["centred_cosine", "agreement@1"]
    own, other = student.astype(np.float64), teacher.astype(np.float64)
    mean = other.mean(0)
    cosines = []
    for a, b in zip(own - mean, other - mean, strict=True):
        length = np.linalg.norm(a) * np.linalg.norm(b)
        cosines.append(float(a @ b / length) if length > 0 else 0.0)
    if dimension > 1:
        _checked(found.figures[0], cosines)
        np.testing.assert_allclose(found.cases, cosines, atol=1e-9)
    nearest = [
        [max((j for j in range(rows) if j != i), key=lambda j: of[i] @ of[j]) for i in range(rows)]
        for of in (own, other)
    ]
    if dimension > 1:  # with one number, all rows of a sign are equally near
        _checked(found.figures[1], [float(a == b) for a, b in zip(*nearest, strict=True)])


def test_agreement_is_blind_to_a_turn_and_centred_cosine_is_not():
    rows = _unit(40, 5, 0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0].astype(np.float32)
    found = _by_name(judge.by_teacher(rows @ turn, rows))
    assert found["agreement@1"].value == 1
    assert found["centred_cosine"].value < 0.9


@pytest.mark.parametrize("collapsed", ["student", "teacher"])
def test_rows_that_are_all_alike_are_worth_nothing_and_no_error(collapsed):
    rows, flat = _unit(6, 3, 0), np.tile(_unit(1, 3, 1), (6, 1))
    student, teacher = (flat, rows) if collapsed == "student" else (rows, flat)
    found = _by_name(judge.by_teacher(student, teacher))
    assert abs(found["centred_cosine"].value) < 0.9
    assert all(np.isfinite([figure.value, figure.error]).all() for figure in found.values())


def test_one_image_has_no_error_bar():
    found = judge.by_labels(_unit(1, 3, 0), _unit(2, 3, 1), [(0, 1)])
    assert [(f.name, f.value, f.error, f.n) for f in found.figures] == [("recall@1", 1.0, 0.0, 1)]


def test_images_without_a_right_text_do_not_count():
    images, texts = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    assert judge.by_labels(images, texts, [(), (1,), ()]).figures[0].n == 1
    assert judge.by_labels(images, texts, [(1,), (1,), ()]).figures[0].value == 0.5


@_SOME
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=20))
def test_a_gain_is_paired(pairs):
    new, old = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    mean, error = judge.gain(new, old)
    differences = [a - b for a, b in pairs]
    assert mean == pytest.approx(sum(differences) / len(differences), abs=1e-12)
    assert judge.gain(old, new) == (pytest.approx(-mean), pytest.approx(error))
    assert judge.gain(new + 3, new)[0] == pytest.approx(3)
    assert judge.gain(new + 3, new)[1] == pytest.approx(0, abs=1e-9)


def _cases(hits, of=20):
    return np.array([1.0] * hits + [0.0] * (of - hits))


def _after(*hits, of=20):
    track = Track()
    best = [track.add(_cases(count, of)) for count in hits]
    return track, best


@pytest.mark.parametrize(
    ("hits", "waited", "best"),
    [
        ((5,), 0, [True]),
        ((5, 5), 1, [True, False]),
        ((5, 6), 1, [True, True]),
        ((5, 6, 7), 0, [True, True, True]),
        ((5, 6, 7, 8), 1, [True, True, True, True]),
        ((5, 9), 0, [True, True]),
        ((5, 9, 5, 5), 2, [True, True, False, False]),
        ((20, 20, 20), 2, [True, False, False]),
        ((0, 0, 20), 0, [True, False, True]),
    ],
    ids=str,
)
def test_how_long_a_plateau_is(hits, waited, best):
    track, found = _after(*hits)
    assert (track.waited, found) == (waited, best)


@pytest.mark.parametrize(
    ("hits", "fell"), [((5,), False), ((5, 4), False), ((9, 4), True), ((4, 9), False), ((9, 4, 9), False)], ids=str
)
def test_a_fall_is_more_than_the_error(hits, fell):
    assert _after(*hits)[0].fell() == fell


@_SOME
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_the_track_follows_its_rule(hits):
    """The rule again: a reference that is beaten by more than the error, and a best that is beaten at all."""
    track, best, reference, waited, told = Track(), hits[0], hits[0], 0, []
    for index, count in enumerate(hits):
        told.append(track.add(_cases(count)))
        if index == 0:
            continue
        gained = abs(count - reference)
        mean = gained / 20
        error = math.sqrt(gained * (1 - mean) / 19 / 20) if gained else 0.0
        if count > reference and mean > error * (1 + 1e-9):
            reference, waited = count, 0
        else:
            waited += 1
        assert told[-1] == (count > best)
        best = max(best, count)
    assert track.waited == waited
    assert track.best.sum() == best
    assert track.reference.sum() == reference
    again = restore(track.state())
    assert again.add(_cases(20)) == track.add(_cases(20))
    assert again.waited == track.waited


def test_one_case_alone_can_improve():
    track = Track()
    assert track.add(np.array([0.0]))
    assert track.add(np.array([1.0]))
    assert track.waited == 0
    assert not track.fell()


def test_what_a_checkpoint_keeps_is_a_copy():
    track = Track()
    cases = _cases(3)
    track.add(cases)
    kept = track.state()
    cases[:] = 7
    assert float(kept["best"].sum()) == 3
