"""Numbers as readers want them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.results.metrics import Figure
from edgekit.benchmarks.results.records import Estimate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0123456, "0.0123"),
        (0.999, "0.999"),
        (0.9996, "1.00"),
        (1.236, "1.24"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (99.96, "100"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (1_234_567, "1,234,567"),
        (-1.236, "-1.24"),
        (-0.0, "0"),
    ],
)
def test_three_digits_mean_something(value: float, shown: str) -> None:
    assert numbers.number(value) == shown


@given(st.floats(1e-9, 1e12))
def test_a_number_is_right_to_half_a_percent_and_never_in_scientific_notation(value: float) -> None:
    shown = numbers.number(value)
    assert re.fullmatch(r"[\d,]+(\.\d+)?", shown)
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_given_decimals_are_kept_and_nothing_is_minus_zero() -> None:
    assert numbers.number(1.5, 3) == "1.500"
    assert numbers.number(-0.0001, 2) == "0.00"
    assert numbers.number(-0.01, 2) == "-0.01"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.2371, "J", "237 mJ"),
        (0.99999, "J", "1.00 J"),
        (1.5, "J", "1.50 J"),
        (0.00042, "J", "420 µJ"),
        (3e-10, "J", "0.300 nJ"),
        (9.4, "W", "9.40 W"),
        (0.0, "W", "0 W"),
        (-0.02, "W", "-20.0 mW"),
        (0.25, "s", "250 ms"),
        (0.25, "MiB", "0.250 MiB"),
        (12.0, "", "12.0"),
    ],
)
def test_quantities_have_the_prefix_that_fits(value: float, unit: str, shown: str) -> None:
    assert numbers.quantity(value, unit) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_600, "1.00 MB"),
        (30_312_345, "30.3 MB"),
        (6 * 10**15, "6,000 TB"),
    ],
)
def test_sizes_are_in_powers_of_ten(count: int, shown: str) -> None:
    assert numbers.size(count) == shown


def test_shares_and_changes() -> None:
    assert numbers.percent(0.9625) == "96.2 %"
    assert numbers.percent(1) == "100 %"
    assert numbers.percent(0.9999) == "100.0 %"
    assert numbers.change(0.05) == "+5.0 %"
    assert numbers.change(-0.123) == "-12.3 %"


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (25.1, 24.9, 25.4, "25.1 (24.9–25.4)"),
        (25.034, 25.006, 25.071, "25.03 (25.01–25.07)"),
        (131.2, 94.01, 131.2, "131 (94–131)"),
        (2.0, 2.0, 2.0, "2.00 (2.00–2.00)"),
        (1234.4, 1230.1, 1240.0, "1,234 (1,230–1,240)"),
    ],
)
def test_an_interval_has_the_decimals_of_its_value(value: float, low: float, high: float, shown: str) -> None:
    assert numbers.spread(value, low, high) == shown


def test_estimates_and_figures_carry_their_unit_before_the_interval() -> None:
    assert numbers.estimate(Estimate(25.1, 24.9, 25.4, 9), "ms") == "25.1 ms (24.9–25.4)"
    assert numbers.figure(Figure(25.1, 24.9, 25.4), "ms") == "25.1 ms (24.9–25.4)"
    assert numbers.figure(Figure(0.2371, 0.233, 0.241), "J") == "237 mJ (233–241)"
    assert numbers.figure(Figure(0.5, 0.4, 0.6), "") == "0.500 (0.400–0.600)"
    assert numbers.figure(Figure(0.5), "") == "0.500"
    assert numbers.figure(Figure(376.34), "MiB") == "376 MiB"
    assert numbers.figure(Figure(152_500_000), "B") == "152 MB"
    assert numbers.figure(Figure(None), "J") == "unmeasured"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.25, "0.250 s"),
        (5.09, "5.09 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_time_spans_for_a_person(seconds: float, shown: str) -> None:
    assert numbers.duration(seconds) == shown
