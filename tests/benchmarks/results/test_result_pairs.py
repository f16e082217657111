"""Results of two folders are matched by what they are of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_results import changed, result
from edgekit.benchmarks.results.pairs import pair
from edgekit.errors import InputError

INT8, FP32, FP16 = (result(variant=variant) for variant in ("int8", "fp32", "fp16"))


def test_results_are_matched_by_variant_in_the_order_of_the_old_ones() -> None:
    newer = [result(variant=variant, seed=1) for variant in ("fp32", "int8")]
    found = pair([INT8, FP32], newer)
    assert found.both == ((INT8, newer[1]), (FP32, newer[0]))
    assert found.missing == found.added == ()


def test_what_one_side_lacks_is_named() -> None:
    found = pair([INT8, FP32], [INT8, FP16])
    assert found.both == ((INT8, INT8),)
    named = (
        "vit-b-32 {} on onnxruntime (cpu), single-stream photo batch 1 threads 0 streams 1,"
        " NVIDIA Jetson Orin Nano Developer Kit, Tegra234, nvpmodel 15W"
    )
    assert found.missing == (named.format("fp32"),)
    assert found.added == (named.format("fp16"),)


def test_one_result_on_each_side_belongs_together_whatever_it_is() -> None:
    assert pair([INT8], [FP32]).both == ((INT8, FP32),)


def test_settings_tell_results_apart() -> None:
    runs = [
        result(batch=b, threads=t, scenario="multi-stream", streams=s)
        for b, t, s in [(1, 1, 1), (4, 1, 1), (1, 2, 1), (1, 1, 2)]
    ]
    runs += [result(pipeline="text"), changed(INT8, "plan.options", (("a", "1"),))]
    assert pair(runs, list(reversed(runs))).both == tuple((run, run) for run in runs)


def test_two_results_of_the_same_thing_are_refused() -> None:
    again = changed(INT8, "id", "another")
    with pytest.raises(InputError, match=f"two new results are of the same thing.*{INT8.id} and another; keep one"):
        pair([INT8, FP32], [INT8, again])


def test_other_devices_match_only_across() -> None:
    here, there = [INT8, FP32], [result("pi5", "int8"), result("pi5", "fp32")]
    with pytest.raises(InputError, match=r"no old result matches a new one.*--across"):
        pair(here, there)
    assert len(pair(here, there, across=True).both) == 2


def test_a_board_in_another_power_mode_is_another_device() -> None:
    faster = changed(INT8, "context.device.power_mode", "nvpmodel MAXN")
    assert len(pair([INT8, faster], [INT8, faster]).both) == 2


# What results are matched by, and two values of each.
TOLD: dict[str, tuple[Any, Any]] = {
    "subject.bundle": ("vit-b-32", "vit-l-14"),
    "subject.variant": ("int8", "fp32"),
    "subject.runtime": ("onnxruntime", "litert"),
    "subject.device": ("cpu", "gpu"),
    "plan.scenario": ("single-stream", "server"),
    "plan.pipeline": ("photo", "image"),
    "plan.batch": (1, 4),
    "plan.threads": (0, 4),
    "plan.streams": (1, 2),
    "plan.options": ((), (("a", "1"),)),
    # More digits than a glance has.
    "plan.target_qps": (24.123451, 24.123452),
    "context.device.board": ("NVIDIA Jetson Orin Nano Developer Kit", "Radxa ROCK 5B"),
    "context.device.soc": ("Tegra234", "RK3588"),
    "context.device.power_mode": ("nvpmodel 15W", "nvpmodel MAXN"),
}


@settings(deadline=None, max_examples=60)
@given(st.sets(st.tuples(*[st.booleans()] * len(TOLD)), min_size=3, max_size=6))
def test_results_that_do_not_match_do_not_read_alike(chosen: set[tuple[bool, ...]]) -> None:
    runs = []
    for places in sorted(chosen):
        run = INT8
        for (path, values), place in zip(TOLD.items(), places, strict=True):
            run = changed(run, path, values[place])
        runs.append(run)
    found = pair(runs, runs[:2])
    assert found.both == tuple((run, run) for run in runs[:2])
    assert len(found.missing) == len(set(found.missing)) == len(runs) - 2
    with pytest.raises(InputError, match="no old result matches") as caught:
        pair(runs[:1], runs[1:])
    old, new = str(caught.value).split(", the new ones are of ")
    assert old.partition("the old ones are of ")[2] not in new


@pytest.mark.parametrize("path", TOLD)
def test_each_setting_alone_keeps_results_apart(path: str) -> None:
    one, other = (changed(INT8, path, value) for value in TOLD[path])
    found = pair([one, other], [other, one])
    assert found.both == ((one, one), (other, other))
    if path == "subject.bundle" or path.startswith("context."):
        with pytest.raises(InputError, match="two old results are of the same thing"):
            pair([one, other], [FP32, FP16], across=True)
    else:
        assert len(pair([one, other], [other, one], across=True).both) == 2
