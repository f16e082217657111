"""Names of runs in a report: never two alike, whatever the runs have in common."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_record import any_result
from bench_results import changed, result
from edgekit.benchmarks.report import names

RUN = result()
# What a reader may tell runs apart by, and values that differ, are alike, or look like a name that is made.
FIELDS: dict[str, list[Any]] = {
    "subject.variant": ["int8", "int8 · run 1", "int8 · run 2", ""],
    "subject.bundle": ["vit-b-32", "run 1"],
    "subject.device": ["cpu", "gpu"],
    "context.device.hostname": ["orin-nano-1", "raspberrypi", ""],
    "context.device.board": ["", "Raspberry Pi 5 Model B Rev 1.0"],
    "context.device.power_mode": ["", "MAXN"],
    "plan.batch": [1, 4],
    "plan.sustained": [False, True],
}
CHANGES = st.fixed_dictionaries({path: st.sampled_from(values) for path, values in FIELDS.items()})


@settings(deadline=None, max_examples=50)
@given(st.lists(CHANGES, max_size=7))
def test_no_two_runs_have_one_name(changes: list[dict[str, Any]]) -> None:
    runs = []
    for one in changes:
        run = RUN
        for path, value in one.items():
            run = changed(run, path, value)
        runs.append(run)
    found = names.labels(runs)
    assert len(found) == len(runs)
    assert len(set(found)) == len(found)
    assert names.labels(list(runs)) == found


@pytest.mark.parametrize("seed", range(12))
def test_any_results_have_names_of_their_own(seed: int) -> None:
    runs = [any_result(seed), any_result(seed), any_result(seed + 1), any_result(seed)]
    found = names.labels(runs)
    assert len(set(found)) == 4


def test_a_name_that_looks_like_a_made_one_is_left_to_the_run_that_has_it() -> None:
    assert names.labels([RUN, RUN, changed(RUN, "subject.variant", "int8 · run 1")]) == [
        "int8 · run 2",
        "int8 · run 3",
        "int8 · run 1",
    ]


TELLING = ["subject.device", "context.device.hostname", "context.device.power_mode", "plan.batch", "plan.sustained"]


@settings(deadline=None, max_examples=40)
@given(CHANGES, st.sampled_from(TELLING))
def test_what_alone_differs_tells_runs_apart_and_no_number_does(base: dict[str, Any], path: str) -> None:
    one = RUN
    for name, value in base.items():
        one = changed(one, name, value)
    first, second = (changed(one, path, value) for value in FIELDS[path][:2])
    found = names.labels([first, second])
    assert not all(name.endswith(("· run 1", "· run 2")) for name in found)
    assert names.labels([second, first]) == found[::-1]
