"""Requests: what is refused, what plan they make, and the command that repeats them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.cli_asked import Asked
from edgekit.benchmarks.cli_options import bench_options
from edgekit.benchmarks.cli_runs import requests
from edgekit.benchmarks.running.command import command
from edgekit.benchmarks.running.request import (
    PUBLISH,
    QUICK,
    RunRequest,
    check,
    idle_seconds,
    plan_of,
)
from edgekit.errors import InputError

PLAIN = RunRequest("starter")
SERVER = replace(PLAIN, scenario="server", target_qps=5.0, latency_bound=100.0)


@pytest.mark.parametrize("request_", [PLAIN, SERVER, replace(PLAIN, labels=("a", "b")), replace(SERVER, streams=3)])
def test_what_can_be_run_passes(request_: RunRequest) -> None:
    check(request_)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pipeline": "sound"}, "--pipeline sound: give one of image, text, photo"),
        ({"scenario": "parallel"}, "--scenario parallel"),
        ({"generator": "ours"}, "--generator ours"),
        ({"batch": 0}, "--batch 0: give 1 or more"),
        ({"streams": -1}, "--streams -1"),
        ({"streams": 2}, "single-stream has one; choose multi-stream"),
        ({"threads": -1}, "--threads -1"),
        ({"seconds": 0.0}, "seconds 0"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"silence": float("inf")}, "silence inf"),
        ({"baseline": -1.0}, "baseline -1"),
        ({"queries": -5}, "queries -5"),
        ({"target_qps": 3.0}, "--target-qps belongs to --scenario server"),
        ({"latency_bound": 3.0}, "--latency-bound belongs to --scenario server"),
        ({"scenario": "server"}, "--scenario server needs --target-qps"),
        ({"scenario": "server", "target_qps": 4.0}, "--scenario server needs --latency-bound"),
        ({"scenario": "server", "target_qps": float("inf"), "latency_bound": 1.0}, "needs --target-qps"),
        ({"pipeline": "image", "labels": ("a",)}, "--labels belong to --pipeline photo"),
        ({"labels": ("a", "b", "a")}, "'a' is given twice"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        check(replace(PLAIN, **changes))


@pytest.mark.parametrize(
    ("seconds", "scenario", "queries", "expected"),
    [
        (QUICK, "single-stream", 0, 64),
        (PUBLISH, "multi-stream", 0, 662),
        (QUICK, "offline", 0, 64),
        (59.0, "single-stream", 0, 2),
        (1.0, "single-stream", 9, 9),
    ],
)
def test_a_long_run_makes_as_many_queries_as_its_percentile_needs(
    seconds: float, scenario: Any, queries: int, expected: int
) -> None:
    plan = plan_of(replace(PLAIN, seconds=seconds, scenario=scenario, queries=queries, threads=3))
    assert (plan.queries, plan.seconds, plan.threads) == (expected, seconds, 3)


@pytest.mark.parametrize(
    ("seconds", "baseline", "expected"), [(60.0, None, 6.0), (1.0, None, 2.0), (3600.0, None, 30.0), (60.0, 0.0, 0.0)]
)
def test_the_idle_baseline_is_a_tenth_within_bounds(seconds: float, baseline: float | None, expected: float) -> None:
    assert idle_seconds(replace(PLAIN, seconds=seconds, baseline=baseline)) == expected


@pytest.mark.parametrize(("seconds", "word"), [(QUICK, "--quick"), (PUBLISH, "--publish"), (7.5, "--seconds 7.5")])
def test_the_command_says_how_long(seconds: float, word: str) -> None:
    assert word in command(replace(PLAIN, seconds=seconds))


_NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: not text.startswith("-")
)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        RunRequest,
        bundle=_NAMES,
        pipeline=st.sampled_from(["photo", "image", "text"]),
        scenario=st.sampled_from(["single-stream", "multi-stream", "server", "offline"]),
        generator=st.sampled_from(["edgekit", "loadgen"]),
        variant=st.none() | _NAMES,
        runtime=st.none() | _NAMES,
        device=_NAMES,
        threads=st.none() | st.integers(0, 64),
        options=st.lists(st.tuples(st.sampled_from(["a", "b.c"]), _NAMES), max_size=2).map(tuple),
        batch=st.integers(1, 64),
        streams=st.integers(1, 64),
        target_qps=st.floats(0, 1e9),
        latency_bound=st.floats(0, 1e9),
        seconds=st.floats(1e-3, 1e6) | st.sampled_from([QUICK, PUBLISH]),
        sustained=st.booleans(),
        data=st.none() | _NAMES,
        meters=st.lists(_NAMES, max_size=2).map(tuple),
        roofline=st.booleans(),
        profile=st.booleans(),
        queries=st.integers(0, 1000),
    )
)
def test_the_command_repeats_the_request(request_: RunRequest) -> None:
    """Whatever is asked for, the parser of `edgekit bench` reads the command back as the same request."""
    words = shlex.split(command(request_))
    assert words[:3] == ["edgekit", "bench", request_.bundle]
    assert requests(_parsed(words[2:])) == (request_,)


def _parsed(words: list[str]) -> Asked:
    import click

    found: list[Asked] = []

    @click.command()
    @click.argument("bundle")
    @bench_options
    def take(**typed: Any) -> None:
        found.append(Asked(**typed))

    outcome = CliRunner().invoke(take, words, standalone_mode=False)
    assert outcome.exception is None, (words, outcome.exception)
    return found[0]
