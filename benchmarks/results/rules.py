"""Rules such as ``p99>+5%`` that a comparison must not break: their grammar and its messages.

    rule   = metric ("<" | ">") limit
    metric = short name or dotted path, as `edgekit.benchmarks.results.metrics.metric` knows them
    limit  = ("+" | "-") number "%"     a change from the old result to the new one
           | number                     a value of the new result, in the metric's unit

Spaces may stand around each part.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from edgekit.benchmarks.results.metrics import METRICS, Metric, UnknownMetricError, metric
from edgekit.errors import InputError

_NAME = re.compile(r"[^\s<>=]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Rule:
    """A condition under which a comparison fails.

    Attributes:
        text: as it was given.
        metric: that it is about.
        operator: fails when the figure is greater, or less.
        limit: of the change as a fraction, such as 0.05, when `relative`; else of the new value in the metric's unit.
        relative: whether the limit is one of a change.
    """

    text: str
    metric: Metric
    operator: Literal["<", ">"]
    limit: float
    relative: bool


def parse(text: str) -> Rule:
    """Read a rule.

    Args:
        text: such as ``p99>+5%``, ``throughput<-3%``, ``memory.rss_peak > 800``.

    Returns:
        The rule.

    Raises:
        InputError: it is none; the message shows the place and what is known there.
    """
    place = _skip(text, 0)
    name = _NAME.match(text, place)
    if not name:
        raise _wrong(text, place, "a metric is missing, as in p99>+5%")
    asked = _metric(text, name)
    place = _skip(text, name.end())
    operator = text[place : place + 1]
    if operator not in ("<", ">"):
        raise _wrong(text, place, f"after {asked.name}, > or < is missing, as in {asked.name}>+5%")
    limit, relative, end = _limit(text, _skip(text, place + 1))
    if end != len(text):
        raise _wrong(text, end, "the rule should end here; give each rule its own --fail-if")
    return Rule(text, asked, "<" if operator == "<" else ">", limit, relative)


def _metric(text: str, name: re.Match[str]) -> Metric:
    try:
        return metric(name.group())
    except UnknownMetricError as error:
        parts = name.group().split(".")
        place = name.start() + sum(len(part) + 1 for part in parts[: error.part])
        near = get_close_matches(name.group(), [known.name for known in METRICS], 1) if not error.part else []
        raise _wrong(text, place, f"{error}{f'; did you mean {near[0]}?' if near else ''}") from error


def _limit(text: str, place: int) -> tuple[float, bool, int]:
    """Return the limit, whether it is of a change, and where the rule ends."""
    sign = text[place : place + 1]
    signed = sign in ("+", "-") and sign != ""
    number = _NUMBER.match(text, place + signed)
    if not number:
        raise _wrong(text, place + signed, "a number is missing, as in +5% for a change or 40 for a value")
    value = float(number.group())
    if not math.isfinite(value):
        raise _wrong(text, number.start(), "the number is too large")
    percent = text[number.end() : number.end() + 1] == "%"
    if signed != percent:
        shown = number.group()
        raise _wrong(
            text, place, f"write +{shown}% or -{shown}% for a change, {shown} for a value in the metric's unit"
        )
    end = _skip(text, number.end() + percent)
    return (-value if sign == "-" else value) / (100 if percent else 1), percent, end


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _wrong(text: str, place: int, why: str) -> InputError:
    # One column a character: a tab or a line's end in the rule would move the mark.
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return InputError(f"rule {text!r}, character {place + 1}: {why}\n  {shown}\n  {' ' * place}^")
