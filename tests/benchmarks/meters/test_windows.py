"""Energy of a window against exact arithmetic, idle power against its formula, counters against what was counted."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters import baseline, choosing, counters, intervals, windows
from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.results.energy_records import Series

POINTS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 400)), min_size=2, max_size=15).map(
    lambda steps: [(sum(step for step, _ in steps[: i + 1]), watts) for i, (_, watts) in enumerate(steps)]
)


def series(points: list[tuple[float, float]], kind: str = "power") -> Series:
    times, values = zip(*points, strict=True)
    return Series(f"{kind} x", kind, "W", "m", tuple(times), tuple(values))  # type: ignore[arg-type]


def at(points: list[tuple[int, int]], moment: Fraction) -> Fraction:
    """The value of straight lines between points, and beyond them that of the nearest."""
    if moment <= points[0][0]:
        return Fraction(points[0][1])
    for (t, a), (u, b) in pairwise(points):
        if t <= moment <= u:
            return a + Fraction(b - a, u - t) * (moment - t)
    return Fraction(points[-1][1])


def exact(points: list[tuple[int, int]], begin: Fraction, end: Fraction) -> Fraction:
    """The integral, piece by piece between all moments at which the line bends."""
    bends = sorted({begin, end, *(Fraction(t) for t, _ in points if begin < t < end)})
    return sum(((at(points, t) + at(points, u)) / 2 * (u - t) for t, u in pairwise(bends)), Fraction())


@settings(max_examples=80, deadline=None)
@given(POINTS, st.fractions(-20, 300, max_denominator=8), st.fractions(1, 200, max_denominator=8))
def test_power_is_integrated_exactly_wherever_the_window_lies(
    points: list[tuple[int, int]], begin: Fraction, length: Fraction
) -> None:
    end = begin + length
    cut = windows.window(series(points), float(begin), float(end))  # type: ignore[arg-type]
    assert cut is not None
    assert cut.joules[-1] == pytest.approx(float(exact(points, begin, end)))
    assert cut.n == sum(begin < t < end for t, _ in points)
    middle = begin + length / 3
    assert windows.between(cut, float(begin), float(end)) == pytest.approx(cut.joules[-1])
    # Between samples the energy itself is joined by straight lines; at samples it is exact.
    inside = [Fraction(t) for t, _ in points if begin < t < end]
    for moment in inside:
        assert windows.between(cut, float(begin), float(moment)) == pytest.approx(float(exact(points, begin, moment)))
    assert 0 <= windows.between(cut, float(begin), float(middle)) <= cut.joules[-1] * (1 + 1e-9) + 1e-9


@settings(max_examples=60, deadline=None)
@given(POINTS, st.fractions(-20, 300, max_denominator=8), st.fractions(1, 200, max_denominator=8))
def test_the_longest_silence_is_that_between_samples_or_to_an_end(
    points: list[tuple[int, int]], begin: Fraction, length: Fraction
) -> None:
    end = begin + length
    cut = windows.window(series(points), float(begin), float(end))  # type: ignore[arg-type]
    times = [t for t, _ in points]
    gaps = [Fraction(u - t) for t, u in pairwise(times) if t < end and u > begin]
    gaps += [times[0] - begin, end - times[-1]]
    assert cut is not None
    assert cut.longest == pytest.approx(float(max(gaps)))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=30), st.integers(0, 99), st.integers(1, 60))
def test_a_counter_gives_what_was_counted_in_the_window(steps: list[int], start: int, length: int) -> None:
    """Steady enough that no wrap can be taken for a reset."""
    counted = np.cumsum([0, *(step + 2 for step in steps)])
    shown = [float((start + joules) % 100) for joules in counted]
    moments = tuple(float(i) for i in range(len(shown)))
    found = counters.unwrapped(moments, shown, 100.0)
    assert found == pytest.approx(tuple(float(joules) for joules in counted))
    one = series(list(zip(moments, found, strict=True)), "energy")
    end = min(length, len(steps))
    cut = windows.window(one, 0.0, float(end))
    assert cut is not None
    assert cut.joules[-1] == pytest.approx(counted[end])
    assert not windows.backwards(one, 0.0, float(end))


@pytest.mark.parametrize(
    ("begin", "end", "fell"), [(0.0, 2.0, False), (0.0, 2.5, True), (3.0, 5.0, False), (2.1, 2.2, True)]
)
def test_a_counter_fell_only_where_the_window_touches_the_fall(begin: float, end: float, fell: bool) -> None:
    one = series([(0.0, 0.0), (1.0, 5.0), (2.0, 9.0), (3.0, 1.0), (4.0, 2.0), (5.0, 3.0)], "energy")
    assert windows.backwards(one, begin, end) is fell


CHANNEL = Channel("VDD_IN", "power", "W", scope="device")
KEY = ("m", "power x")


@settings(deadline=None, max_examples=50)
@given(st.floats(0.5, 50), st.floats(-0.4, 0.4), st.floats(5, 100))
def test_idle_power_that_rises_steadily_has_a_known_error(watts: float, slope: float, seconds: float) -> None:
    """Ten batch means of a straight line are an arithmetic progression of step s·T/10."""
    times = np.linspace(-0.1 * seconds, 1.1 * seconds, 241)
    found = baseline.of([series(list(zip(times, watts + slope * times, strict=True)))], seconds, {KEY: CHANNEL})[KEY]
    assert found.watts == pytest.approx(watts + slope * seconds / 2)
    step = abs(slope) * seconds / 10
    # The variance of 0..9 is 110/12.
    assert found.error == pytest.approx(step * math.sqrt(110 / 12) / math.sqrt(10), abs=1e-9)


def test_an_idle_counter_is_taken_by_its_slope_and_left_out_where_it_fell() -> None:
    times = np.linspace(-1.0, 11.0, 121)
    energy = series(list(zip(times, 3.0 * times, strict=True)), "energy")
    channel = Channel("x", "energy", "J", scope="package")
    key = ("m", "energy x")
    found = baseline.of([energy], 10.0, {key: channel})[key]
    assert (found.watts, found.n) == (pytest.approx(3.0), 99)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    reset = tuple(v if t < 5 else v - 12 for t, v in zip(energy.times, energy.values, strict=True))
    assert baseline.of([replace(energy, values=reset)], 10.0, {key: channel}) == {}
    assert baseline.of([energy], 10.0, {}) == {}, "of a channel that nobody knows"


@settings(deadline=None, max_examples=50)
@given(st.integers(10, 400), st.integers(0, 2**32), st.floats(0.1, 50.0))
def test_an_interval_holds_the_energy_and_does_not_depend_on_units(n: int, seed: int, factor: float) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(0.01, 0.1, n + 1))
    joules = np.concatenate(([0.0], np.cumsum(np.diff(times) * random.uniform(1, 9, n))))
    low, high = intervals.spread(times, joules)
    assert 0 < low <= joules[-1] <= high < 9 * (times[-1] - times[0])
    assert intervals.spread(times - 100, factor * joules + 7) == pytest.approx((factor * low, factor * high), rel=1e-6)
    assert intervals.spread(times, joules) == (low, high), "the same samples give the same interval"


def test_readings_that_depend_on_nothing_have_the_interval_of_their_mean() -> None:
    """Of independent watts at even times: 1.96 standard errors on each side, as the central limit theorem has it."""
    n = 4000
    watts = np.random.default_rng(8).normal(10.0, 2.0, n)
    low, high = intervals.spread(np.arange(n + 1.0), np.concatenate(([0.0], np.cumsum(watts))))
    half = 1.96 * watts.std() / math.sqrt(n) * n
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)
    assert (high + low) / 2 == pytest.approx(watts.sum(), abs=0.1 * half)


SCOPES = st.lists(
    st.tuples(
        st.sampled_from(["device", "package", "accelerator", "rail"]),
        st.sampled_from(["energy", "power"]),
        st.booleans(),
    ),
    max_size=7,
)


@settings(deadline=None, max_examples=50)
@given(SCOPES, st.sampled_from(["cpu", "cuda"]), st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_meters(
    sensors: list[tuple[str, str, bool]], device: str, random: object
) -> None:
    pairs = []
    for i, (scope, kind, silent) in enumerate(sensors):
        channel = Channel(f"c{i}", kind, "W", scope=scope)  # type: ignore[arg-type]
        times = () if silent else (0.0, 1.0)
        pairs.append((Series(f"{kind} c{i}", kind, "W", f"m{i}", times, times), channel))  # type: ignore[arg-type]
    channels = {(one.meter, one.name): channel for one, channel in pairs}
    found = choosing.choose([one for one, _ in pairs], channels, device)
    random.shuffle(pairs)  # type: ignore[attr-defined]
    again = choosing.choose([one for one, _ in pairs], channels, device)
    usable = [(scope, silent) for scope, _, silent in sensors if scope != "rail"]
    assert (found is None) == (again is None) == (not usable)
    if found is None or again is None:
        return
    assert (found.scope, found.series[0].kind, bool(found.series[0].times)) == (
        again.scope,
        again.series[0].kind,
        bool(again.series[0].times),
    )
    seeing = [scope for scope, silent in usable if choosing.sees(scope, device) and not silent]
    if seeing:
        assert found.scope == ("device" if "device" in seeing else seeing[0])
        assert found.series[0].times
