"""What a reading becomes: finite numbers, stamps in its middle, rates as numpy has them; whatever a reader does."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters.csv_log import CsvLog
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.benchmarks.meters.samples import Readings, made, values
from edgekit.benchmarks.meters.sampling import Sampler

if TYPE_CHECKING:
    from pathlib import Path

POWER, COUNTER = Channel("VDD", "power", "W"), Channel("package-0", "energy", "J", wraps=100.0)


class Odd:
    """A reader that gives what it was told to give."""

    def __init__(self, *gives: Any, name: str = "odd") -> None:
        self.gives, self.name, self.reads = gives, name, 0

    def present(self) -> Presence:
        return Presence(True, "")

    def channels(self) -> tuple[Channel, ...]:
        return (POWER,)

    def read(self) -> Any:
        given = self.gives[self.reads % len(self.gives)]
        self.reads += 1
        if isinstance(given, Exception):
            raise given
        return given

    def period(self) -> float:
        return 0.0


ODD = [
    None,
    7,
    "VDD",
    {"VDD": None},
    {"VDD": "about 3 W"},
    {"VDD": float("nan")},
    {"VDD": float("-inf")},
    {"VDD": 10**400},
    {"VDD": [1.0]},
    {"VDD": b"\xff"},
    OSError("bus error"),
    KeyError("VDD"),
    RecursionError(),
]


@pytest.mark.parametrize("given", ODD, ids=repr)
def test_what_is_no_finite_number_is_no_value(given: object) -> None:
    assert values(Odd(given)) == {}
    if isinstance(given, dict):
        assert values(Odd({**given, "other": 2})) == {"other": 2.0}, "and takes no other with it"


@pytest.mark.parametrize("number", [3, 3.0, "3", np.float32(3), np.int64(3), Fraction(3)], ids=repr)
def test_numbers_of_any_kind_are_taken(number: object) -> None:
    found = values(Odd({"VDD": number}))
    assert found == {"VDD": 3.0}
    assert type(found["VDD"]) is float


def test_a_reader_that_gives_anything_stops_neither_the_sampler_nor_the_others() -> None:
    odd, good = Odd(*ODD, {"VDD": 5}), Odd({"VDD": 2.0}, name="good")
    with Sampler([odd, good], 0.002) as sampler:
        end = time.monotonic() + 20
        while odd.reads <= 2 * len(ODD) + 2 and time.monotonic() < end:
            time.sleep(0.005)
        assert sampler.latest() == {"power VDD": (2.0, "W")}, "by the name that both have, the last one's"
    one, other = sampler.series(0)
    assert set(one.values) == {5.0}
    assert len(one.values) == odd.reads // (len(ODD) + 1)
    assert len(other.values) == good.reads
    assert sampler.rates["odd"].missed == odd.reads - len(one.values)
    assert sampler.rates["good"].missed == 0


class OddLog(Odd):
    """The same with stamps of its own."""

    def start(self) -> None:
        """Nothing is to be opened."""

    def stop(self) -> None:
        """Nor closed."""

    logged = Odd.read


def test_a_log_that_is_gone_at_the_end_takes_no_other_meter_with_it(tmp_path: Path) -> None:
    path = tmp_path / "usb.csv"
    path.write_text("time,power\n1780000000,5\n")
    odd = OddLog({"VDD": ((1, 2, 3), (1.0, float("nan"), 3.0))}, OSError("unplugged"), {"VDD": 7}, name="odd")
    with Sampler([CsvLog(tmp_path, str(path)), odd, Odd({"VDD": 2.0}, name="good")], 0.01) as sampler:
        path.unlink()
    for came in ((1.0, 3.0), (), ()):
        by_meter = {one.meter: one for one in sampler.series(0)}
        assert by_meter["odd"].values == came
        assert by_meter["csv-log"].values == ()
        assert set(by_meter["good"].values) == {2.0}
    assert by_meter["csv-log"].name == "power usb.csv", "which then tells that it gave no samples"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**8)), min_size=1, max_size=30),
    st.integers(0, 10**12),
)
def test_rates_are_those_of_the_middles_of_readings(steps: list[tuple[int, int]], begin: int) -> None:
    readings = Readings("m", (POWER,), 0.05)
    now, middles, took = begin, [], []
    for wait, length in steps:
        now += wait
        readings.take(now, now + length, {"VDD": 1.0})
        middles.append(now + length // 2)
        took.append(length)
        now += length
    gaps = np.diff(np.array(middles, np.float64)) / 1e9
    rate = readings.rate()
    assert (rate.asked, rate.samples, rate.missed) == (20.0, len(steps), 0)
    assert rate.read_ms == pytest.approx(np.mean(took) / 1e6)
    assert rate.longest == pytest.approx(gaps.max() if len(gaps) else 0.0)
    if len(gaps):
        assert rate.real == pytest.approx(1 / gaps.mean())
        assert rate.jitter == pytest.approx(gaps.std() / gaps.mean(), abs=1e-6)
    else:
        assert (rate.real, rate.jitter) == (0.0, 0.0)
    (series,) = readings.series(begin)
    assert series.times == pytest.approx([(middle - begin) / 1e9 for middle in middles])


def test_the_last_reading_gives_a_value_and_no_rate() -> None:
    readings = Readings("m", (POWER, COUNTER), 0.05)
    readings.take(0, 0, {"VDD": 1.0, "package-0": 90.0})
    readings.take(10**8, 10**8, {"VDD": 2.0, "elsewhere": 9.0})
    readings.take(10**8 + 5, 10**8 + 5, {"VDD": 3.0, "package-0": 5.0}, regular=False)
    rate = readings.rate()
    assert (rate.samples, rate.real, rate.missed) == (2, pytest.approx(10.0), 1)
    power, energy = readings.series(10**8)
    assert (power.name, power.kind, power.unit, power.meter) == ("power VDD", "power", "W", "m")
    assert power.values == (1.0, 2.0, 3.0)
    assert power.times == pytest.approx((-0.1, 0.0, 5e-9))
    assert energy.values == (0.0, 15.0), "unwrapped, from nothing on"


def test_a_series_of_which_a_stamp_has_no_value_yet_ends_before_it() -> None:
    found = made("m", POWER, [0, 1, 2], [1.0, 2.0], 0)
    assert (len(found.times), found.values) == (2, (1.0, 2.0))
    assert made("m", COUNTER, [], [], 0).values == ()
    assert all(math.isfinite(time) for time in found.times)
