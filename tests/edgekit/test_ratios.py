"""Ratios of interleaved timings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.ratios import ratio


def test_median_and_interval_of_known_rounds() -> None:
    found = ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.median, found.low, found.high, found.n) == (2.0, 2.0, 2.0, 3)
    assert str(found) == "2.00 (2.00-2.00)"


def test_drift_that_hits_both_cancels() -> None:
    drift = np.linspace(1, 5, 50)
    noise = np.random.default_rng(0).normal(1, 0.01, 50)
    found = ratio(list(3 * drift * noise), list(drift))
    assert found.low < found.median < found.high
    assert abs(found.median - 3) < 0.02


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0])])
def test_rounds_must_pair(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="rounds"):
        ratio(a, b)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30), st.floats(0.5, 4))
@settings(max_examples=40, deadline=None)
def test_interval_holds_the_median(times: list[float], factor: float) -> None:
    found = ratio([factor * t for t in times], times)
    assert found.low <= found.median <= found.high
    assert found.median == pytest.approx(factor)
