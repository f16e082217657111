"""What was typed, as words again: read by the command's own parser, they give the same request."""

from __future__ import annotations

import math
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.cli import bench
from edgekit.benchmarks.cli_asked import Asked
from edgekit.benchmarks.cli_options import numbers
from edgekit.benchmarks.cli_runs import requests
from edgekit.benchmarks.cli_words import DEFAULTS, words
from edgekit.benchmarks.results.records import Generator, Pipeline, ScenarioName
from edgekit.benchmarks.running.command import command, shown
from edgekit.benchmarks.running.request import PUBLISH, QUICK, RunRequest

# Anything that a shell could hand over: no NUL, and bytes that are no UTF-8 come as surrogates elsewhere.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
AMOUNTS = st.floats(1e-9, 1e9)
COUNTS = st.lists(st.integers(1, 999), min_size=1, max_size=3, unique=True).map(tuple)
PAIRS = st.tuples(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), NAMES)


def parsed(*typed: str) -> Asked:
    """Read options as ``edgekit bench`` does, and run nothing."""
    context = bench.make_context("bench", list(typed))
    return Asked(**context.params)


@st.composite
def asked(draw: Any) -> Asked:
    """Options that say what is measured, at random; those that say where it runs are as by default."""
    plain = parsed("a.edge")
    length = draw(st.sampled_from(["quick", "publish", "soak", "seconds", ""]))
    return replace(
        plain,
        scenario=draw(st.sampled_from(get_args(ScenarioName))),
        pipeline=draw(st.sampled_from(get_args(Pipeline))),
        generator=draw(st.sampled_from(get_args(Generator))),
        quick=length == "quick",
        publish=length == "publish",
        soak=draw(AMOUNTS) if length == "soak" else None,
        seconds=draw(AMOUNTS) if length == "seconds" else None,
        queries=draw(st.integers(0, 10**9)),
        sustained=draw(st.booleans()),
        batch=draw(COUNTS),
        threads=draw(st.lists(st.integers(0, 99), max_size=3, unique=True).map(tuple)),
        streams=draw(COUNTS),
        target_qps=draw(st.just(0.0) | AMOUNTS),
        latency_bound=draw(st.just(0.0) | AMOUNTS),
        data=draw(st.none() | NAMES.map(Path)),
        labels=draw(st.none() | NAMES.map(Path)),
        variant=draw(st.none() | NAMES),
        runtime=draw(st.none() | NAMES),
        device=draw(st.just("auto") | NAMES),
        engine_options=draw(st.lists(NAMES, max_size=2).map(tuple)),
        meters=draw(st.lists(NAMES, max_size=2).map(tuple)),
        everything=draw(st.booleans()),
        vs=draw(st.lists(NAMES, max_size=2).map(tuple)),
        vs_runtime=draw(st.lists(NAMES, max_size=2).map(tuple)),
        vs_peer=draw(st.lists(NAMES, max_size=2).map(tuple)),
        profile=draw(st.booleans()),
        roofline=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=60)
@given(asked())
def test_words_are_read_back_as_what_was_typed(one: Asked) -> None:
    typed = [str(word) for word in words(one)]
    assert parsed("a.edge", *typed) == one


@settings(deadline=None, max_examples=60)
@given(asked())
def test_a_line_for_a_shell_is_read_back_too(one: Asked) -> None:
    line = shlex.join(["a.edge", *map(str, words(one))])
    assert parsed(*shlex.split(line)) == one


@settings(deadline=None, max_examples=60)
@given(asked())
def test_paths_are_paths_so_that_a_board_gets_the_files(one: Asked) -> None:
    found = [word for word in words(one) if isinstance(word, Path)]
    assert found == [path for path in (one.data, one.labels) if path is not None]


def test_defaults_are_those_of_the_command() -> None:
    plain = parsed("a.edge")
    assert {name: getattr(plain, name) for name in DEFAULTS} == DEFAULTS
    assert words(plain) == ()
    assert {field.name for field in fields(Asked)} == set(bench.make_context("bench", ["a.edge"]).params)


@st.composite
def requested(draw: Any) -> RunRequest:
    """A run as it was settled: variant, runtime and device are known."""
    return RunRequest(
        bundle=draw(NAMES.filter(lambda name: not name.startswith("-"))),
        pipeline=draw(st.sampled_from(get_args(Pipeline))),
        scenario=draw(st.sampled_from(get_args(ScenarioName))),
        generator=draw(st.sampled_from(get_args(Generator))),
        variant=draw(NAMES),
        runtime=draw(NAMES),
        device=draw(NAMES),
        threads=draw(st.none() | st.integers(0, 512)),
        options=draw(st.lists(PAIRS, max_size=2).map(tuple)),
        batch=draw(st.integers(1, 4096)),
        streams=draw(st.integers(1, 64)),
        target_qps=draw(st.just(0.0) | AMOUNTS),
        latency_bound=draw(st.just(0.0) | AMOUNTS),
        seconds=draw(st.sampled_from([QUICK, PUBLISH]) | AMOUNTS),
        queries=draw(st.integers(0, 10**6)),
        sustained=draw(st.booleans()),
        data=draw(st.none() | NAMES.map(lambda name: str(Path(name)))),
        meters=draw(st.lists(NAMES, max_size=2).map(tuple)),
        roofline=draw(st.booleans()),
        profile=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=80)
@given(requested())
def test_the_command_of_a_result_repeats_its_request(request: RunRequest) -> None:
    """Whatever the names are: quotes, spaces, newlines, other scripts."""
    program, name, *typed = shlex.split(command(request))
    assert (program, name) == ("edgekit", "bench")
    (again,) = requests(parsed(*typed))
    assert again == request


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_number(value: float) -> None:
    assert float(shown(value)) == value
    assert not shown(value).endswith(".0") or abs(value) >= 1e6


@pytest.mark.parametrize(
    ("value", "text"),
    [(60.0, "60"), (0.5, "0.5"), (1 / 3, repr(1 / 3)), (1e-9, "1e-09"), (123456.0, "123456"), (7, "7"), ("x", "x")],
)
def test_numbers_are_typed_as_a_person_would(value: object, text: str) -> None:
    assert shown(value) == text


def read(given: str, least: int = 1) -> tuple[int, ...]:
    parameter = click.Option(["--batch"])
    return numbers(least)(click.Context(bench), parameter, given)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6))
def test_numbers_with_commas_come_each_once_in_their_order(given: list[int]) -> None:
    assert read(",".join(map(str, given))) == tuple(dict.fromkeys(given))


@given(st.text("0123456789,-+ ._ex٣", max_size=8))
def test_any_text_is_numbers_or_one_clear_refusal(given: str) -> None:
    try:
        found = read(given)
    except click.BadParameter as error:
        assert repr(given) in error.message
        assert "such as 1,4,16" in error.message or "give numbers of 1 or more" in error.message
    else:
        assert all(number >= 1 for number in found)
        assert (found == ()) == (given == "")


@pytest.mark.parametrize("given", ["1,", ",1", "1,,2", "a", "1.5", "1e3", "inf", " ", "1;2"])
def test_what_are_no_numbers(given: str) -> None:
    with pytest.raises(click.BadParameter, match="give whole numbers with commas between them, such as 1,4,16"):
        read(given)


@pytest.mark.parametrize(
    ("given", "least", "good"), [("0", 0, True), ("0", 1, False), ("1", 1, True), ("3,0", 1, False)]
)
def test_the_least_number_is_taken_and_what_is_below_is_not(given: str, least: int, good: bool) -> None:
    if good:
        assert read(given, least) == (int(given),)
    else:
        with pytest.raises(click.BadParameter, match=f"give numbers of {least} or more"):
            read(given, least)


@pytest.mark.parametrize("typed", [("--seconds", "nan"), ("--seconds", "inf"), ("--seconds", "-1"), ("--seconds", "0")])
def test_a_length_that_is_none_reaches_the_check_of_the_request(typed: tuple[str, str]) -> None:
    from edgekit.benchmarks.running.request import check
    from edgekit.errors import InputError

    (request,) = requests(parsed("a.edge", *typed))
    assert not (math.isfinite(request.seconds) and request.seconds > 0)
    with pytest.raises(InputError, match=r"seconds .*: give a number above 0"):
        check(request)
