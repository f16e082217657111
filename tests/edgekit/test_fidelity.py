"""Agreement with a float reference, against the same figures written out by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.bundle.manifest import Agreement
from edgekit.fidelity import agreement

Rows = npt.NDArray[np.float32]


def _rows(n: int, d: int, seed: int, mean: float = 0.0) -> Rows:
    rows = np.random.default_rng(seed).normal(mean, 1.0, (n, d))
    unit: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _cosine(a: list[float], b: list[float]) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.hypot(*a) * math.hypot(*b))


def _by_hand(actual: Rows, reference: Rows) -> Agreement:
    """The definition, in loops of Python floats."""
    a, b = ([[float(x) for x in row] for row in rows] for rows in (actual, reference))
    n, d = len(b), len(b[0])
    mean = [math.fsum(row[j] for row in b) / n if n > 1 else 0.0 for j in range(d)]
    plain = [_cosine(x, y) for x, y in zip(a, b, strict=True)]
    centred = [
        _cosine([v - m for v, m in zip(x, mean, strict=True)], [v - m for v, m in zip(y, mean, strict=True)])
        for x, y in zip(a, b, strict=True)
    ]
    errors = [abs(v - w) for x, y in zip(a, b, strict=True) for v, w in zip(x, y, strict=True)]
    return Agreement(n, max(errors), min(plain), math.fsum(plain) / n, min(centred), math.fsum(centred) / n)


@pytest.mark.parametrize("n", [1, 2, 7, 50])
@pytest.mark.parametrize("noise", [1e-6, 0.1, 3.0])
def test_the_figures_are_the_definitions(n: int, noise: float) -> None:
    reference = _rows(n, 24, seed=n)
    actual = (reference + noise * _rows(n, 24, seed=99)).astype(np.float32)
    assert astuple(agreement(actual, reference)) == pytest.approx(astuple(_by_hand(actual, reference)), abs=1e-12)


def test_equal_embeddings_agree_wholly() -> None:
    rows = _rows(5, 8, seed=1)
    assert agreement(rows, rows) == Agreement(5, 0.0, 1.0, 1.0, 1.0, 1.0)


def test_centring_sees_what_the_plain_cosine_does_not() -> None:
    """Rows that share a large mean: exchanging two of them hardly changes their cosines."""
    reference = _rows(6, 32, seed=2, mean=10.0)
    found = agreement(reference[::-1], reference)
    assert found.cosine_min > 0.98
    assert found.centred_min < 0.0
    assert found.centred_mean < 0.3


def test_the_mean_is_the_references_own() -> None:
    """A constant added to the actual rows is an error, not something to subtract."""
    reference = _rows(6, 16, seed=3)
    found = agreement(reference + np.float32(0.5), reference)
    assert found.centred_mean < 0.6
    assert found.max_error == pytest.approx(0.5, abs=1e-6)


def test_one_row_has_nothing_to_centre() -> None:
    reference = _rows(1, 16, seed=4)
    found = agreement(_rows(1, 16, seed=5), reference)
    assert (found.centred_min, found.centred_mean) == (found.cosine_min, found.cosine_mean)
    assert found.cosine_min < 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_spoils_every_figure(value: float) -> None:
    reference = _rows(4, 8, seed=6)
    actual = reference.copy()
    actual[2, 3] = value
    found = agreement(actual, reference)
    assert found.n == 4
    assert all(math.isnan(figure) for figure in astuple(found)[1:])


def test_rows_of_zeros() -> None:
    zeros, ones = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    assert agreement(zeros, zeros).cosine_min == 1.0
    assert agreement(zeros, ones).cosine_min == 0.0
    assert agreement(ones, zeros).cosine_min == 0.0


def test_opposite_rows() -> None:
    rows = _rows(1, 8, seed=7)
    assert agreement(-rows, rows).cosine_min == pytest.approx(-1.0)


def test_half_precision_is_compared_in_double() -> None:
    reference = _rows(5, 64, seed=8)
    found = agreement(reference.astype(np.float16), reference)
    assert 0.99999 < found.cosine_min < 1.0
    assert 0 < found.max_error < 1e-3


@pytest.mark.parametrize(
    ("actual", "reference"), [((2, 3), (3, 3)), ((2, 3), (2, 4)), ((0, 3), (0, 3)), ((3,), (3,)), ((1, 2, 3),) * 2]
)
def test_what_cannot_be_compared(actual: tuple[int, ...], reference: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot compare embeddings of shape"):
        agreement(np.ones(actual, np.float32), np.ones(reference, np.float32))


TABLES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.floats(-(2.0**60), 2.0**60, width=32),
)


@settings(max_examples=200, deadline=None)
@given(TABLES, st.integers(0, 2**32 - 1))
def test_any_finite_tables_give_figures_in_range(reference: Rows, seed: int) -> None:
    actual = np.random.default_rng(seed).normal(size=reference.shape).astype(np.float32)
    found = agreement(actual, reference)
    assert found.n == len(reference)
    assert -1 <= found.cosine_min <= found.cosine_mean + 1e-12
    assert -1 <= found.centred_min <= found.centred_mean + 1e-12
    assert found.cosine_mean <= 1
    assert found.centred_mean <= 1
    assert found.max_error >= 0
    own = agreement(reference, reference)
    assert astuple(own)[1:] == (0.0, 1.0, 1.0, 1.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(TABLES, st.floats(0.125, 64.0))
def test_a_positive_scale_changes_no_plain_cosine(reference: Rows, scale: float) -> None:
    nonzero = reference[(reference != 0).any(axis=1)]
    if len(nonzero):
        assert agreement(nonzero.astype(np.float64) * scale, nonzero).cosine_min == pytest.approx(1.0)
