"""Agreement of embeddings, and of models that have nothing in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.benchmarks.versus.likeness import agreement, problem
from edgekit.benchmarks.versus.records import Agreement, Opened

OURS = Opened("m", "", "space one", "int8", "int8", "e 1", "cpu", 0, 1.0)
PEER = replace(OURS, space="")


def test_cosines() -> None:
    found = agreement(OURS, [[1, 0], [0, 2]], PEER, [[2, 0], [1, 1]])
    assert (found.cosine_min, found.cosine_mean) == (pytest.approx(0.5**0.5), pytest.approx((1 + 0.5**0.5) / 2))
    assert (found.n, found.reason) == (2, "")


def test_another_space_is_not_compared() -> None:
    found = agreement(OURS, [[1, 0]], replace(OURS, space="space two"), [[1, 0]])
    assert (found.cosine_min, found.cosine_mean) == (None, None)
    assert found.reason.startswith("another embedding space")
    assert agreement(OURS, [[1, 0]], PEER, [[1, 0, 0]]).reason.startswith("3 dimensions, not 2")
    assert problem(found, "them", 0.99) == ""


@pytest.mark.parametrize("row", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_what_is_no_direction_agrees_with_nothing(row: list[float]) -> None:
    with np.errstate(invalid="ignore"):
        found = agreement(OURS, [[1, 0]], PEER, [row])
    assert found.cosine_min == -1.0
    assert "cosine -1.0000, at least 0.9900 is needed" in problem(found, "them", 0.99)


def test_a_wrong_contender_is_named() -> None:
    found = agreement(OURS, [[1, 0], [1, 0]], PEER, [[1, 0], [0, 1]])
    assert problem(found, "them", 0.5).startswith("agreement: them's embeddings are not the subject's (cosine 0.0000")
    assert problem(agreement(OURS, [[1, 0]], PEER, [[1, 0]]), "them", 0.99) == ""


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0.1, 100))
def test_length_does_not_matter(row: list[float], factor: float) -> None:
    if np.linalg.norm(row) > 1e-3:
        found = agreement(OURS, [row], PEER, [[factor * value for value in row]])
        assert found.cosine_min == pytest.approx(1.0)


ROWS = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-10, 10).map(lambda v: round(v, 3))
)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_it_is_the_cosine_of_scipy_and_the_same_from_both_sides(ours: Any, seed: int) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    theirs = ours + np.random.default_rng(seed).normal(0, 1, ours.shape)
    found = agreement(OURS, ours.tolist(), PEER, theirs.tolist())
    wanted = [1 - distance.cosine(a, b) if a.any() else -1.0 for a, b in zip(ours, theirs, strict=True)]
    assert found.cosine_min == pytest.approx(min(wanted), abs=1e-9)
    assert found.cosine_mean == pytest.approx(np.mean(wanted), abs=1e-9)
    assert found.n == len(ours)
    assert agreement(PEER, theirs.tolist(), OURS, ours.tolist()) == found


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_contender_is_wrong_exactly_below_the_bound(cosine: float, least: float) -> None:
    said = problem(Agreement(cosine, cosine, 1, ""), "them", least)
    assert bool(said) == (cosine < least)


def test_samples_that_one_side_lacks_are_no_agreement() -> None:
    with pytest.raises(ValueError, match="shorter"):
        agreement(OURS, [[1, 0], [0, 1]], PEER, [[1, 0]])
