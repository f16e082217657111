"""What may change between two runs, and when that makes a run INVALID."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

import bench_results
from edgekit.benchmarks.device import judge, load, state
from edgekit.benchmarks.device.judge import OTHER_SERIES, reasons
from edgekit.benchmarks.meters.other_load import OtherLoad
from edgekit.benchmarks.meters.samples import series_name
from edgekit.benchmarks.results.context_records import State
from edgekit.benchmarks.results.energy_records import Series
from kernel_tree import put, vcgencmd

PROC = Path("/proc")
Kind = Literal["clock", "throttle", "load"]
QUIET = State(
    governors={"performance": 4},
    clocks={"cpu policy0": 2400.0},
    temperatures={"cpu-thermal": 51.0},
    throttled=(),
    other_load=0.03,
    memory_free=4000,
    on_battery=None,
)
DEVICE = replace(bench_results.DEVICES["pi5"], power_mode="", virtual="")


def series(name: str, kind: Kind, unit: str, meter: str, values: list[float], begin: float = 0.0) -> Series:
    return Series(name, kind, unit, meter, tuple(begin + i for i in range(len(values))), tuple(values))


def judged(*found: Series, before: State = QUIET, after: State = QUIET, sustained: bool = False) -> tuple[str, ...]:
    return reasons(before, after, found, sustained, DEVICE)


def test_a_state_is_read_from_the_kernel(tmp_path: Path) -> None:
    cpu, base = "sys/devices/system/cpu/cpufreq", "sys/class/power_supply/BAT0"
    for policy, governor, processors in (
        (0, "schedutil", "0 1 2 3"),
        (4, "performance", "4 5"),
        (6, "performance", "6 7"),
    ):
        put(tmp_path, {f"{cpu}/policy{policy}/scaling_governor": governor})
        put(tmp_path, {f"{cpu}/policy{policy}/affected_cpus": processors})
        put(tmp_path, {f"{cpu}/policy{policy}/scaling_cur_freq": "1800000"})
    put(tmp_path, {"sys/class/devfreq/gpu/cur_freq": "500000000", "sys/class/devfreq/gpu/load": "9@500000000Hz"})
    put(tmp_path, {"sys/class/thermal/thermal_zone0/type": "soc", "sys/class/thermal/thermal_zone0/temp": "50000"})
    put(tmp_path, {"proc/meminfo": "MemAvailable: 2048000 kB", "proc/stat": "cpu 0 0 0 0 0 0 0 0"})
    put(tmp_path, {f"{base}/type": "Battery", f"{base}/status": "Discharging"})
    vcgencmd(tmp_path, {"get_throttled": "throttled=0x4"})
    assert state.read(tmp_path, 0.02) == State(
        governors={"schedutil": 4, "performance": 4},
        clocks={"cpu policy0": 1800.0, "cpu policy4": 1800.0, "cpu policy6": 1800.0, "gpu": 500.0},
        temperatures={"soc": 50.0},
        throttled=("firmware: throttled",),
        other_load=0.0,
        memory_free=2000,
        on_battery=True,
    )


def test_a_system_that_hides_everything_gives_nothing_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    found = state.read(tmp_path, 30.0)
    assert found == State({}, {}, {}, (), None, 0, None)
    assert time.monotonic() - began < 25


def test_a_child_of_this_process_is_no_other_load_and_a_stranger_is() -> None:
    """The same busy process, once as ours and once as another's: its own CPU time makes the difference."""
    code = "import sys, time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as busy:
        try:
            first = (load.cpu_time(), load.cpu_time(pid=1 << 30), _spent(busy.pid))
            time.sleep(1.0)
            last = (load.cpu_time(), load.cpu_time(pid=1 << 30), _spent(busy.pid))
        finally:
            busy.kill()
    ours, nobody = load.other(first[0], last[0]), load.other(first[1], last[1])
    assert ours is not None
    assert nobody is not None
    child = (last[2] - first[2]) / os.sysconf("SC_CLK_TCK")
    assert child > 0
    assert nobody - ours == pytest.approx(child, abs=0.3 * child + 0.1)


def _spent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
        fields = stream.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_both_ways_to_find_descendants_agree() -> None:
    """A child that sleeps, with a child of its own that has worked."""
    work = "import subprocess, sys, time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
    code = f"{work}subprocess.run([sys.executable, '-c', {work + 'print(1, flush=True); time.sleep(60)'!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            down, up = load._by_children(PROC, os.getpid()), load._by_parents(PROC, os.getpid())
            alone = load._by_parents(PROC, child.pid)
        finally:
            os.killpg(child.pid, 9)
    if down is not None:
        # This process goes on between the two, by a tick or two.
        assert down == pytest.approx(up, abs=30)
        assert up >= alone >= 10


def test_a_kernel_that_lists_children_is_asked_for_them(tmp_path: Path) -> None:
    tail = "0 0 0 0 0 0 0 0 0"
    put(tmp_path, {f"proc/{n}/stat": f"{n} (x) S {p} {tail} {n} 0 0 0 20" for n, p in ((7, 1), (8, 7), (9, 1))})
    put(tmp_path, {"proc/7/task/7/children": "", "proc/7/task/71/children": "8 5", "proc/8/task/8/children": ""})
    assert load._by_children(tmp_path / "proc", 7) == 15
    assert load._by_children(tmp_path / "proc", 4) is None
    assert load._by_children(tmp_path / "proc", 9) is None, "this one lists no children"


def test_no_time_between_two_readings_gives_no_load() -> None:
    reading = load.cpu_time()
    assert load.other(reading, reading) is None
    assert load.other(None, reading) is None


def test_nothing_wrong_gives_no_reason() -> None:
    clock = series("clock cpu policy0", "clock", "MHz", "cpufreq", [2400.0] * 30)
    flag = series("throttle firmware: throttled", "throttle", "flag", "throttling", [0.0] * 30)
    count = series("throttle x86 core thermal", "throttle", "count", "throttling", [7.0] * 30)
    quiet = series(OTHER_SERIES, "load", "%", "other-load", [4.0] * 30)
    assert judged(clock, flag, count, quiet) == ()


def test_the_series_of_other_load_is_the_meters() -> None:
    channel = OtherLoad().channels()[0]
    assert series_name(channel) == OTHER_SERIES


def test_flags_and_counters_of_throttling_are_told_with_figures() -> None:
    flag = series("throttle firmware: throttled", "throttle", "flag", "throttling", [0.0, 1.0, 1.0])
    count = series("throttle x86 core thermal", "throttle", "count", "throttling", [7.0, 7.0, 12.0])
    found = judged(flag, count)
    assert any("firmware: throttled in 2 of 3 readings" in reason for reason in found)
    assert any("x86 core thermal 5 times" in reason for reason in found)
    assert all("--sustained" in reason for reason in found)
    assert judged(flag, count, sustained=True) == ()


def test_what_came_before_the_measured_part_does_not_count() -> None:
    flag = series("throttle firmware: throttled", "throttle", "flag", "throttling", [1.0, 1.0, 0.0], begin=-2.0)
    assert judged(flag) == ()


def test_a_weak_power_supply_is_wrong_even_when_heat_is_not() -> None:
    low = replace(QUIET, throttled=("firmware: under-voltage", "firmware: throttled"))
    assert any("stronger supply" in reason for reason in judged(after=low, sustained=True))
    assert len(judged(after=low, sustained=True)) == 1
    assert len(judged(before=low)) == 2


def test_the_fastest_clock_must_hold() -> None:
    big = series("clock cpu policy4", "clock", "MHz", "cpufreq", [2400.0] * 17 + [1400.0] * 3)
    little = series("clock cpu policy0", "clock", "MHz", "cpufreq", [600.0] * 17 + [1800.0] * 3)
    (found,) = judged(big, little)
    assert "1800 MHz or less" in found
    assert "usually at 2400" in found
    assert judged(big, little, sustained=True) == ()
    steady = series("clock cpu policy4", "clock", "MHz", "cpufreq", [2400.0] * 20)
    assert judged(steady, little) == (), "a cluster that rests may change its clock"
    assert judged(series("clock cpu policy4", "clock", "MHz", "cpufreq", [2400.0, 600.0])) == (), "too few to tell"
    assert judged(series("clock dmc", "clock", "MHz", "devfreq", [2112.0, 528.0] * 10)) == ()


@pytest.mark.parametrize(
    ("governor", "wrong"),
    [
        ("powersave", True),
        ("powersave (intel_pstate, power)", True),
        ("powersave (intel_pstate, balance_performance)", False),
        ("ondemand", False),
    ],
)
def test_the_lowest_clock_is_no_measurement(governor: str, wrong: bool) -> None:
    found = judged(before=replace(QUIET, governors={governor: 4}))
    assert bool(found) is wrong
    assert not wrong or "4 processors" in found[0]


def test_other_load_is_judged_before_during_and_after() -> None:
    busy = replace(QUIET, other_load=0.9)
    assert "0.90 processors busy before" in judged(before=busy)[0]
    assert "0.90 processors busy after" in judged(after=busy)[0]
    assert judged(before=replace(QUIET, other_load=None)) == ()
    (found,) = judged(series(OTHER_SERIES, "load", "%", "other-load", [60.0] * 5))
    assert "0.60 processors busy during" in found
    (found,) = judged(series(OTHER_SERIES, "load", "%", "other-load", [2.0] * 17 + [90.0] * 3))
    assert "0.90 at the 95th percentile" in found
    assert f"{judge.OTHER_LOAD:.2f}" in found


def test_saving_modes_and_emulators_are_told() -> None:
    slow = replace(DEVICE, power_mode="platform_profile low-power")
    assert "low-power" in reasons(QUIET, QUIET, (), False, slow)[0]
    played = replace(DEVICE, virtual="emulated by QEMU")
    assert "emulated by QEMU" in reasons(QUIET, QUIET, (), True, played)[0]
    assert reasons(QUIET, QUIET, (), False, replace(DEVICE, virtual="KVM", power_mode="nvpmodel MAXN")) == ()
    assert reasons(QUIET, QUIET, (), False) == ()


def test_a_reason_is_told_once() -> None:
    hot = replace(QUIET, throttled=("cooling: cpufreq-cpu0",))
    assert len(judged(before=hot, after=hot)) == 1
