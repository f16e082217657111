"""Numbers of any size are written so that a reader gets the number back, to three digits."""

from __future__ import annotations

import math
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.results.metrics import Figure
from edgekit.benchmarks.results.records import Estimate

FINITE = st.floats(allow_nan=False, allow_infinity=False)
_SCALES = {"": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9}


def read(text: str) -> float:
    return float(text.replace(",", ""))


@given(FINITE)
@example(5e-324)
@example(-5e-324)
@example(2.5e-308)
@example(sys.float_info.max)
@example(9.995)
@example(999.5)
def test_a_number_reads_back_to_three_digits(value: float) -> None:
    text = numbers.number(value)
    assert re.fullmatch(r"-?[0-9]{1,3}(,[0-9]{3})*(\.[0-9]+)?", text), text
    assert read(text) == pytest.approx(value, rel=0.00501, abs=5e-324)


@given(st.floats(1e-300, 1e15))
def test_three_digits_are_significant_and_no_more(value: float) -> None:
    digits = numbers.number(value).replace(",", "").lstrip("0.").replace(".", "")
    assert len(digits) == 3 if value < 999.5 else len(digits) == len(str(round(value)))


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12))
def test_a_smaller_number_is_never_shown_as_a_greater_one(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert read(numbers.number(low)) <= read(numbers.number(high))


def test_nothing_below_zero_is_shown_where_all_digits_are_zero() -> None:
    assert numbers.number(-0.0) == "0"
    assert numbers.number(-0.001, 2) == "0.00"
    assert numbers.number(-0.006, 2) == "-0.01"


@pytest.mark.parametrize(
    ("value", "places"),
    [(0.0, 0), (9.994, 2), (9.996, 1), (99.96, 0), (0.09996, 3), (1234.0, 0), (-1.5, 2), (5e-324, 326)],
)
def test_places_after_the_point(value: float, places: int) -> None:
    assert numbers.decimals_of(value) == places


@given(st.floats(1e-9, 1e6), st.sampled_from(["J", "W", "s", "ms", "MiB", ""]))
def test_a_quantity_reads_back_with_its_prefix(value: float, unit: str) -> None:
    text, _, shown = numbers.quantity(value, unit).partition(" ")
    prefix = shown.removesuffix(unit) if unit in ("J", "W", "s") else ""
    assert shown == prefix + unit
    assert read(text) * _SCALES[prefix] == pytest.approx(value, rel=0.00501)
    if prefix:
        assert 1 <= read(text) <= 1000


@given(st.integers(0, 10**17))
def test_bytes_read_back_in_thousands(count: int) -> None:
    text, name = numbers.size(count).split(" ")
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[name]
    assert read(text) * scale == pytest.approx(count, rel=0.00501)
    assert read(text) < 1000 or name == "TB"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (999_499, "999 kB"), (999_500, "1.00 MB"), (10**15, "1,000 TB")]
)
def test_bytes_at_the_edge_of_a_unit(count: int, text: str) -> None:
    assert numbers.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.25, "0.250 s"),
        (9.996, "10.0 s"),
        (10.4, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (60.0, "60 s"),
        (120.0, "2 min"),
        (149.0, "2 min"),
        (151.0, "3 min"),
        (7169.0, "119 min"),
        (7171.0, "2 h"),
        (7200.0, "2 h"),
        (7260.0, "2 h 1 min"),
        (86_400.0, "24 h"),
    ],
)
def test_time_spans(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_time_span_reads_back_to_a_sixtieth(seconds: float) -> None:
    text = numbers.duration(seconds)
    units = {"s": 1, "min": 60, "h": 3600}
    parts = text.split(" ")
    back = sum(read(n) * units[u] for n, u in zip(parts[::2], parts[1::2], strict=True))
    # Three digits below ten seconds, then whole seconds, then whole minutes.
    assert abs(back - seconds) <= (0.00501 * seconds if seconds < 10 else 0.5 if seconds < 119 else 30.5)


@given(st.floats(1e-6, 1e6), st.floats(0, 0.5), st.floats(0, 0.5))
def test_an_estimate_has_its_interval_and_unit(value: float, down: float, up: float) -> None:
    found = Estimate(value, value * (1 - down), value * (1 + up), 9)
    matched = re.fullmatch(r"(\S+) ms \((\S+)–(\S+)\)", numbers.estimate(found, "ms"))
    assert matched
    shown, low, high = (read(part) for part in matched.groups())
    assert low <= shown <= high
    assert shown == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (Figure(None), "ms", "unmeasured"),
        (Figure(None, 1.0, 2.0), "B", "unmeasured"),
        (Figure(1.5), "ms", "1.50 ms"),
        (Figure(1.5), "", "1.50"),
        (Figure(2_500_000.0), "B", "2.50 MB"),
        (Figure(0.0324), "J", "32.4 mJ"),
        (Figure(0.0), "J", "0 J"),
        # An interval with one end only is none.
        (Figure(1.5, 1.0, None), "ms", "1.50 ms"),
        (Figure(1.5, None, 2.0), "ms", "1.50 ms"),
    ],
)
def test_figures(found: Figure, unit: str, text: str) -> None:
    assert numbers.figure(found, unit) == text


def test_a_figure_without_a_unit_has_its_interval_behind_it() -> None:
    assert numbers.figure(Figure(0.5, 0.4, 0.6), "") == numbers.estimate(Estimate(0.5, 0.4, 0.6, 1), "").replace(
        "  ", " "
    )
    assert numbers.figure(Figure(0.0324, 0.03, 0.04), "J").startswith("32.4 mJ (30.0–40.0")


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (1.0, "100 %"), (0.9625, "96.2 %"), (0, "0.0 %"), (1.2, "120.0 %")]
)
def test_shares(share: float, text: str) -> None:
    assert numbers.percent(share) == text
    assert not math.isnan(read(text.removesuffix(" %")))
