"""Checks that requests share: the first problem is the one that is told."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.running.refusing import not_above_zero, not_among, refuse
from edgekit.errors import InputError


def test_the_first_problem_is_told_and_the_rest_is_not_looked_for() -> None:
    looked: list[str] = []

    def problems():  # type: ignore[no-untyped-def]
        for text in ("one: do this", "two: do that"):
            looked.append(text)
            yield text

    with pytest.raises(InputError, match=r"^one: do this$"):
        refuse(problems())
    assert looked == ["one: do this"]
    refuse(())


@given(st.floats())
def test_amounts_must_be_finite_and_above_zero(amount: float) -> None:
    found = list(not_above_zero("seconds", amount))
    assert bool(found) == (math.isnan(amount) or math.isinf(amount) or amount <= 0)
    assert found in ([], [f"seconds {amount:g}: give a number above 0"])


@pytest.mark.parametrize("amount", [5e-324, sys.float_info.max, 1])
def test_the_least_and_the_greatest_are_amounts(amount: float) -> None:
    assert list(not_above_zero("x", amount)) == []


@given(st.text(max_size=9), st.lists(st.text(max_size=3), max_size=4).map(tuple))
def test_a_word_is_known_or_all_known_ones_are_named(value: str, known: tuple[str, ...]) -> None:
    found = list(not_among("--pipeline", value, known))
    assert found == ([] if value in known else [f"--pipeline {value}: give one of {', '.join(known)}"])


def test_part_of_a_word_is_not_the_word() -> None:
    assert list(not_among("--scenario", "server", ("single-stream", "server"))) == []
    assert list(not_among("--scenario", "serv", ("single-stream", "server"))) == [
        "--scenario serv: give one of single-stream, server"
    ]
