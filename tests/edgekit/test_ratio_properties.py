"""What holds for the ratio of any two runs."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.ratios import Ratio, ratio

SECONDS = st.floats(1e-4, 10)
ROUNDS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=25)
BOUNDED = settings(max_examples=30, deadline=None)


def _of(rounds: list[tuple[float, float]]) -> Ratio:
    return ratio([a for a, _ in rounds], [b for _, b in rounds])


@BOUNDED
@given(ROUNDS)
def test_the_median_is_that_of_the_pairs(rounds: list[tuple[float, float]]) -> None:
    found = _of(rounds)
    pairs = sorted(a / b for a, b in rounds)
    middle = len(pairs) // 2
    wanted = pairs[middle] if len(pairs) % 2 else (pairs[middle - 1] + pairs[middle]) / 2
    assert found.median == pytest.approx(wanted)
    assert pairs[0] * (1 - 1e-9) <= found.low <= found.high <= pairs[-1] * (1 + 1e-9)
    assert found.n == len(rounds)


@BOUNDED
@given(ROUNDS, st.floats(0.1, 100))
def test_units_do_not_matter_and_a_factor_passes_through(rounds: list[tuple[float, float]], factor: float) -> None:
    found, both = _of(rounds), _of([(factor * a, factor * b) for a, b in rounds])
    one = _of([(factor * a, b) for a, b in rounds])
    for name in ("median", "low", "high"):
        assert getattr(both, name) == pytest.approx(getattr(found, name))
        assert getattr(one, name) == pytest.approx(factor * getattr(found, name))


@BOUNDED
@given(st.lists(SECONDS, min_size=1, max_size=25))
def test_a_run_over_itself_is_one(times: list[float]) -> None:
    found = ratio(times, times)
    assert (found.median, found.low, found.high) == (1, 1, 1)
    assert str(found) == "1.00 (1.00-1.00)"


def test_the_same_rounds_give_the_same_interval() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.uniform(1, 2, 30).tolist(), draw.uniform(1, 2, 30).tolist()
    assert ratio(a, b) == ratio(a, b)
    assert ratio(a, b) != ratio(b, a)


def test_one_slow_round_moves_the_median_little() -> None:
    steady = [1.0] * 21
    found = ratio([*[2.0] * 20, 200.0], steady)
    assert (found.median, found.high) == (2.0, 2.0)


def test_more_rounds_narrow_the_interval() -> None:
    draw = np.random.default_rng(0)
    widths = []
    for n in (10, 100, 1000):
        found = ratio(draw.lognormal(0, 0.2, n).tolist(), [1.0] * n)
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_it_is_printed_and_stored_with_its_interval() -> None:
    found = Ratio(1.005, 0.994, 12.3456, 7)
    assert str(found) == "1.00 (0.99-12.35)"
    assert Ratio(**asdict(found)) == found
