"""Compare two results: what became worse, what is within noise, and which rules are broken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgekit.benchmarks.results.comparable import Difference, differences
from edgekit.benchmarks.results.metrics import Figure, Metric, figure, metric
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result, Verdict
    from edgekit.benchmarks.results.rules import Rule

Outcome = Literal["worse", "better", "higher", "lower", "within noise", "same", "unmeasured"]
"""``higher`` and ``lower`` are for figures of which nobody can say which direction is better."""

ALWAYS = ("p50", "p90", "p99", "throughput", "rss_peak", "per_inference", "first_ms", "load_ms", "size", "agreement")
"""Metrics that a comparison shows beside those of its rules."""


@dataclass(frozen=True)
class Change:
    """One metric in both results.

    Attributes:
        metric: which.
        old: its figure there.
        new: likewise.
        ratio: new value over the old; None where one is unmeasured or the old one is not above 0.
        low: lower end of the ratio's 95 % interval; None where a result gives no interval.
        high: upper end.
        outcome: whether the interval leaves 1 out, and on which side; by the values alone where there is no interval.
    """

    metric: Metric
    old: Figure
    new: Figure
    ratio: float | None
    low: float | None
    high: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Judgement:
    """What became of a rule.

    Attributes:
        rule: as it was given.
        failed: whether it is broken.
        reason: why it is or is not.
    """

    rule: str
    failed: bool
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Two results side by side.

    Attributes:
        old: id of the result.
        new: id of the other.
        verdicts: of both.
        differences: what they do not share.
        changes: metrics, `ALWAYS` and those of the rules; what neither result measured is left out.
        judgements: of the rules, in their order.
        invalid: reasons of the results that are INVALID, unless those were allowed.
        failed: whether a rule is broken or a result is INVALID.
    """

    old: str
    new: str
    verdicts: tuple[Verdict, Verdict]
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    judgements: tuple[Judgement, ...]
    invalid: tuple[str, ...]
    failed: bool


def compare(
    old: Result,
    new: Result,
    rules: Sequence[Rule] = (),
    *,
    across: bool = False,
    allow_invalid: bool = False,
    strict: bool = False,
) -> Comparison:
    """Compare two results.

    The interval of a ratio follows from those of both figures by recovering their variances on the logarithmic scale
    (MOVER; Zou and Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008).
    It covers what varies within a run, and not what varies from run to run.

    Args:
        old: the result to hold against.
        new: the result in question.
        rules: that must not be broken.
        across: whether results of different models, devices or work may be compared.
        allow_invalid: whether results that are INVALID may be compared.
        strict: whether a change breaks a rule even where it is within noise.

    Returns:
        The comparison.

    Raises:
        InputError: the results are not comparable, or a rule names what a result lacks.
    """
    found = differences(old, new)
    if not across:
        _refuse([difference for difference in found if difference.forbids])
    changes = {name: change(metric(name), old, new) for name in ALWAYS}
    for rule in rules:
        changes.setdefault(rule.metric.name, change(rule.metric, old, new))
    judgements = tuple(_judge(rule, changes[rule.metric.name], strict) for rule in rules)
    invalid: list[str] = []
    if not allow_invalid:
        for name, result in (("old", old), ("new", new)):
            if result.verdict == "INVALID":
                invalid += [f"the {name} result is INVALID: {reason}" for reason in result.reasons or ("no reason",)]
    return Comparison(
        old.id,
        new.id,
        (old.verdict, new.verdict),
        found,
        tuple(c for c in changes.values() if c.old.value is not None or c.new.value is not None),
        judgements,
        tuple(invalid),
        bool(invalid) or any(judgement.failed for judgement in judgements),
    )


def change(asked: Metric, old: Result, new: Result) -> Change:
    """Compare one metric of two results.

    Args:
        asked: the metric.
        old: one result.
        new: the other.

    Returns:
        Both figures, their ratio and what it means.

    Raises:
        InputError: a result has no such entry.
    """
    before, after = figure(old, asked), figure(new, asked)
    if before.value is None or after.value is None:
        return Change(asked, before, after, None, None, None, "unmeasured")
    if before.value <= 0 or after.value <= 0:
        return Change(asked, before, after, None, None, None, _direction(asked, before.value, after.value))
    ratio = after.value / before.value
    low, high = _interval(ratio, before, after)
    if low is not None and high is not None and low <= 1 <= high:
        return Change(asked, before, after, ratio, low, high, "same" if low == high else "within noise")
    return Change(asked, before, after, ratio, low, high, _direction(asked, before.value, after.value))


def _interval(ratio: float, old: Figure, new: Figure) -> tuple[float | None, float | None]:
    ends = (old.low, old.high, new.low, new.high)
    if old.value is None or new.value is None or any(end is None or end <= 0 for end in ends):
        return None, None
    old_low, old_high, new_low, new_high = (math.log(end) for end in ends if end is not None)
    old_value, new_value = math.log(old.value), math.log(new.value)
    down = math.hypot(new_value - new_low, old_high - old_value)
    up = math.hypot(new_high - new_value, old_value - old_low)
    return ratio * math.exp(-down), ratio * math.exp(up)


def _direction(asked: Metric, old: float, new: float) -> Outcome:
    if old == new:
        return "same"
    if not asked.better:
        return "higher" if new > old else "lower"
    return "better" if (new > old) == (asked.better == "higher") else "worse"


def _judge(rule: Rule, found: Change, strict: bool) -> Judgement:
    if found.new.value is None or (rule.relative and found.old.value is None):
        which = "new" if found.new.value is None else "old"
        return Judgement(rule.text, True, f"{rule.metric.name} is unmeasured in the {which} result")
    if not rule.relative:
        broken = _beyond(rule, found.new.value)
        return Judgement(rule.text, broken, f"{rule.metric.name} is {found.new.value:.6g} {rule.metric.unit}".rstrip())
    if found.ratio is None:
        values = f"the old is {found.old.value:g}, the new {found.new.value:g}"
        return Judgement(rule.text, True, f"a change in percent needs values above 0: {values}")
    shown = f"{rule.metric.name} changed by {_percent(found.ratio)}"
    if found.low is not None and found.high is not None:
        shown += f" ({_percent(found.low)} to {_percent(found.high)})"
    if not _beyond(rule, found.ratio - 1):
        return Judgement(rule.text, False, shown)
    if found.outcome == "within noise" and not strict:
        return Judgement(rule.text, False, f"{shown}, which is within noise; measure longer to tell")
    return Judgement(rule.text, True, shown)


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def _beyond(rule: Rule, value: float) -> bool:
    return value > rule.limit if rule.operator == ">" else value < rule.limit


def _refuse(forbidding: list[Difference]) -> None:
    if forbidding:
        listed = "; ".join(f"{found.field}: {found.old} and {found.new}" for found in forbidding)
        raise InputError(f"the results are not comparable: {listed}; --across compares them all the same")
