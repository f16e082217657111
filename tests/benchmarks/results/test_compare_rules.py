"""The grammar of rules, and what its messages point at."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgekit.benchmarks.results.metrics import METRICS, metric
from edgekit.benchmarks.results.rules import Rule, parse
from edgekit.errors import InputError

_SPACES = st.text(" \t", max_size=2)
_NUMBERS = st.floats(0, 1e12, allow_nan=False).map(lambda value: f"{value:.6g}")
_NAMES = st.sampled_from([*(known.name for known in METRICS), "stages.decode.p99", "latency.n", "energy.joules"])


@given(_NAMES, st.sampled_from("<>"), st.sampled_from("+-"), _NUMBERS, st.lists(_SPACES, min_size=4, max_size=4))
def test_a_change_is_read_back_as_it_was_written(
    name: str, operator: str, sign: str, number: str, spaces: list[str]
) -> None:
    before, after, around, end = spaces
    text = f"{before}{name}{after}{operator}{around}{sign}{number}%{end}"
    rule = parse(text)
    assert (rule.text, rule.metric, rule.operator, rule.relative) == (text, metric(name), operator, True)
    assert rule.limit == pytest.approx(float(f"{sign}{number}") / 100)


@given(_NAMES, st.sampled_from("<>"), _NUMBERS)
def test_a_value_is_read_back_as_it_was_written(name: str, operator: str, number: str) -> None:
    rule = parse(f"{name}{operator}{number}")
    assert (rule.limit, rule.relative) == (float(number), False)


@given(st.text(max_size=40) | st.text("p5099<>+-% .e1 ", max_size=14))
@example("p99>+5%%")
@example("p99>+1e999%")
@example("p99>")
@example("p99>+")
@example("p99>+٣%")
def test_any_text_is_a_rule_or_a_message_that_shows_its_place(text: str) -> None:
    try:
        rule = parse(text)
    except InputError as error:
        _, shown, mark = str(error).split("\n")
        place = int(str(error).split("character ", 1)[1].split(":")[0]) - 1
        assert 0 <= place <= len(text)
        assert mark == f"  {' ' * place}^"
        assert len(shown) == len(text) + 2
    else:
        assert isinstance(rule, Rule)
        assert math.isfinite(rule.limit)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", 0, "a metric is missing"),
        ("   ", 3, "a metric is missing"),
        (">+5%", 0, "a metric is missing"),
        ("p9>+5%", 0, "unknown metric 'p9'; known: p50, p90, p99, mean, throughput"),
        ("thruput>+5%", 0, "did you mean throughput?"),
        ("stages.decode.p5>+2%", 14, "stages.decode has no 'p5'; it has p50, p90, p99, share"),
        ("p99", 3, "after p99, > or < is missing, as in p99>+5%"),
        ("p99=5", 3, "> or < is missing"),
        ("p99 5", 4, "> or < is missing"),
        ("p99>=5", 4, "a number is missing"),
        ("p99>", 4, "a number is missing"),
        ("p99>+", 5, "a number is missing"),
        ("p99>five", 4, "a number is missing"),
        ("p99>5%", 4, "write +5% or -5% for a change, 5 for a value"),
        ("p99>+5", 4, "write +5% or -5% for a change, 5 for a value"),
        ("p99>1e999", 4, "the number is too large"),
        ("p99>+5% or so", 8, "the rule should end here; give each rule its own --fail-if"),
        ("p99>5ms", 5, "the rule should end here"),
        ("p99>+5%,p50>+5%", 7, "the rule should end here"),
    ],
)
def test_the_place_of_the_first_fault_is_shown(text: str, place: int, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"\n  {text}\n  {' ' * place}^")


def test_a_control_character_cannot_move_the_mark() -> None:
    with pytest.raises(InputError) as caught:
        parse("p99\n>\x1b[2J")
    assert "\x1b" not in str(caught.value)
    assert str(caught.value).endswith("\n  p99?>?[2J\n       ^")


def test_limits_below_zero_are_changes_only() -> None:
    assert parse("throughput<-3%").limit == -0.03
    with pytest.raises(InputError, match=r"write \+3% or -3% for a change"):
        parse("throughput<-3")
