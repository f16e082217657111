"""Ridge regression: the solution against the normal equations, and leaving one out against doing it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.specialize.ridge import decompose


def solved(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """The normal equations, the constant not penalized."""
    wide = np.c_[rows, np.ones(len(rows))]
    punished = np.diag([penalty] * rows.shape[1] + [0.0])
    return np.linalg.solve(wide.T @ wide + punished, wide.T @ targets).T


def predicted(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.c_[rows, np.ones(len(rows))] @ weights.T


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(1, 4), st.floats(0.01, 100.0), st.integers(0, 2**32 - 1))
def test_solution_and_predictions_without_each_example(
    count: int, dimension: int, labels: int, penalty: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows, targets = random.normal(size=(count, dimension)), random.normal(size=(count, labels))
    ridge = decompose(rows)
    np.testing.assert_allclose(ridge.solve(targets, penalty), solved(rows, targets, penalty), atol=1e-8)
    found = ridge.left_out(targets, penalty)
    for place in range(count):
        rest = np.arange(count) != place
        weights = solved(rows[rest], targets[rest], penalty)
        np.testing.assert_allclose(found[place], predicted(weights, rows[place : place + 1])[0], atol=1e-7)


def test_one_example_predicts_nothing_without_itself() -> None:
    ridge = decompose(np.array([[1.0, 0.0]]))
    assert (ridge.left_out(np.array([[1.0, 0.0, 0.0]]), 1.0) == 0).all()
    assert ridge.scale == 1.0
    np.testing.assert_allclose(ridge.solve(np.array([[1.0, 0.0]]), 1.0), [[0, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize("penalty", [1e-6, 1e9], ids=["none", "all"])
def test_a_penalty_goes_from_the_fit_to_the_mean(penalty: float) -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(20, 3))
    targets = rows @ random.normal(size=(3, 2)) + 4.0
    found = predicted(decompose(rows).solve(targets, penalty), rows)
    wanted = targets if penalty < 1 else np.broadcast_to(targets.mean(axis=0), targets.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
