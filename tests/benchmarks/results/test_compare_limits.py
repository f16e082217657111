"""A comparison exactly at its limits: an interval that touches 1, a change as large as the rule allows, zeros."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench_results
from edgekit.benchmarks.results.compare import Change, change, compare
from edgekit.benchmarks.results.metrics import metric
from edgekit.benchmarks.results.records import Estimate, Result
from edgekit.benchmarks.results.rules import parse

PLAIN = bench_results.result()


def timed(value: float, low: float | None = None, high: float | None = None, **changes: Any) -> Result:
    """A result whose p50 is so many milliseconds."""
    found = Estimate(value, value if low is None else low, value if high is None else high, 100)
    return replace(PLAIN, p50=value, latency=replace(PLAIN.latency, p50=found), **changes)


def judged(old: Result, new: Result, rule: str, *, strict: bool = False) -> tuple[bool, str]:
    found = compare(old, new, [parse(rule)], strict=strict)
    assert found.failed == found.judgements[0].failed
    return found.judgements[0].failed, found.judgements[0].reason


@pytest.mark.parametrize(
    ("new", "rule", "failed"),
    [
        (125.0, "p50>+25%", False),
        (125.5, "p50>+25%", True),
        (75.0, "p50<-25%", False),
        (74.5, "p50<-25%", True),
        (125.0, "p50>125", False),
        (125.0, "p50>124.9", True),
        (125.0, "p50<125", False),
        (125.0, "p50<125.1", True),
        (100.0, "p50>+0%", False),
        (100.0, "p50<+0%", False),
        (101.0, "p50>-5%", True),
    ],
)
def test_a_change_as_large_as_the_rule_allows_is_allowed(new: float, rule: str, failed: bool) -> None:
    assert judged(timed(100.0), timed(new), rule)[0] == failed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (125.0, "p50 changed by +25.0 % (+25.0 % to +25.0 %)"),
        (99.96, "p50 changed by -0.0 % (-0.0 % to -0.0 %)"),
        (300.0, "p50 changed by +200.0 % (+200.0 % to +200.0 %)"),
    ],
)
def test_a_change_is_told_in_percent(value: float, shown: str) -> None:
    assert judged(timed(100.0), timed(value), "p50>+900%") == (False, shown)


def test_a_change_within_noise_says_so_and_breaks_a_strict_rule_alone() -> None:
    old, new = timed(100.0, 90.0, 110.0), timed(110.0, 99.0, 121.0)
    failed, reason = judged(old, new, "p50>+5%")
    assert not failed
    assert reason.endswith(", which is within noise; measure longer to tell")
    assert judged(old, new, "p50>+5%", strict=True)[0]


def outcome(old: Result, new: Result, name: str = "p50") -> Change:
    return change(metric(name), old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((100, 100, 100), (100, 100, 100), "same"),
        ((100, 100, 100), (110, 110, 110), "worse"),
        ((100, 100, 100), (90, 90, 90), "better"),
        # The lower end touches 1.
        ((100, 100, 100), (200, 99.999, 400), "within noise"),
        ((100, 100, 100), (200, 100.1, 400), "worse"),
        # The upper end touches 1.
        ((100, 100, 100), (50, 40, 100.001), "within noise"),
        ((100, 100, 100), (50, 40, 99.9), "better"),
    ],
)
def test_an_interval_that_touches_one_is_noise(old: Any, new: Any, expected: str) -> None:
    assert outcome(timed(*map(float, old)), timed(*map(float, new))).outcome == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"), [(0.0, 0.0, "same"), (0.0, 5.0, "worse"), (5.0, 0.0, "better"), (0.0, -1.0, "better")]
)
def test_values_that_are_not_above_zero_have_a_direction_and_no_ratio(old: float, new: float, expected: str) -> None:
    found = outcome(timed(old), timed(new))
    assert (found.ratio, found.low, found.high, found.outcome) == (None, None, None, expected)


@pytest.mark.parametrize(("low", "high"), [(0.0, 120.0), (-1.0, 120.0)])
def test_an_interval_that_reaches_zero_is_none(low: float, high: float) -> None:
    found = outcome(timed(100.0), timed(110.0, low, high))
    assert (found.low, found.high, found.outcome) == (None, None, "worse")


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(1, 2), st.floats(1, 2), st.floats(1e-3, 1e3))
def test_another_unit_changes_nothing(one: float, other: float, wide: float, wider: float, scale: float) -> None:
    old, new = timed(one, one / wide, one * wide), timed(other, other / wider, other * wider)
    found = outcome(old, new)
    scaled = outcome(
        timed(one * scale, one * scale / wide, one * scale * wide),
        timed(other * scale, other * scale / wider, other * scale * wider),
    )
    assert scaled.ratio == pytest.approx(found.ratio)
    assert (scaled.low, scaled.high) == (pytest.approx(found.low), pytest.approx(found.high))
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.ratio * (1 + 1e-12)
    assert found.high >= found.ratio * (1 - 1e-12)


def test_rules_and_invalid_results_fail_each_by_itself() -> None:
    bad = replace(timed(100.0), verdict="INVALID", reasons=("too short", "too hot"))
    found = compare(timed(100.0), bad, [parse("p50>+5%")])
    assert found.failed
    assert [judgement.failed for judgement in found.judgements] == [False]
    assert found.invalid == ("the new result is INVALID: too short", "the new result is INVALID: too hot")
    assert not compare(timed(100.0), bad, [parse("p50>+5%")], allow_invalid=True).failed
    both = compare(bad, replace(bad, reasons=()), ())
    assert both.invalid[-1] == "the new result is INVALID: no reason"
    assert both.invalid[0] == "the old result is INVALID: too short"
