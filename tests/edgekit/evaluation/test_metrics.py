"""The metrics against loops, tables of the binomial distribution, and what must hold for any embeddings."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.evaluation.metrics import Interval, bootstrap, mcnemar, mean_per_class, places, recall_at_k, top_k

Rows = npt.NDArray[np.float32]


def _rows(n: int, d: int, seed: int) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _flags(*runs: tuple[int, int, int]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Outcomes of two variants from (first right?, second right?, how often)."""
    first = np.repeat([bool(a) for a, _, _ in runs], [n for _, _, n in runs])
    second = np.repeat([bool(b) for _, b, _ in runs], [n for _, _, n in runs])
    return first, second


# places and recall


def test_places_are_those_of_a_sort() -> None:
    images, texts = _rows(20, 8, seed=1), _rows(15, 8, seed=2)
    right = [tuple(np.random.default_rng(i).choice(15, 1 + i % 3, replace=False).tolist()) for i in range(20)]
    order = np.argsort(-(images.astype(float) @ texts.T.astype(float)), axis=1)
    wanted = [min(list(row).index(text) for text in texts_of) for row, texts_of in zip(order, right, strict=True)]
    assert places(images, texts, right, 15).tolist() == wanted
    assert places(images, texts, right, 4).tolist() == [min(place, 4) for place in wanted]


def test_a_query_without_a_right_match_is_never_right() -> None:
    assert places(_rows(1, 4, 1), _rows(3, 4, 2), [()], 3).tolist() == [3]


def test_every_query_needs_its_right_matches() -> None:
    with pytest.raises(ValueError, match="3 queries have 2 lists"):
        places(_rows(3, 4, 1), _rows(3, 4, 2), [(0,), (1,)], 1)


def test_several_right_texts_count_once() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    right = [(0, 1), (3,), (0, 4)]
    assert recall_at_k(images, texts, right, 1) == pytest.approx(2 / 3)  # the second image's tie goes to text 2
    assert recall_at_k(images, texts, right, 2) == 1.0


def test_embeddings_against_themselves_are_all_right() -> None:
    rows = _rows(50, 16, seed=3)
    assert recall_at_k(rows, rows, [(i,) for i in range(50)], 1) == 1.0
    assert top_k(rows, rows, range(50), 1) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 15), st.integers(1, 15), st.integers(0, 999))
def test_recall_grows_with_k_and_does_not_depend_on_the_order(images: int, texts: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    image, text = _rows(images, 6, seed), _rows(texts, 6, seed + 1)
    right = [
        tuple(random.choice(texts, 1 + int(random.integers(texts)), replace=False).tolist()) for _ in range(images)
    ]
    found = [recall_at_k(image, text, right, k) for k in range(1, texts + 1)]
    assert found == sorted(found)
    assert found[-1] == 1.0
    queries, gallery = random.permutation(images), random.permutation(texts)
    moved = {int(old): new for new, old in enumerate(gallery)}
    shuffled = [[moved[t] for t in right[q]] for q in queries]
    assert [recall_at_k(image[queries], text[gallery], shuffled, k) for k in range(1, texts + 1)] == pytest.approx(
        found
    )


# intervals


def test_an_interval_covers_the_binomials() -> None:
    found = bootstrap(np.repeat([True, False], [300, 100]))
    error = math.sqrt(0.75 * 0.25 / 400)
    assert (found.value, found.n) == (0.75, 400)
    assert (found.low, found.high) == pytest.approx((0.75 - 1.96 * error, 0.75 + 1.96 * error), abs=0.006)


def test_cases_that_are_all_equal_have_no_width() -> None:
    assert bootstrap(np.ones(7, bool)) == Interval(1.0, 1.0, 1.0, 7)
    assert bootstrap(np.zeros(7, bool)) == Interval(0.0, 0.0, 0.0, 7)


def test_no_cases_have_no_mean() -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        bootstrap(np.zeros(0, bool))


def test_a_repeated_experiment_is_covered_about_as_often_as_promised() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for seed in range(300):
        found = bootstrap(random.random(120) < 0.6, seed=seed, resamples=300)
        inside += found.low <= 0.6 <= found.high
    assert 0.9 < inside / 300 < 0.98


# the mean per class


def test_the_mean_per_class_gives_each_class_the_same_weight() -> None:
    correct = np.array([True] * 9 + [False] + [True, False, False, False])
    found = mean_per_class(correct, [4] * 10 + [7] * 4)
    assert found.value == pytest.approx((0.9 + 0.25) / 2)
    assert found.n == 14
    assert found.low < found.value < found.high


def test_with_classes_of_one_size_it_is_the_accuracy() -> None:
    correct = np.random.default_rng(1).random(60) < 0.4
    assert mean_per_class(correct, [i % 6 for i in range(60)]).value == pytest.approx(correct.mean())


def test_one_outcome_for_each_image() -> None:
    for correct, classes in ((np.ones(2, bool), [0]), (np.ones(0, bool), [])):
        with pytest.raises(ValueError, match="outcomes for"):
            mean_per_class(correct, classes)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.integers(0, 9))
def test_the_mean_per_class_is_in_range_and_ignores_the_order(cases: list[tuple[int, bool]], seed: int) -> None:
    def of(given: list[tuple[int, bool]]) -> Interval:
        return mean_per_class(np.array([right for _, right in given]), [c for c, _ in given], seed=seed, resamples=50)

    found = of(cases)
    by_class = [[right for c, right in cases if c == number] for number in {c for c, _ in cases}]
    assert found.value == pytest.approx(sum(sum(x) / len(x) for x in by_class) / len(by_class))
    assert 0 <= found.low <= found.high <= 1
    assert of(cases[::-1]) == found


# McNemar


def _by_hand(b: int, c: int) -> tuple[float, float]:
    """Exact and mid-p from the definition, by summing over every outcome that is as extreme or more."""
    n = b + c
    chance = [Fraction(math.comb(n, x), 2**n) for x in range(n + 1)]
    distance = abs(Fraction(b) - Fraction(n, 2))
    as_extreme = sum(p for x, p in enumerate(chance) if abs(Fraction(x) - Fraction(n, 2)) >= distance)
    equal = sum(p for x, p in enumerate(chance) if abs(Fraction(x) - Fraction(n, 2)) == distance)
    return float(as_extreme), float(as_extreme - Fraction(equal) / 2)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 0), (1, 1), (4, 4), (10, 3), (3, 10), (40, 61), (200, 199)])
def test_mcnemar_is_the_definition(b: int, c: int) -> None:
    found = mcnemar(*_flags((1, 1, 30), (1, 0, b), (0, 1, c), (0, 0, 20)))
    assert (found.only_first, found.only_second) == (b, c)
    assert (found.exact_p, found.mid_p) == pytest.approx(_by_hand(b, c), rel=1e-12)


def test_mcnemar_as_published() -> None:
    """Fagerland and others 2013, table 1 (airway hyper-responsiveness): 1 against 7; p exact .070, mid-p .039."""
    found = mcnemar(*_flags((1, 1, 1), (1, 0, 1), (0, 1, 7), (0, 0, 12)))
    assert round(found.exact_p, 3) == 0.070
    assert round(found.mid_p, 3) == 0.039


def test_variants_that_never_differ() -> None:
    same = np.array([True, False, True])
    assert (mcnemar(same, same).exact_p, mcnemar(same, same).mid_p) == (1.0, 1.0)


def test_thousands_of_differences_do_not_underflow() -> None:
    found = mcnemar(*_flags((1, 0, 2600), (0, 1, 2400)))
    assert found.exact_p == pytest.approx(math.erfc((200 - 1) / math.sqrt(5000) / math.sqrt(2)), rel=0.01)
    assert mcnemar(*_flags((1, 0, 5000))).mid_p == 0.0


def test_the_same_cases_are_compared() -> None:
    with pytest.raises(ValueError, match="cannot compare outcomes"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_symmetric_and_the_mid_p_is_the_smaller(cases: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side) for side in zip(*cases, strict=True))
    there, back = mcnemar(first, second), mcnemar(second, first)
    assert (there.exact_p, there.mid_p) == (back.exact_p, back.mid_p)
    assert 0 < there.mid_p <= there.exact_p <= 1
