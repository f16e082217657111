"""The figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize import figures
from edgekit.converters.quantize.latency import take_turns
from edgekit.ratios import ratio

EYE = np.eye(4, dtype=np.float32)


def rows(seed, n=20, d=6):
    found = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_equal_rows_lose_nothing():
    assert figures.loss(rows(0), rows(0)) == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(0.01, 0.3))
def test_more_noise_loses_more(seed, noise):
    clean = rows(seed)
    wild = np.random.default_rng(seed + 1).normal(size=clean.shape)
    assert 0 <= figures.loss(clean + noise * wild, clean) < figures.loss(clean + 30 * noise * wild, clean)


def test_flips_count_changed_best_matches():
    moved = EYE[[1, 1, 2, 3]]
    assert figures.flips(moved, EYE, EYE) == 0.25
    assert figures.flips(EYE, EYE, EYE) == 0


def test_prompts_of_a_text_are_averaged_to_unit_rows():
    pooled = figures.pool(EYE, 2)
    np.testing.assert_allclose(pooled, np.array([[1, 1, 0, 0], [0, 0, 1, 1]]) / np.sqrt(2), atol=1e-6)
    assert figures.pool(EYE, 1) is EYE


def test_the_metric_is_compared_on_the_same_images():
    targets = ((0,), (1,), (2,), (0, 3))
    found = figures.metric("recall@1", (EYE[[1, 1, 2, 3]], EYE), (EYE, EYE), targets)
    assert (found.float32.value, found.value.value, found.drop) == (1.0, 0.75, 25.0)
    assert found.error == pytest.approx(25.0)  # 100 x standard deviation .5 / sqrt(4)
    assert found.value.error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert found.value.n == 4


def test_a_candidate_may_be_better():
    assert figures.metric("top-1", (EYE, EYE), (EYE[[1, 1, 2, 3]], EYE), ((0,), (1,), (2,), (3,))).drop == -25.0


def test_calls_take_turns_and_each_round_is_counted_once():
    called = []
    ours, theirs = take_turns(lambda: called.append("a"), lambda: called.append("b"), 4, 60.0)
    assert len(ours) == len(theirs) == 4
    assert called.count("a") == called.count("b") == 6
    assert called[4:8] in (list("abba"), list("baab"))


def test_time_bounds_the_rounds_but_three_are_made():
    ours, _ = take_turns(lambda: None, lambda: None, 1000, 0.0)
    assert len(ours) == 3


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12), st.floats(0.1, 10))
def test_the_ratio_lies_in_its_interval_and_scales(times, factor):
    found = ratio([factor * t for t in times], times)
    assert found.low <= found.median <= found.high
    assert found.median == pytest.approx(factor)
    assert found.n == len(times)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_needs_pairs(ours, theirs):
    with pytest.raises(ValueError, match="as many rounds"):
        ratio(ours, theirs)


def test_a_ratio_in_words():
    assert str(ratio([1.0, 1.0], [2.0, 2.0])) == "0.50 (0.50-0.50)"
