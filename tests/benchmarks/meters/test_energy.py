"""Energy over a window, its interval, the sensor that is chosen, and everything that is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.meters import baseline, choosing, counters, intervals, windows
from edgekit.benchmarks.meters.energy import energy
from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.meters.samples import made, series_name
from edgekit.benchmarks.results.energy_records import Baseline, Energy, Series
from edgekit.errors import InputError

Reading = tuple[Channel, Series]


def power(name: str, scope: str, watts: float = 5.0, *, error: float | None = None, n: int = 120) -> Reading:
    """A steady power from second -1 on."""
    times = np.linspace(-1.0, 11.0, n)
    channel = Channel(name, "power", "W", scope=scope, error=error)
    return channel, Series(series_name(channel), "power", "W", "meter", tuple(times), (watts,) * n)


def counter(name: str, scope: str, watts: float, meter: str = "rapl") -> Reading:
    times = np.linspace(-1.0, 11.0, 121)
    channel = Channel(name, "energy", "J", scope=scope)
    return channel, Series(series_name(channel), "energy", "J", meter, tuple(times), tuple(watts * (times + 1)))


def measure(
    *readings: Reading,
    samples: int = 100,
    before: float | None = None,
    after: float | None = None,
    device: str = "cpu",
    error: float = 0.01,
) -> tuple[Energy, tuple[str, ...]]:
    series = tuple(s for _, s in readings)
    channels = {(s.meter, s.name): c for c, s in readings}
    idle = [
        {} if watts is None else {(s.meter, s.name): Baseline(watts, error, 50) for s in series}
        for watts in (before, after)
    ]
    return energy(series, 0.0, 10.0, samples, idle[0], idle[1], channels, device)


def test_a_steady_power_gives_power_times_time_over_the_samples() -> None:
    found, reasons = measure(power("VDD_IN", "device"), before=2.0, after=2.1)
    assert reasons == ()
    assert found.status == "measured"
    assert (found.meter, found.rail, found.scope) == ("meter", "VDD_IN", "device")
    assert found.joules == pytest.approx(50.0)
    assert found.watts == pytest.approx(5.0)
    assert found.per_inference == pytest.approx(0.5)
    assert found.above_idle == pytest.approx(0.5 - 2.05 * 10 / 100)
    assert found.rate == pytest.approx(found.samples / 10)
    assert found.jitter == pytest.approx(0.0, abs=1e-9)
    assert (found.per_inference_low, found.per_inference_high) == pytest.approx((0.5, 0.5))


@given(st.floats(-0.9, 4.0), st.floats(5.0, 10.9), st.floats(0.1, 100.0), st.floats(-5.0, 5.0))
def test_the_ends_are_interpolated_between_samples(begin: float, end: float, watts: float, slope: float) -> None:
    times = np.array([-1.0, 0.3, 0.9, 2.2, 4.4, 7.1, 11.0])
    series = Series("p", "power", "W", "m", tuple(times), tuple(watts + slope * times))
    cut = windows.window(series, begin, end)
    assert cut is not None
    # A straight line is integrated exactly, wherever the window begins and ends.
    true = watts * (end - begin) + slope * (end**2 - begin**2) / 2
    assert cut.joules[-1] == pytest.approx(true, abs=1e-9)
    middle = (begin + end) / 2
    assert windows.between(cut, begin, middle) + windows.between(cut, middle, end) == pytest.approx(cut.joules[-1])


def test_a_window_without_samples_has_none() -> None:
    assert windows.window(Series("p", "power", "W", "m", (), ()), 0, 1) is None
    assert windows.window(Series("p", "power", "W", "m", (0.0,), (1.0,)), 1, 1) is None
    alone = windows.window(Series("p", "power", "W", "m", (0.5,), (3.0,)), 0, 2)
    assert alone is not None
    assert (alone.joules[-1], alone.n, alone.longest) == (6.0, 1, 1.5)


@given(st.lists(st.floats(0.0, 40.0), min_size=2, max_size=60), st.floats(0.0, 99.9))
def test_a_counter_that_wraps_is_unwrapped(steps: list[float], start: float) -> None:
    true = np.concatenate(([0.0], np.cumsum(steps)))
    shown = (start + true) % 100.0
    found = counters.unwrapped(tuple(range(len(shown))), tuple(shown), 100.0)
    # A wrap among steps that are otherwise nearly nothing is taken for a reset, and then the result falls.
    if not counters.fell(found):
        assert found == pytest.approx(tuple(true), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "wraps"),
    [
        ((50.0, 51.0, 52.0, 1.0, 2.0), None),
        ((50.0, 51.0, 52.0, 1.0, 2.0), 1000.0),
        ((900.0, 900.1, 900.2, 0.0), 1000.0),
    ],
)
def test_a_counter_that_was_reset_falls(values: tuple[float, ...], wraps: float | None) -> None:
    assert counters.fell(counters.unwrapped(tuple(range(len(values))), values, wraps))


def test_counters_begin_at_zero_and_may_be_empty() -> None:
    assert counters.unwrapped((), (), None) == ()
    assert made("rapl", Channel("p", "energy", "J"), [10**9, 2 * 10**9], [7.0, 9.5], 10**9).values == (0.0, 2.5)


def test_a_counter_is_taken_by_difference() -> None:
    found, reasons = measure(counter("package-0", "package", 20.0))
    assert (found.joules, reasons) == (pytest.approx(200.0), ())


def test_sockets_of_one_processor_add_up_and_other_zones_do_not() -> None:
    packages = (counter("package-0", "package", 20.0), counter("package-1", "package", 30.0))
    readings = (*packages, counter("psys", "rail", 99.0))
    found, _ = measure(*readings, before=4.0, after=4.0)
    assert found.joules == pytest.approx(500.0)
    assert found.rail == "package-0 + package-1"
    assert found.before is not None
    assert found.before.watts == 8.0
    assert found.before.error == pytest.approx(math.hypot(0.01, 0.01))


@pytest.mark.parametrize(
    ("scopes", "device", "taken"),
    [
        (("package", "device", "accelerator"), "cpu", "device"),
        (("package", "device", "accelerator"), "cuda", "device"),
        (("accelerator", "package"), "cpu", "package"),
        (("package", "accelerator"), "cuda", "accelerator"),
        (("rail", "package"), "cpu", "package"),
    ],
)
def test_the_sensor_that_sees_most_of_the_device_in_use_is_taken(
    scopes: tuple[str, ...], device: str, taken: str
) -> None:
    found, reasons = measure(*(power(scope, scope) for scope in scopes), device=device)
    assert found.scope == taken
    assert reasons == ()


def test_of_equal_scopes_a_counter_is_taken() -> None:
    assert measure(power("a", "package"), counter("b", "package", 3.0))[0].rail == "b"


def test_a_sensor_that_misses_the_accelerator_is_refused() -> None:
    found, reasons = measure(counter("package-0", "package", 20.0), device="cuda")
    assert found.status == "unmeasured"
    assert found.joules is None
    assert "work ran on cuda" in reasons[0]
    assert "the processor alone" in found.reason
    assert "the accelerator alone" in measure(power("GPU", "accelerator"))[1][0]
    assert choosing.sees("device", "npu")


def test_without_a_sensor_energy_is_unmeasured_and_the_run_is_not_invalid() -> None:
    found, reasons = measure()
    assert (found.status, found.joules, reasons) == ("unmeasured", None, ())
    assert "edgekit.benchmarks.meters" in found.reason


def test_rails_alone_are_not_the_energy() -> None:
    found, reasons = measure(power("VDD_CPU", "rail"), power("VDD_GPU", "rail"))
    assert (found.status, reasons) == ("unmeasured", ())
    assert "VDD_CPU, VDD_GPU" in found.reason
    assert "ina2xx=device" in found.reason


def test_too_few_samples_are_refused_with_the_rule() -> None:
    found, reasons = measure(power("VDD_IN", "device", n=30))
    assert found.status == "unmeasured"
    assert "gave 24 samples in 10.0 s and at least 30 are needed" in reasons[0]
    assert measure(power("VDD_IN", "device", n=40))[1] == ()


def test_a_sensor_that_gave_nothing_is_told_and_another_that_did_is_taken() -> None:
    channel, series = power("VDD_IN", "device")
    silent = (channel, replace(series, times=(), values=()))
    found, reasons = measure(silent)
    assert found.status == "unmeasured"
    assert "meter VDD_IN gave 0 samples" in reasons[0]
    assert measure(silent, power("package", "package"))[0].scope == "package"


def drop(reading: Reading, begin: float, end: float) -> Reading:
    channel, series = reading
    kept = [i for i, t in enumerate(series.times) if not begin < t < end]
    times, values = (tuple(column[i] for i in kept) for column in (series.times, series.values))
    return channel, replace(series, times=times, values=values)


@pytest.mark.parametrize("hole", [(4.0, 5.0), (-2.0, 0.9), (9.0, 12.0)])
def test_a_gap_in_the_samples_is_refused_at_the_ends_too(hole: tuple[float, float]) -> None:
    found, reasons = measure(drop(power("VDD_IN", "device"), *hole))
    assert found.status == "unmeasured"
    assert "gave no value for" in reasons[0]


def test_a_short_gap_is_not() -> None:
    assert measure(drop(power("VDD_IN", "device"), 4.0, 4.3))[1] == ()


def test_a_counter_that_went_backwards_is_refused() -> None:
    channel, series = counter("package-0", "package", 20.0)
    values = tuple(v if t < 5 else v - 100 for t, v in zip(series.times, series.values, strict=True))
    found, reasons = measure((channel, replace(series, values=values)))
    assert found.status == "unmeasured"
    assert "went backwards" in reasons[0]
    # Outside the measured part it does not matter.
    late = tuple(v if t < 10.5 else 0.0 for t, v in zip(series.times, series.values, strict=True))
    assert measure((channel, replace(series, values=late)))[1] == ()


def test_a_changed_baseline_takes_the_difference_to_idle_away() -> None:
    found, reasons = measure(power("VDD_IN", "device"), before=2.0, after=2.4)
    assert found.joules == pytest.approx(50.0), "the energy itself is as good as before"
    assert found.above_idle is None
    assert "idle power changed from 2.00 to 2.40 W" in reasons[0]


@pytest.mark.parametrize(("after", "error"), [(2.24, 0.001), (2.9, 0.25)])
def test_a_baseline_may_move_by_little_or_within_its_error(after: float, error: float) -> None:
    found, reasons = measure(power("VDD_IN", "device"), before=2.0, after=after, error=error)
    assert reasons == ()
    assert found.above_idle == pytest.approx(0.5 - (2.0 + after) / 20)


def test_one_baseline_is_enough_and_none_leaves_the_difference_open() -> None:
    assert measure(power("a", "device"), before=2.0)[0].above_idle == pytest.approx(0.3)
    assert measure(power("a", "device"))[0].above_idle is None


def test_wrong_windows_are_the_callers_fault() -> None:
    with pytest.raises(InputError, match="needs a window"):
        energy((), 1.0, 1.0, 1, {}, {}, {})
    with pytest.raises(InputError, match="needs a window"):
        energy((), 0.0, 1.0, 0, {}, {}, {})


def test_the_error_of_the_sensor_widens_the_interval() -> None:
    found, _ = measure(power("VDD_IN", "device", error=0.02))
    half = 1.959964 * 0.02 / math.sqrt(3) * 0.5
    assert (found.per_inference_low, found.per_inference_high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.sensor_error == 0.02


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    """Power with a memory of some samples, as of queries that last longer than a sample."""
    random = np.random.default_rng(5)
    held, runs, n = 0, 120, 400
    for _ in range(runs):
        noise = np.zeros(n)
        for i in range(1, n):
            noise[i] = 0.6 * noise[i - 1] + random.normal()
        joules = np.concatenate(([0.0], np.cumsum(10 + noise)))
        low, high = intervals.spread(np.arange(n + 1.0), joules)
        held += low <= 10 * n <= high
    # Blocks of seven samples keep most of the memory, not all: Künsch's interval is known to be a little short.
    assert 0.82 <= held / runs <= 1.0


def test_independent_samples_would_say_too_little_and_few_say_nothing() -> None:
    assert intervals.spread(np.array([0.0, 1.0, 2.0]), np.array([0.0, 3.0, 9.0])) == (9.0, 9.0)
    assert intervals.with_sensor(10.0, 9.0, 12.0, None) == (9.0, 12.0)


def test_the_baseline_has_the_standard_error_of_batch_means() -> None:
    times = np.linspace(-0.5, 10.5, 1101)
    random = np.random.default_rng(3)
    watts = 4.0 + random.normal(0, 0.5, len(times))
    channel = Channel("VDD_IN", "power", "W", scope="device")
    series = Series(series_name(channel), "power", "W", "meter", tuple(times), tuple(watts))
    key = ("meter", series.name)
    found = baseline.of([series], 10.0, {key: channel})[key]
    assert found.watts == pytest.approx(4.0, abs=0.06)
    assert found.error == pytest.approx(0.5 / math.sqrt(1000), rel=0.6)
    assert found.n == 999
    few = replace(series, times=tuple(times[:6]), values=tuple(watts[:6]))
    assert baseline.of([few], 10.0, {key: channel}) == {}
    warm = replace(series, kind="temperature")
    assert baseline.of([warm], 10.0, {key: channel}) == {}
