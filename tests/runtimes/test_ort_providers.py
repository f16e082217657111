"""Options of providers as data: what is taken, how it is written, and what an error says."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.runtimes import ort_providers
from edgekit.runtimes.ort_providers import ProviderOption, ProviderTable

TABLE = ProviderTable(
    device="chip",
    provider="ChipExecutionProvider",
    source="its manual",
    strictness="takes everything",
    options=(
        ProviderOption("device_id", "integer", "which chip", low=0, high=7),
        ProviderOption("scale", "number", "how much", low=0, high=1),
        ProviderOption("ModelFormat", "choice", "what is made", ("Old", "New")),
        ProviderOption("fast", "flag", "less exact"),
        ProviderOption("fast_math", "flag", "less exact too", ("false", "true")),
        ProviderOption("cache", "text", "a folder"),
        ProviderOption("free", "integer", "any"),
    ),
    defaults=(("ModelFormat", "New"),),
)


def resolve(**options):
    return ort_providers.resolve(TABLE, options)


def test_defaults_are_given_where_the_user_says_nothing() -> None:
    assert resolve() == {"ModelFormat": "New"}
    assert resolve(ModelFormat="Old") == {"ModelFormat": "Old"}
    assert resolve(cache="a/b") == {"ModelFormat": "New", "cache": "a/b"}


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("device_id", "0", "0"),
        ("device_id", "7", "7"),
        ("free", "-12", "-12"),
        ("scale", "0.25", "0.25"),
        ("scale", "1e-3", "1e-3"),
        ("fast", "1", "1"),
        ("fast", "True", "1"),
        ("fast", "false", "0"),
        ("fast_math", "1", "true"),
        ("fast_math", "FALSE", "false"),
    ],
)
def test_values_are_written_as_the_provider_reads_them(name: str, value: str, written: str) -> None:
    assert resolve(**{name: value})[name] == written


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("device_id", "8", "takes an integer from 0 up to 7, not '8'"),
        ("device_id", "-1", "takes an integer from 0 up to 7"),
        ("device_id", "1.0", "takes an integer"),
        ("device_id", "1_0", "takes an integer"),
        ("device_id", " 1", "takes an integer"),
        ("device_id", "", "takes an integer"),
        ("device_id", "١", "takes an integer"),
        ("free", "x", "takes an integer, not 'x'"),
        ("scale", "nan", "takes a number from 0 up to 1"),
        ("scale", "inf", "takes a number"),
        ("scale", "1.01", "takes a number"),
        ("ModelFormat", "new", "takes Old, New, not 'new'"),
        ("fast", "yes", "takes 0 or 1"),
        ("fast_math", "2", "takes 0 or 1"),
        ("cache", "", "takes a text that is not empty"),
    ],
)
def test_other_values_are_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        resolve(**{name: value})
    assert f"the option {name} of the provider chip" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [("deviceid", "device_id"), ("modelformat", "ModelFormat"), ("fast_mth", "fast_math"), ("cach", "cache")],
)
def test_an_unknown_name_is_refused_with_what_is_near(name: str, near: str) -> None:
    with pytest.raises(InputError, match=f"no option '{name}'; did you mean .*{near}"):
        resolve(**{name: "1"})


def test_a_name_that_is_near_nothing_gets_the_list() -> None:
    with pytest.raises(InputError) as caught:
        resolve(xyz="1")
    assert "did you mean" not in str(caught.value)
    assert all(option.name in str(caught.value) for option in TABLE.options)


@given(st.text(min_size=1))
def test_no_name_but_a_known_one_gets_through(name: str) -> None:
    known = {option.name for option in TABLE.options}
    if name in known:
        return
    with pytest.raises(InputError):
        ort_providers.resolve(TABLE, {name: "1"})


@given(st.integers(-100, 100))
def test_ranges_are_closed(value: int) -> None:
    if 0 <= value <= 7:
        assert resolve(device_id=str(value))["device_id"] == str(value)
        return
    with pytest.raises(InputError):
        resolve(device_id=str(value))


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TABLE.device = "other"
