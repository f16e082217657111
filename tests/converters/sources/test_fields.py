"""Fields of users' configurations: what is taken, and what the message says of what is not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.sources import fields
from edgekit.errors import InputError

WHERE = Path("model/config.json")
number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(anything)
def test_any_value_is_taken_or_told_with_file_and_field(value: Any) -> None:
    for read in (fields.whole, fields.real, fields.three):
        try:
            found = read(value, "depth", WHERE)
        except InputError as error:
            assert str(error).startswith("model/config.json: depth is ")
            assert "expected" in str(error)
        else:
            numbers = found if isinstance(found, tuple) else (found,)
            assert all(math.isfinite(each) for each in numbers)


@settings(max_examples=60, deadline=None)
@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_whole_number_is_taken_from_the_least_on(value: int, least: int) -> None:
    if value >= least:
        assert fields.whole(value, "n", WHERE, least) == value
        return
    with pytest.raises(
        InputError, match=f"n is {value}, (a positive integer|an integer of at least {least}) was expect"
    ):
        fields.whole(value, "n", WHERE, least)


@pytest.mark.parametrize("value", [10**400, -(10**400), True, "1", None, float("nan"), -math.inf, [1.0]])
def test_what_is_no_finite_number(value: object) -> None:
    assert not fields.is_real(value)
    with pytest.raises(InputError, match=r"config\.json: logit_scale is .*, a number was expected"):
        fields.real(value, "logit_scale", WHERE)


@pytest.mark.parametrize("value", [True, False, 3.0, "3", None, [3]])
def test_what_only_looks_like_a_whole_number(value: object) -> None:
    with pytest.raises(InputError, match=r"config\.json: size is .*, a positive integer was expected"):
        fields.whole(value, "size", WHERE)


@settings(max_examples=60, deadline=None)
@given(st.lists(number, min_size=1, max_size=5))
def test_one_number_stands_for_three_and_three_for_themselves(values: list[float]) -> None:
    assert fields.three(values[0], "mean", WHERE) == (float(values[0]),) * 3
    if len(values) == 3:
        assert fields.three(values, "mean", WHERE) == tuple(map(float, values))
        assert fields.three(tuple(values), "mean", WHERE) == tuple(map(float, values))
    else:
        with pytest.raises(InputError, match="one or three numbers were expected"):
            fields.three(values, "mean", WHERE)


@pytest.mark.parametrize("value", [0, -0.5, [0.2, 0.0, 0.2], [1, 1, -1], float("nan"), [1, 1, math.inf]])
def test_a_divisor_is_larger_than_zero(value: object) -> None:
    with pytest.raises(InputError, match=r"std is .*, one or three positive numbers were expected"):
        fields.three(value, "std", WHERE, positive=True)
    assert fields.three([1e-9, 1, 2], "std", WHERE, positive=True) == (1e-9, 1.0, 2.0)


@pytest.mark.parametrize("value", [[], "x", 3, True, [{}]])
def test_a_section_is_an_object_or_absent(value: object) -> None:
    assert fields.section({"a": {"b": 1}}, "a", WHERE) == {"b": 1}
    assert fields.section({"a": None}, "a", WHERE) == fields.section({}, "a", WHERE) == {}
    with pytest.raises(InputError, match=r"config\.json: a is .*, an object was expected"):
        fields.section({"a": value}, "a", WHERE)
