"""Comparison of two results: intervals, outcomes, rules, refusals."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.results.comparable import differences
from edgekit.benchmarks.results.compare import ALWAYS, Change, Comparison, change, compare
from edgekit.benchmarks.results.metrics import metric
from edgekit.benchmarks.results.records import Estimate, Result
from edgekit.benchmarks.results.rules import parse
from edgekit.errors import InputError

OLD = result()


def with_p99(value: float, low: float, high: float) -> Result:
    return changed(OLD, "latency.p99", Estimate(value, low, high, 2400))


def judged(old: Result, new: Result, rule: str, **options: bool) -> tuple[bool, str]:
    (found,) = compare(old, new, [parse(rule)], **options).judgements
    return found.failed, found.reason


def of(comparison: Comparison, name: str) -> Change:
    return next(c for c in comparison.changes if c.metric.name == name)


def test_a_result_beside_itself_is_the_same_in_everything() -> None:
    found = compare(OLD, OLD, [parse("p99>+0%"), parse("throughput<-0%")])
    assert not found.failed
    assert found.differences == ()
    assert [c.metric.name for c in found.changes] == list(ALWAYS)
    assert {c.outcome for c in found.changes} <= {"within noise", "same"}
    assert of(found, "size").ratio == 1


def test_a_slower_run_is_worse_and_a_faster_one_better() -> None:
    slow = result(slowdown=1.07, seed=3)
    found = compare(OLD, slow)
    assert {name: of(found, name).outcome for name in ("p50", "throughput", "per_inference")} == {
        "p50": "worse",
        "throughput": "worse",
        "per_inference": "worse",
    }
    back = compare(slow, OLD)
    assert of(back, "p50").outcome == of(back, "throughput").outcome == "better"
    assert of(back, "p50").ratio == pytest.approx(1 / of(found, "p50").ratio)


def test_the_interval_of_a_ratio_is_that_of_the_method() -> None:
    found = change(metric("p99"), with_p99(10, 9, 12), with_p99(11, 10, 13))
    down = math.hypot(math.log(11 / 10), math.log(12 / 10))
    up = math.hypot(math.log(13 / 11), math.log(10 / 9))
    assert found.ratio == pytest.approx(1.1)
    assert found.low == pytest.approx(1.1 * math.exp(-down))
    assert found.high == pytest.approx(1.1 * math.exp(up))
    assert found.outcome == "within noise"


@given(st.tuples(*[st.floats(0.1, 100) for _ in range(6)]))
def test_an_interval_holds_its_ratio_and_turns_round_with_the_sides(ends: tuple[float, ...]) -> None:
    a, b = sorted(ends[:3]), sorted(ends[3:])
    old, new = with_p99(a[1], a[0], a[2]), with_p99(b[1], b[0], b[2])
    there, back = change(metric("p99"), old, new), change(metric("p99"), new, old)
    assert there.low <= there.ratio * (1 + 1e-12)
    assert there.ratio <= there.high * (1 + 1e-12)
    assert there.low == pytest.approx(1 / back.high)
    if a[2] < b[0]:
        assert there.outcome == "worse"
        assert back.outcome == "better"


def test_a_change_within_noise_breaks_a_rule_only_where_that_is_strict() -> None:
    new = with_p99(OLD.p99 * 1.06, OLD.p99 * 0.9, OLD.p99 * 1.2)
    failed, reason = judged(OLD, new, "p99>+5%")
    assert not failed
    assert "p99 changed by +" in reason
    assert "within noise; measure longer to tell" in reason
    assert judged(OLD, new, "p99>+5%", strict=True)[0]
    assert not judged(OLD, new, "p99>+25%", strict=True)[0]


@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        ("p50>+5%", True),
        ("p50>+9%", False),
        ("p50<-1%", False),
        ("throughput<-5%", True),
        ("throughput<-9%", False),
        ("load_ms>+1%", False),
        ("p50>26", True),
        ("p50>27", False),
        ("p50<27", True),
        ("agreement<0.95", False),
        ("agreement<0.97", True),
        ("stages.inference.p50>+5%", True),
        ("context.device.cores>+1%", False),
    ],
)
def test_rules_on_a_run_that_is_seven_percent_slower(rule: str, failed: bool) -> None:
    comparison = compare(OLD, result(slowdown=1.07, seed=3), [parse(rule)])
    assert comparison.judgements[0].failed == failed
    assert comparison.failed == failed
    assert parse(rule).metric in [c.metric for c in comparison.changes]


def test_a_rule_about_what_is_unmeasured_is_broken() -> None:
    old, new = result("rock5"), result("rock5")
    assert judged(old, new, "per_inference>+5%") == (True, "per_inference is unmeasured in the new result")
    assert judged(old, new, "peak_share<0.4")[0]
    measured = changed(old, "energy.per_inference", 0.2)
    assert judged(old, measured, "per_inference>+5%") == (True, "per_inference is unmeasured in the old result")
    assert judged(old, measured, "per_inference>0.3") == (False, "per_inference is 0.2 J")
    assert "per_inference" not in [c.metric.name for c in compare(old, new).changes]


def test_a_change_from_nothing_has_no_percentage() -> None:
    old, new = changed(OLD, "memory.device", 0.0), changed(OLD, "memory.device", 30.0)
    failed, reason = judged(old, new, "device_memory>+5%")
    assert failed
    assert reason == "a change in percent needs values above 0: the old is 0, the new 30"
    assert of(compare(old, new, [parse("device_memory>1000")]), "device_memory").outcome == "worse"
    # It may be the new one, as where memory was given back.
    old, new = changed(OLD, "drift.memory", 3.4), changed(OLD, "drift.memory", -1.0)
    assert judged(old, new, "leak>+5%")[1].endswith("values above 0: the old is 3.4, the new -1")


def test_directions_that_nobody_knows_are_told_as_they_are() -> None:
    more = changed(OLD, "latency.n", OLD.latency.n + 1)
    assert change(metric("latency.n"), OLD, more).outcome == "higher"
    assert change(metric("latency.n"), more, OLD).outcome == "lower"


def test_invalid_results_fail_unless_that_is_allowed() -> None:
    bad = result(reasons=("too short", "other load"))
    found = compare(OLD, bad)
    assert found.failed
    assert found.invalid == ("the new result is INVALID: too short", "the new result is INVALID: other load")
    assert found.verdicts == ("VALID", "INVALID")
    assert compare(bad, OLD).invalid[0].startswith("the old result is INVALID")
    assert not compare(bad, bad, allow_invalid=True).failed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("context.device.board", "Raspberry Pi 4"),
        ("context.device.soc", "other"),
        ("context.device.power_mode", "MAXN"),
        ("context.device.core_kinds", {"Cortex-A78AE": 4}),
        ("context.device.virtual", "kvm"),
        ("subject.space", "sha256:other"),
        ("plan.scenario", "offline"),
        ("plan.pipeline", "image"),
        ("plan.batch", 4),
        ("plan.streams", 2),
        ("plan.labels", 10),
        ("plan.data", "other photos"),
    ],
)
def test_results_of_different_things_are_refused(path: str, value: object) -> None:
    other = changed(OLD, path, value)
    with pytest.raises(InputError, match=r"not comparable.*--across") as caught:
        compare(OLD, other)
    assert path in str(caught.value)
    found = compare(OLD, other, across=True)
    assert [d.field for d in found.differences] == [path]
    assert found.differences[0].forbids


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("subject.variant", "fp32", ("int8", "fp32")),
        ("subject.digest", "sha256:new", None),
        ("plan.threads", 4, ("0", "4")),
        ("plan.options", (("x64quantprecision", "1"),), ("none", "x64quantprecision=1")),
        ("plan.seconds", 600.0, ("60", "600")),
        ("context.packages", {**OLD.context.packages, "numpy": "1.26.0"}, ("numpy 2.2.6", "numpy 1.26.0")),
        ("context.before.governors", {"powersave": 6}, ("performance 6", "powersave 6")),
        ("context.device.hostname", "orin-nano-2", ("orin-nano-1", "orin-nano-2")),
    ],
)
def test_what_a_comparison_may_be_about_is_told(path: str, value: object, shown: tuple[str, str] | None) -> None:
    (found,) = differences(OLD, changed(OLD, path, value))
    assert (found.field, found.forbids) == (path, False)
    assert shown is None or (found.old, found.new) == shown
    assert compare(OLD, changed(OLD, path, value)).differences == (found,)


# Follows from what is compared, or may differ without changing what a query costs.
APART = {
    *("subject.size", "subject.precision", "subject.format", "subject.placement", "plan.queries"),
    *("context.device.memory", "context.device.features"),
}


def test_no_setting_and_no_fact_is_left_out_of_a_comparison() -> None:
    """One that is added to the records must be compared, told, or named above."""
    others = {str: "other", int: 77, float: 7.5, bool: True, dict: {"other": 1}, tuple: (("other", "1"),)}
    places = {"subject": OLD.subject, "plan": OLD.plan, "context.device": OLD.context.device}
    silent = set()
    for place, record in places.items():
        for field in fields(record):
            path = f"{place}.{field.name}"
            found = differences(OLD, changed(OLD, path, others[type(getattr(record, field.name))]))
            assert [one.field for one in found] in ([path], [])
            silent |= {path} if not found else set()
    assert silent == APART


def test_what_forbids_comes_first() -> None:
    other = replace(changed(OLD, "plan.batch", 4), edgekit="0.2.0")
    assert [d.field for d in differences(OLD, other)] == ["plan.batch", "edgekit"]


def test_numbers_that_differ_are_never_told_as_the_same() -> None:
    one = changed(result(scenario="server"), "plan.target_qps", 24.123451)
    other = changed(one, "plan.target_qps", 24.123452)
    with pytest.raises(InputError, match=r"plan\.target_qps: 24\.123451 and 24\.123452;"):
        compare(one, other)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_difference_of_numbers_reads_back(old: float, new: float) -> None:
    found = differences(changed(OLD, "plan.seconds", old), changed(OLD, "plan.seconds", new))
    assert [(float(one.old), float(one.new)) for one in found] == ([(old, new)] if old != new else [])


def test_the_interval_of_a_ratio_covers_the_true_one() -> None:
    """Both means of normal times, as an experiment knows them: 95 of 100 intervals must hold the true ratio."""
    stats = pytest.importorskip("scipy.stats")
    draw, truth, held = np.random.default_rng(5), 1.2, 0
    experiments = 400
    for _ in range(experiments):
        ends = []
        for mean, n in ((20.0, 40), (20.0 * truth, 25)):
            times = draw.normal(mean, 0.1 * mean, n)
            half = stats.t.ppf(0.975, n - 1) * times.std(ddof=1) / math.sqrt(n)
            ends.append(Estimate(float(times.mean()), float(times.mean() - half), float(times.mean() + half), n))
        old, new = (changed(OLD, "latency.p99", one) for one in ends)
        found = change(metric("p99"), old, new)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / experiments <= 0.98
