"""The sampler: moments, rates, cost, readers that fail; the same from a process of its own; the idle baseline."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.meters import baseline, clock
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.benchmarks.meters.sampling_process import ProcessSampler
from edgekit.errors import ExecutionError, InputError
from kernel_tree import PMIC, hwmon, put, vcgencmd

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Fake:
    """A meter that keeps when it was read, and fails when told to."""

    name: str = "fake"
    slowest: float = 0.0
    fails_at: int = -1
    reads: list[int] = field(default_factory=list)

    def present(self) -> Presence:
        return Presence(True, "")

    def channels(self) -> tuple[Channel, ...]:
        return (Channel("a", "power", "W", scope="device"), Channel("b", "clock", "MHz"))

    def read(self) -> dict[str, float]:
        self.reads.append(time.perf_counter_ns())
        if len(self.reads) == self.fails_at:
            raise RuntimeError("the chip is gone")
        return {"a": float(len(self.reads)), **({"b": 7.0} if len(self.reads) % 2 else {})}

    def period(self) -> float:
        return self.slowest


def wait_for(meter: Fake, reads: int) -> None:
    end = time.monotonic() + 20
    while len(meter.reads) < reads and time.monotonic() < end:
        time.sleep(0.005)


def test_samples_are_stamped_when_they_are_taken_and_ordered() -> None:
    meter = Fake()
    with Sampler([meter], 0.01) as sampler:
        assert meter.reads, "entering takes a first reading"
        wait_for(meter, 5)
        begin = time.perf_counter_ns()
        wait_for(meter, 12)
        ended = time.perf_counter_ns()
    a, b = sampler.series(begin)
    assert (a.name, a.meter, a.unit) == ("power a", "fake", "W")
    assert len(a.values) == len(meter.reads)
    assert a.values == tuple(float(i + 1) for i in range(len(meter.reads)))
    assert a.times[0] < 0 < a.times[-1]
    assert a.times[-1] > (ended - begin) / 1e9, "leaving takes a last one"
    for seconds, stamp in zip(a.times, meter.reads, strict=True):
        # The stamp is the middle of a reading that began before `stamp` was taken.
        assert abs(seconds - (stamp - begin) / 1e9) < 0.2
    assert set(b.values) == {7.0}


def test_missed_values_are_counted_and_one_failure_does_not_end_sampling() -> None:
    meter = Fake(fails_at=3)
    with Sampler([meter], 0.005) as sampler:
        wait_for(meter, 8)
    a, b = sampler.series(0)
    n = len(meter.reads)
    rate = sampler.rates["fake"]
    assert len(a.values) == n - 1
    assert rate.missed == (n - len(a.values)) + (n - len(b.values))
    assert rate.samples == n - 1, "the last reading comes early and does not count for the rate"


def test_a_meter_is_not_read_faster_than_it_gives_new_values() -> None:
    slow, fast = Fake("slow", 0.5), Fake("fast")
    with Sampler([slow, fast], 0.01) as sampler:
        wait_for(fast, 30)
        elapsed = (time.perf_counter_ns() - slow.reads[0]) / 1e9
    assert len(slow.reads) <= 2 + elapsed / 0.5
    rates = sampler.rates
    assert rates["slow"].asked == 2.0
    assert rates["fast"].asked == 100.0
    gaps = [(b - a) / 1e9 for a, b in zip(fast.reads, fast.reads[1:], strict=False)][:-1]
    assert rates["fast"].longest == pytest.approx(max(gaps), abs=0.05)
    assert 0 < rates["fast"].real <= 105
    assert rates["fast"].read_ms >= 0


def test_the_cost_is_the_threads_own() -> None:
    with Sampler([Fake()], 0.005) as sampler:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    assert 0 < sampler.cpu_seconds < 0.25, "work of the main thread is not in it"


def test_commands_of_meters_are_in_the_cost_and_other_children_are_not(tmp_path: Path) -> None:
    from edgekit.benchmarks.meters.raspberry_pi import RaspberryPiPmic

    vcgencmd(tmp_path, {"pmic_read_adc": PMIC})
    meter = RaspberryPiPmic(tmp_path)
    work = "import time; sum(range(20_000_000)); print(time.process_time())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    once = meter.cpu_seconds
    with Sampler([meter], 0.1) as sampler:
        done = subprocess.run([sys.executable, "-c", work], check=True, capture_output=True, text=True)
        time.sleep(0.15)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert children > float(done.stdout) * 0.8
    assert once > 0
    assert once <= meter.cpu_seconds - once <= sampler.cpu_seconds
    assert meter.cpu_seconds <= children + once - float(done.stdout) + 0.1


def test_the_newest_values_are_told_while_it_runs() -> None:
    meter = Fake()
    with Sampler([meter], 0.01) as sampler:
        wait_for(meter, 3)
        assert sampler.latest()["clock b"] == (7.0, "MHz")
        assert sampler.latest()["power a"][0] >= 2
        assert threading.active_count() >= 2


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InputError, match="interval"):
        Sampler([], 0.0)
    with pytest.raises(InputError, match="named once"):
        Sampler([Fake(), Fake()])


def test_nothing_to_read_is_no_error() -> None:
    with Sampler([]) as sampler:
        pass
    assert sampler.series(0) == ()
    assert sampler.channels == {}


def test_a_process_of_its_own_reads_the_same(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina3221", in1_label="VDD_IN", in1_input="5000", curr1_input="1000")
    put(tmp_path, {"proc/stat": "cpu 1 1 1 1 1 1 1 1"})
    with ProcessSampler(["ina3221", "other-load"], 0.02, tmp_path) as sampler:
        begin = time.perf_counter_ns()
        time.sleep(0.4)
        end = time.perf_counter_ns()
    series = {one.name: one for one in sampler.series(begin)}
    power = series["power VDD_IN"]
    assert set(power.values) == {5.0}
    # Both processes read one clock: the samples lie around the window.
    assert power.times[0] <= 0.05
    assert (end - begin) / 1e9 <= power.times[-1] <= (end - begin) / 1e9 + 5
    assert sampler.channels[("ina3221", "power VDD_IN")] == Channel("VDD_IN", "power", "W", "device", 0.005)
    assert sampler.rates["ina3221"].asked == 50.0
    assert sampler.cpu_seconds > 0


def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="hwmon has no ina3221"), ProcessSampler(["ina3221"], 0.02, tmp_path):
        pass
    with pytest.raises(ExecutionError, match="leave the with block"):
        ProcessSampler(["ina3221"]).series(0)


def test_idle_power_is_taken_of_electric_meters_alone(tmp_path: Path) -> None:
    from edgekit.benchmarks.meters.ina3221 import Ina3221
    from edgekit.benchmarks.meters.thermal import Thermal

    hwmon(tmp_path, 0, "ina3221", in1_label="VDD_IN", in1_input="5000", curr1_input="800")
    put(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "40000"})
    found = baseline.idle([Ina3221(tmp_path), Thermal(tmp_path)], 0.6, 0.01)
    assert list(found) == [("ina3221", "power VDD_IN")]
    assert found["ina3221", "power VDD_IN"].watts == pytest.approx(4.0)
    assert found["ina3221", "power VDD_IN"].error == pytest.approx(0.0, abs=1e-9)
    assert baseline.idle([Thermal(tmp_path)], 60.0) == {}, "and takes no time without one"


def test_the_two_clocks_of_the_machine_agree() -> None:
    now = time.time()
    assert clock.wall_seconds(time.perf_counter_ns()) == pytest.approx(now, abs=1.0)
    assert clock.perf_ns(clock.wall_seconds(123_000_000_000)) == pytest.approx(123_000_000_000, abs=50_000_000)
