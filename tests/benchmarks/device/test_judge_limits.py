"""What surrounds a run, exactly at each limit and beyond it; samples before the measured part never count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench_results
from edgekit.benchmarks.device import judge
from edgekit.benchmarks.device.judge import CLOCK_SHARE, OTHER_LOAD, OTHER_LOAD_PEAK, OTHER_SERIES, reasons
from edgekit.benchmarks.results.energy_records import Series

CONTEXT = bench_results.result("pi5").context
QUIET = replace(CONTEXT.before, governors={"performance": 4}, throttled=(), other_load=0.0)


def series(name: str, kind: Any, unit: str, meter: str, values: list[float], begin: float = 0.0) -> Series:
    return Series(name, kind, unit, meter, tuple(begin + i for i in range(len(values))), tuple(values))


def load(*values: float, begin: float = 0.0) -> Series:
    return series(OTHER_SERIES, "load", "%", "other-load", list(values), begin)


def clock(*values: float, name: str = "clock cpu0", begin: float = 0.0) -> Series:
    return series(name, "clock", "MHz", "cpufreq", list(values), begin)


def told(*found: Series, before: Any = QUIET, after: Any = QUIET, sustained: bool = False) -> tuple[str, ...]:
    return reasons(before, after, found, sustained)


@pytest.mark.parametrize(
    ("limit", "beyond"),
    [(OTHER_LOAD, OTHER_LOAD + 0.001), (0.0, 0.21), (None, 1.0)],
)
def test_other_load_before_and_after(limit: float | None, beyond: float) -> None:
    assert told(before=replace(QUIET, other_load=limit), after=replace(QUIET, other_load=limit)) == ()
    (reason,) = told(before=replace(QUIET, other_load=beyond))
    assert reason == (
        f"other load: other programs kept {beyond:.2f} processors busy before the run (allowed: 0.20); end them and "
        "run again"
    )
    (reason,) = told(after=replace(QUIET, other_load=beyond))
    assert "busy after the run" in reason


def test_the_mean_during_the_run_may_be_as_high_as_the_limit() -> None:
    assert told(load(100 * OTHER_LOAD, 100 * OTHER_LOAD)) == ()
    (reason,) = told(load(*[100 * OTHER_LOAD + 0.1] * 20))
    assert "kept 0.20 processors busy during the run (0.20 at the 95th percentile)" in reason


def test_one_reading_of_twenty_may_be_high_and_two_may_not() -> None:
    high = 100 * OTHER_LOAD_PEAK + 10
    assert told(load(*[0.0] * 39, high)) == ()
    (reason,) = told(load(*[0.0] * 17, high, high, high))
    assert "(0.60 at the 95th percentile)" in reason


@pytest.mark.parametrize(("readings", "wrong"), [(9, False), (10, True)])
def test_few_readings_tell_nothing_of_the_peak(readings: int, wrong: bool) -> None:
    """Ten at least; the mean of these stays below its limit."""
    values = [0.0] * (readings - 2) + [60.0, 60.0]
    assert sum(values) / readings < 100 * OTHER_LOAD
    assert bool(told(load(*values))) == wrong


def test_readings_at_the_begin_count_and_those_before_do_not() -> None:
    assert told(load(900.0, begin=-0.001)) == ()
    assert told(load(900.0, begin=0.0)) != ()
    # Five loud seconds before it, five quiet ones in it.
    assert told(load(*[900.0] * 5, *[0.0] * 5, begin=-5.0)) == ()
    assert told(load(*[900.0] * 6, *[0.0] * 5, begin=-5.0)) != ()


def test_a_series_without_samples_says_nothing() -> None:
    assert told(load(), clock(), series("throttle hot", "throttle", "flag", "x", [])) == ()


def test_the_fastest_clock_may_fall_to_nine_tenths() -> None:
    usual = [2000.0] * 18
    assert told(clock(*usual, *[2000 * CLOCK_SHARE] * 2)) == ()
    (reason,) = told(clock(*usual, *[2000 * CLOCK_SHARE - 1] * 2))
    assert reason == (
        "clocks: the fastest processor was at 1799 MHz or less in 5 % of the readings, usually at 2000; set the "
        "governor performance, or cool the device"
    )
    assert told(clock(*usual, 100.0, 100.0), sustained=True) == ()


@pytest.mark.parametrize(("readings", "wrong"), [(9, False), (10, True)])
def test_few_readings_tell_nothing_of_clocks(readings: int, wrong: bool) -> None:
    assert bool(told(clock(*[2000.0] * (readings - 1), 500.0))) == wrong


def test_a_cluster_that_idles_beside_a_fast_one_is_no_fault() -> None:
    assert told(clock(*[2400.0] * 20), clock(*[600.0] * 20, name="clock cpu4")) == ()
    # What counts is the fastest at each moment, whichever it is.
    turns = [2400.0, 600.0] * 10
    assert told(clock(*turns), clock(*turns[1:], 2400.0, name="clock cpu4")) == ()


def test_clocks_of_other_meters_are_not_the_processors() -> None:
    gpu = series("clock gpu", "clock", "MHz", "devfreq", [900.0] * 10 + [100.0] * 10)
    assert told(gpu) == ()


@pytest.mark.parametrize(
    ("governors", "count"),
    [
        ({"powersave": 2}, 2),
        ({"powersave (intel_pstate, power)": 3}, 3),
        ({"powersave": 2, "powersave (intel_pstate, power)": 3}, 5),
        ({"powersave (intel_pstate, balance_performance)": 3}, 0),
        ({"schedutil": 4}, 0),
        ({}, 0),
    ],
)
def test_processors_that_are_held_at_their_lowest_clock_are_counted(governors: dict[str, int], count: int) -> None:
    found = told(before=replace(QUIET, governors=governors), after=replace(QUIET, governors=governors))
    assert bool(found) == bool(count)
    if count:
        assert found[0].startswith(f"governor: {count} processors are held at their lowest clock by powersave; set")


@pytest.mark.parametrize(
    ("unit", "values", "said"),
    [
        ("flag", [0.0, 1.0, 1.0, 0.0], "throttling: hot in 2 of 4 readings; cool the device"),
        ("flag", [0.0, 0.0], None),
        ("count", [7.0, 7.0], None),
        ("count", [7.0, 9.0], "throttling: hot 2 times; cool the device"),
        ("count", [9.0, 7.0], None),
        ("count", [9.0], None),
    ],
)
def test_flags_and_counters(unit: str, values: list[float], said: str | None) -> None:
    found = told(series("throttle hot", "throttle", unit, "x", values))
    assert (found == ()) if said is None else found[0].startswith(said)


@pytest.mark.parametrize("name", ["under-voltage", "over-current", "under-voltage (now)"])
def test_a_weak_supply_is_never_what_was_asked_for(name: str) -> None:
    (reason,) = told(before=replace(QUIET, throttled=(name,)), sustained=True)
    assert reason == f"power supply: {name}; use a stronger supply and a shorter cable, then run again"
    assert told(before=replace(QUIET, throttled=("hot",)), sustained=True) == ()


@given(
    st.lists(st.floats(0, 5000), max_size=30),
    st.lists(st.floats(0, 900), max_size=30),
    st.floats(-40, 0),
    st.booleans(),
)
def test_any_readings_give_sentences_with_figures(
    clocks: list[float], loads: list[float], begin: float, sustained: bool
) -> None:
    found = told(clock(*clocks, begin=begin), load(*loads, begin=begin), sustained=sustained)
    assert len(set(found)) == len(found)
    for reason in found:
        assert reason.startswith(("clocks: ", "other load: "))
        assert "nan" not in reason
        assert "; " in reason


@pytest.mark.parametrize("mode", ["", "nvpmodel 15W", "platform_profile performance", "platform_profile balanced"])
def test_modes_that_save_nothing(mode: str) -> None:
    assert reasons(QUIET, QUIET, (), False, replace(CONTEXT.device, power_mode=mode)) == ()


@pytest.mark.parametrize("profile", judge._SAVING)
def test_modes_that_save_power_are_told_by_name(profile: str) -> None:
    device = replace(CONTEXT.device, power_mode=f"nvpmodel MAXN, platform_profile {profile}")
    (reason,) = reasons(QUIET, QUIET, (), False, device)
    assert reason.startswith(f"power mode: the platform profile is {profile}; set another: echo performance")
