"""Readers of temperature, clock, load, fan and throttling on made-up kernel trees."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.meters import sysfs, throttling
from edgekit.benchmarks.meters.cpufreq import Cpufreq, policies
from edgekit.benchmarks.meters.devfreq import Devfreq
from edgekit.benchmarks.meters.fan import Fan
from edgekit.benchmarks.meters.npu_load import NpuLoad
from edgekit.benchmarks.meters.other_load import OtherLoad
from edgekit.benchmarks.meters.thermal import Thermal
from edgekit.benchmarks.meters.throttling import Throttling
from edgekit.errors import InputError
from kernel_tree import hwmon, put, vcgencmd

if TYPE_CHECKING:
    from pathlib import Path

THERMAL, CPU = "sys/class/thermal", "sys/devices/system/cpu"


def test_temperatures_are_zones_and_the_chips_that_are_none(tmp_path: Path) -> None:
    put(tmp_path, {f"{THERMAL}/thermal_zone0/type": "cpu-thermal", f"{THERMAL}/thermal_zone0/temp": "45500"})
    put(tmp_path, {f"{THERMAL}/thermal_zone1/type": "gpu-thermal"})
    put(tmp_path, {f"{THERMAL}/thermal_zone10/type": "cpu-thermal", f"{THERMAL}/thermal_zone10/temp": "-2000"})
    hwmon(tmp_path, 0, "cpu_thermal", temp1_input="45500")
    hwmon(tmp_path, 1, "k10temp", temp1_input="61250", temp1_label="Tctl", temp3_input="60000")
    meter = Thermal(tmp_path)
    assert meter.read() == {
        "cpu-thermal": 45.5,
        "cpu-thermal 2": -2.0,
        "k10temp Tctl": 61.25,
        "k10temp temp3": 60.0,
    }
    assert {c.unit for c in meter.channels()} == {"°C"}
    assert meter.present().ok
    assert not Thermal(tmp_path / "elsewhere").present().ok


def test_clocks_come_by_policy_in_megahertz(tmp_path: Path) -> None:
    for number, processors, khz in ((0, "0 1 2 3", "1800000"), (4, "4 5", "2400000")):
        base = f"{CPU}/cpufreq/policy{number}"
        put(tmp_path, {f"{base}/scaling_cur_freq": khz, f"{base}/affected_cpus": processors})
        put(tmp_path, {f"{base}/scaling_governor": "ondemand", f"{base}/cpuinfo_max_freq": khz})
    assert Cpufreq(tmp_path).read() == {"cpu policy0": 1800.0, "cpu policy4": 2400.0}
    assert [(p.processors, p.governor, p.most) for p in policies(tmp_path)] == [
        (4, "ondemand", 1800.0),
        (2, "ondemand", 2400.0),
    ]
    assert not Cpufreq(tmp_path / "elsewhere").present().ok


def test_old_kernels_have_a_clock_folder_in_each_processor(tmp_path: Path) -> None:
    put(tmp_path, {f"{CPU}/cpu{i}/cpufreq/scaling_cur_freq": "600000" for i in (0, 1)})
    assert Cpufreq(tmp_path).read() == {"cpu cpu0": 600.0, "cpu cpu1": 600.0}


@pytest.mark.parametrize(
    ("driver", "governor", "preference", "told"),
    [
        ("acpi-cpufreq", "powersave", "", "powersave"),
        ("intel_pstate", "powersave", "balance_performance", "powersave (intel_pstate, balance_performance)"),
        ("amd-pstate-epp", "powersave", "", "powersave (amd-pstate-epp)"),
        ("intel_pstate", "schedutil", "", "schedutil"),
    ],
)
def test_a_governor_is_told_with_its_driver_where_that_changes_it(
    tmp_path: Path, driver: str, governor: str, preference: str, told: str
) -> None:
    base = f"{CPU}/cpufreq/policy0"
    put(tmp_path, {f"{base}/scaling_driver": driver, f"{base}/scaling_governor": governor})
    if preference:
        put(tmp_path, {f"{base}/energy_performance_preference": preference})
    assert policies(tmp_path)[0].governor == told


def test_devfreq_tells_clocks_and_loads(tmp_path: Path) -> None:
    base = "sys/class/devfreq"
    put(tmp_path, {f"{base}/fb000000.gpu/cur_freq": "800000000", f"{base}/fb000000.gpu/load": "37@800000000Hz"})
    put(tmp_path, {f"{base}/dmc/cur_freq": "2112000000", f"{base}/dmc/load": "nonsense"})
    meter = Devfreq(tmp_path)
    assert meter.read() == {"fb000000.gpu": 800.0, "fb000000.gpu load": 37.0, "dmc": 2112.0}
    assert [c.kind for c in meter.channels()] == ["clock", "clock", "load"]
    assert not Devfreq(tmp_path / "elsewhere").present().ok


def test_fans_tell_speed_and_drive(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "pwmfan", fan1_input="2875", pwm1="51", pwm1_enable="1")
    put(tmp_path, {"sys/devices/pwm-fan/cur_pwm": "255", "sys/devices/pwm-fan/rpm_measured": "4000"})
    meter = Fan(tmp_path)
    assert meter.read() == pytest.approx(
        {"pwmfan fan1": 2875, "pwm-fan": 4000, "pwmfan pwm1": 20.0, "pwm-fan drive": 100.0}
    )
    assert {c.name: c.unit for c in meter.channels()}["pwmfan pwm1"] == "%"
    assert not Fan(tmp_path / "elsewhere").present().ok


@pytest.mark.parametrize(
    ("said", "loads"),
    [
        ("NPU load:  Core0: 23%, Core1:  0%, Core2: 100%,", {"NPU Core0": 23, "NPU Core1": 0, "NPU Core2": 100}),
        ("NPU load: 12%", {"NPU": 12}),
    ],
)
def test_rockchip_tells_the_load_of_its_npu(tmp_path: Path, said: str, loads: dict[str, float]) -> None:
    put(tmp_path, {"sys/kernel/debug/rknpu/load": said})
    meter = NpuLoad(tmp_path)
    assert meter.read() == loads
    assert [c.name for c in meter.channels()] == list(loads)


def test_jetson_and_amd_tell_the_load_of_their_gpus(tmp_path: Path) -> None:
    put(tmp_path, {"sys/devices/platform/17000000.gpu/load": "453"})
    put(tmp_path, {"sys/class/drm/card1/device/gpu_busy_percent": "88"})
    assert NpuLoad(tmp_path).read() == {"GPU": 45.3, "GPU card1": 88.0}


def test_intel_counts_the_busy_time_of_its_npu(tmp_path: Path) -> None:
    busy = "sys/class/accel/accel0/device/npu_busy_time_us"
    put(tmp_path, {busy: "1000000"})
    meter = NpuLoad(tmp_path)
    assert meter.present().ok
    put(tmp_path, {busy: "100000000000"})
    assert meter.read() == {"NPU accel0": 100.0}
    time.sleep(0.01)
    assert meter.read() == {"NPU accel0": 0.0}


def test_no_npu_is_told(tmp_path: Path) -> None:
    assert "Rockchip" in NpuLoad(tmp_path).present().reason
    assert NpuLoad(tmp_path).channels() == ()


def test_raspberry_pi_flags_come_from_the_command_or_the_file(tmp_path: Path) -> None:
    vcgencmd(tmp_path, {"get_throttled": "throttled=0x50005"})
    expected = {"firmware: under-voltage": 1, "firmware: clock capped": 0, "firmware: throttled": 1}
    expected |= {"firmware: soft temperature limit": 0}
    assert Throttling(tmp_path).read() == expected
    assert throttling.now(tmp_path) == ("firmware: under-voltage", "firmware: throttled")
    put(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "8"})
    assert throttling.now(tmp_path) == ("firmware: soft temperature limit",)


def test_cooling_devices_that_slow_down_are_flags_and_fans_are_not(tmp_path: Path) -> None:
    for number, (kind, state) in enumerate(
        [("cpufreq-cpu0", "2"), ("pwm-fan", "3"), ("Processor", "0"), ("Processor", "1"), ("thermal-devfreq-0", "0")]
    ):
        base = f"{THERMAL}/cooling_device{number}"
        put(tmp_path, {f"{base}/type": kind, f"{base}/cur_state": state})
    meter = Throttling(tmp_path)
    assert meter.read() == {
        "cooling: cpufreq-cpu0": 1,
        "cooling: Processor": 0,
        "cooling: Processor 2": 1,
        "cooling: thermal-devfreq-0": 0,
    }
    assert throttling.now(tmp_path) == ("cooling: cpufreq-cpu0", "cooling: Processor 2")


def test_counters_of_x86_and_jetson_add_up(tmp_path: Path) -> None:
    put(tmp_path, {f"{CPU}/cpu{i}/thermal_throttle/core_throttle_count": str(i) for i in (0, 1, 2)})
    put(tmp_path, {f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "7"})
    hwmon(tmp_path, 0, "soctherm_oc", oc1_event_cnt="4", oc1_throt_en="1")
    meter = Throttling(tmp_path)
    assert meter.read() == {"x86 core thermal": 3, "x86 package thermal": 7, "soctherm_oc over-current 1": 4}
    assert {c.unit for c in meter.channels()} == {"count"}
    assert throttling.now(tmp_path) == ()


def test_a_system_that_does_not_tell_says_so(tmp_path: Path) -> None:
    assert "does not tell" in Throttling(tmp_path).present().reason


def test_other_load_is_what_is_not_of_this_tree(tmp_path: Path) -> None:
    hertz = os.sysconf("SC_CLK_TCK")

    def write(busy: int, own: int) -> None:
        # pid 7 is ours, 8 its child with a name that tries to confuse, 9 somebody else's.
        tail = "0 0 0 0 0 0 0 0 0"
        put(tmp_path, {"proc/stat": f"cpu {busy} 0 0 99999 5 0 0 0\ncpu0 1 1 1 1"})
        put(tmp_path, {"proc/7/stat": f"7 (python) S 1 {tail} {own} 0 0 0 20"})
        put(tmp_path, {"proc/8/stat": f"8 (a) S 1 (b)) S 7 {tail} {own} 0 0 0 20"})
        put(tmp_path, {"proc/9/stat": f"9 (other) R 1 {tail} 99 0 0 0 20"})

    write(0, 0)
    began = time.perf_counter()
    meter = OtherLoad(tmp_path, "7")
    assert meter.read() == {}, "too early for a figure"
    time.sleep(0.55)
    write(3 * hertz, hertz)
    load = meter.read()["other processes"]
    assert 100 / (time.perf_counter() - began) <= load <= 100 / 0.55
    assert meter.read()["other processes"] == load, "the next figure needs time too"


def test_other_load_counts_our_own_work_as_ours() -> None:
    began, ours = time.perf_counter(), time.process_time()
    meter = OtherLoad()
    assert meter.present().ok
    while time.perf_counter() < began + 0.6:
        pass
    theirs = meter.read()["other processes"] / 100
    seconds, ours = time.perf_counter() - began, time.process_time() - ours
    # All processors together cannot do more than their number; ticks are of 10 ms.
    assert 0 <= theirs <= (os.cpu_count() or 1) - (ours - 0.1) / seconds


def test_other_load_may_be_hidden_and_its_setting_wrong(tmp_path: Path) -> None:
    assert "Android" in OtherLoad(tmp_path).present().reason
    assert OtherLoad(tmp_path).read() == {}
    assert OtherLoad(tmp_path).channels() == ()
    with pytest.raises(InputError, match="number of a process"):
        OtherLoad(tmp_path, "python")


def test_files_of_the_kernel_may_hold_anything(tmp_path: Path) -> None:
    put(tmp_path, {"a": "12 mW", "b": "-7"})
    (tmp_path / "c").write_bytes(b"x\xff\0")
    assert sysfs.number(tmp_path / "a") is None
    assert sysfs.number(tmp_path / "b") == -7
    assert sysfs.text(tmp_path / "c") == "x�"
    assert sysfs.text(tmp_path / "none") is None
    assert sysfs.entries(tmp_path / "none", "*") == ()
    assert sysfs.listed("0-2,5") == (0, 1, 2, 5)
    assert sysfs.listed("any") == ()
