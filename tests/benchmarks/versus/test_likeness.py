"""Agreement of embeddings, and of models that have nothing in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.versus.likeness import agreement, problem
from edgekit.benchmarks.versus.records import Opened

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
