"""Energy does not depend on when a run began, in which unit it is counted, or on how readings lie in the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters.energy import BASELINE_SHARE, LEAST_POWER_SAMPLES, energy
from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.meters.samples import Key
from edgekit.benchmarks.results.energy_records import Baseline, Energy, Series
from edgekit.errors import InputError

KEY: Key = ("ina3221", "power VDD_IN")
CHANNELS = {KEY: Channel("VDD_IN", "power", "W", scope="device", error=None)}


def power(times: list[float], watts: list[float]) -> Series:
    return Series(KEY[1], "power", "W", KEY[0], tuple(times), tuple(watts))


def measured(
    series: Series,
    begin: float,
    end: float,
    samples: int = 10,
    before: Baseline | None = None,
    after: Baseline | None = None,
) -> tuple[Energy, tuple[str, ...]]:
    idle = [{} if one is None else {KEY: one} for one in (before, after)]
    return energy([series], begin, end, samples, idle[0], idle[1], CHANNELS)


@settings(deadline=None)
@given(st.floats(-500, 500), st.integers(0, 2**32), st.floats(0, 50))
def test_a_run_that_began_later_has_the_same_energy(shift: float, seed: int, most: float) -> None:
    watts = np.random.default_rng(seed).uniform(0, most, 90).tolist()
    times = [0.1 * i - 1 for i in range(len(watts))]
    one, reasons = measured(power(times, watts), 0.0, 7.0)
    moved = power([time + shift for time in times], watts)
    other, again = measured(moved, shift, 7.0 + shift)
    assert (one.status, reasons, one.samples) == (other.status, again, other.samples)
    for name in ("joules", "watts", "per_inference", "per_inference_low", "per_inference_high", "rate"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.01, 100), st.integers(1, 1000))
def test_twice_the_power_is_twice_the_energy_and_more_samples_share_it(watts: float, samples: int) -> None:
    times = [0.05 * i - 1 for i in range(240)]
    one, _ = measured(power(times, [watts] * 240), 0.0, 10.0, samples)
    two, _ = measured(power(times, [2 * watts] * 240), 0.0, 10.0, samples)
    assert one.joules == pytest.approx(10 * watts)
    assert two.joules == pytest.approx(20 * watts)
    assert one.per_inference == pytest.approx(10 * watts / samples)
    assert one.watts == pytest.approx(watts)
    assert one.per_inference_low == pytest.approx(one.per_inference) == pytest.approx(one.per_inference_high)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1e3), st.floats(-50, 50))
def test_uneven_readings_of_a_straight_line_are_exact(seed: int, watts: float, slope: float) -> None:
    times = np.cumsum([-0.5, *np.random.default_rng(seed).uniform(0.01, 0.06, 200)])
    end = float(times[-1]) - 0.1
    found, _ = measured(power(times.tolist(), (watts + slope * times).tolist()), 0.0, end)
    assert (found.status, found.reason) == ("measured", "")
    assert found.joules == pytest.approx(watts * end + slope * end**2 / 2, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("begin", "end"), [(0.0, 4.0), (100.0, 104.0), (-50.0, -46.0)])
def test_reasons_tell_the_length_of_the_window_and_not_its_end(begin: float, end: float) -> None:
    series = power([begin - 0.2, begin + 1, begin + 2, end + 0.2], [5.0] * 4)
    found, reasons = measured(series, begin, end)
    assert found.status == "unmeasured"
    assert reasons == (
        (
            f"energy: ina3221 VDD_IN gave 2 samples in 4.0 s and at least {LEAST_POWER_SAMPLES} are needed; run "
            "longer, or sample faster where the sensor can"
        ),
    )
    assert (found.meter, found.rail, found.scope, found.samples) == ("ina3221", "VDD_IN", "device", 2)


@pytest.mark.parametrize(("n", "status"), [(LEAST_POWER_SAMPLES - 1, "unmeasured"), (LEAST_POWER_SAMPLES, "measured")])
def test_the_least_number_of_readings_is_enough(n: int, status: str) -> None:
    inside = [3.0 * (i + 0.5) / n for i in range(n)]
    found, _ = measured(power([-0.05, *inside, 3.05], [5.0] * (n + 2)), 0.0, 3.0)
    assert (found.status, found.samples) == (status, n)


@pytest.mark.parametrize("begin", [0.0, 1000.0])
def test_a_changed_baseline_is_judged_by_the_runs_own_mean_power(begin: float) -> None:
    times = [begin + 0.05 * i - 1 for i in range(240)]
    series = power(times, [4.0] * 240)
    before = Baseline(2.0, 0.001, 50)
    limit = BASELINE_SHARE * 4.0
    kept, reasons = measured(series, begin, begin + 10, before=before, after=Baseline(2.0 + limit - 0.001, 0.001, 50))
    assert reasons == ()
    assert kept.above_idle == pytest.approx((40.0 - (2.0 + (limit - 0.001) / 2) * 10) / 10)
    lost, reasons = measured(series, begin, begin + 10, before=before, after=Baseline(2.0 + limit + 0.001, 0.001, 50))
    assert lost.above_idle is None
    assert reasons == (
        (
            "energy: idle power changed from 2.00 to 2.20 W, by 5% of the run's mean 4.00 W; let the device settle, "
            "end other programs and run again"
        ),
    )
    # The energy itself is known all the same.
    assert lost.joules == pytest.approx(40.0)


def test_a_device_that_took_nothing_has_no_share_to_tell() -> None:
    times = [0.05 * i - 1 for i in range(240)]
    found, reasons = measured(
        power(times, [0.0] * 240), 0.0, 10.0, before=Baseline(0.0, 0.001, 50), after=Baseline(1.0, 0.001, 50)
    )
    assert found.joules == 0.0
    assert "by inf% of the run's mean 0.00 W" in reasons[0]


@pytest.mark.parametrize(
    ("begin", "end", "samples"), [(5.0, 5.0, 1), (5.0, 4.0, 1), (0.0, 1.0, 0), (0.0, float("nan"), 1)]
)
def test_windows_and_counts_that_are_none_are_the_callers_fault(begin: float, end: float, samples: int) -> None:
    with pytest.raises(InputError, match="energy: needs a window and samples"):
        measured(power([0.0, 1.0], [1.0, 1.0]), begin, end, samples)


def test_readings_outside_the_window_change_nothing_but_its_ends() -> None:
    times = [0.05 * i - 1 for i in range(260)]
    plain = power(times, [5.0 if 0 <= time <= 10 else 900.0 for time in times])
    inside = power([t for t in times if -0.01 <= t <= 10.01], [5.0] * sum(-0.01 <= t <= 10.01 for t in times))
    one, _ = measured(replace(plain), 0.0, 10.0)
    other, _ = measured(inside, 0.0, 10.0)
    assert one.joules == pytest.approx(50.0, rel=0.01)
    assert other.joules == pytest.approx(50.0, rel=0.01)
