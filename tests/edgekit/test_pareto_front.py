"""Candidates that no other beats."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.pareto import front

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), max_size=12)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@settings(deadline=None, max_examples=150)
@given(POINTS)
def test_what_is_kept_is_beaten_by_none_and_what_goes_is_beaten_by_what_is_kept(points):
    kept = front(points)
    assert list(kept) == sorted(set(kept))
    for i, point in enumerate(points):
        beaten = any(dominates(other, point) for other in points)
        if i in kept:
            assert not beaten
        else:
            assert beaten or point in points[:i]
            assert any(dominates(points[j], point) or points[j] == point for j in kept)


def test_equal_points_are_kept_once():
    assert front([(1.0, 2.0), (1.0, 2.0), (0.0, 3.0)]) == (0, 2)


def test_a_figure_that_is_missing_is_worse_than_any():
    assert front([(float("nan"), 1.0), (1.0, 1.0)]) == (1,)


def test_nothing_gives_nothing():
    assert front([]) == ()
