"""Whole boards: which meters are found on each, what they say, and what the energy of a run comes from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.device import identity, state
from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.energy import energy
from edgekit.benchmarks.meters.raspberry_pi import SUM
from edgekit.benchmarks.meters.sampling import Sampler
from kernel_tree import PMIC, hwmon, put, vcgencmd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU, THERMAL, DEVFREQ = "sys/devices/system/cpu", "sys/class/thermal", "sys/class/devfreq"
MEMORY = "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB"


def common(root: Path, model: str, chip: str, policies: dict[int, str]) -> Path:
    """What every Linux board has: its name, a clock for each group of processors, one temperature."""
    put(root, {"proc/device-tree/model": model + "\0", "proc/device-tree/compatible": f"board\0{chip}\0"})
    put(root, {"proc/meminfo": MEMORY, "proc/stat": "cpu 0 0 0 0 0 0 0 0"})
    put(root, {f"{THERMAL}/thermal_zone0/type": "cpu-thermal", f"{THERMAL}/thermal_zone0/temp": "52000"})
    for number, khz in policies.items():
        base = f"{CPU}/cpufreq/policy{number}"
        put(root, {f"{base}/scaling_cur_freq": khz, f"{base}/scaling_governor": "schedutil"})
        put(root, {f"{base}/affected_cpus": f"{number} {number + 1}"})
    return root


def orin_nano(root: Path) -> Path:
    common(root, "NVIDIA Jetson Orin Nano Developer Kit", "nvidia,tegra234", {0: "1510400", 4: "1510400"})
    labels = {"in1_label": "VDD_IN", "in2_label": "VDD_CPU_GPU_CV", "in3_label": "VDD_SOC", "in7_label": "sum"}
    values = {"in1_input": "5064", "curr1_input": "1240", "in2_input": "5056", "curr2_input": "248"}
    hwmon(root, 0, "ina3221", **labels, **values, in3_input="5048", curr3_input="328", in7_input="88")
    hwmon(root, 1, "pwmfan", fan1_input="1450", pwm1="64")
    hwmon(root, 2, "soctherm_oc", oc1_event_cnt="0", oc3_event_cnt="2")
    put(root, {"sys/devices/platform/17000000.gpu/load": "0", f"{DEVFREQ}/17000000.gpu/cur_freq": "306000000"})
    put(root, {"var/lib/nvpmodel/status": "pmode:0000 fmode:quiet"})
    return put(root, {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >"})


def jetson_nano(root: Path) -> Path:
    common(root, "NVIDIA Jetson Nano Developer Kit", "nvidia,tegra210", {0: "1479000"})
    device = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    for number, (name, milliwatts) in enumerate((("POM_5V_IN", "3012"), ("POM_5V_GPU", "120"), ("POM_5V_CPU", "640"))):
        put(root, {f"{device}/rail_name_{number}": name, f"{device}/in_power{number}_input": milliwatts})
    put(root, {"sys/devices/pwm-fan/cur_pwm": "0", "sys/devices/gpu.0/load": "120"})
    return root


def thor(root: Path) -> Path:
    common(root, "NVIDIA Jetson AGX Thor Developer Kit", "nvidia,tegra264", {0: "2601000"})
    hwmon(root, 0, "ina238", power1_input="38600000", in1_input="19800", curr1_input="1950")
    rails = {"in1_label": "VDD_GPU", "in2_label": "VDD_CPU_SOC_MSS", "in3_label": "VIN_SYS_5V0"}
    hwmon(root, 1, "ina3221", **rails, **{f"{kind}{i}_input": "1000" for kind in ("in", "curr") for i in (1, 2, 3)})
    return root


def pi5(root: Path) -> Path:
    common(root, "Raspberry Pi 5 Model B Rev 1.0", "brcm,bcm2712", {0: "2400000"})
    vcgencmd(root, {"pmic_read_adc": PMIC, "get_throttled": "throttled=0x10000"})
    hwmon(root, 0, "cpu_thermal", temp1_input="52000")
    hwmon(root, 1, "pwmfan", fan1_input="0", pwm1="0")
    return root


def pi4(root: Path) -> Path:
    common(root, "Raspberry Pi 4 Model B Rev 1.4", "brcm,bcm2711", {0: "1800000"})
    vcgencmd(root, {"get_throttled": "throttled=0x50005"})
    return root


def rock5(root: Path) -> Path:
    common(root, "Radxa ROCK 5B", "rockchip,rk3588", {0: "1800000", 4: "2352000", 6: "2304000"})
    put(root, {"sys/kernel/debug/rknpu/load": "NPU load:  Core0: 41%, Core1:  0%, Core2:  0%,"})
    put(root, {f"{DEVFREQ}/fdab0000.npu/cur_freq": "1000000000", f"{DEVFREQ}/fb000000.gpu/cur_freq": "300000000"})
    put(root, {f"{THERMAL}/cooling_device0/type": "thermal-cpufreq-0", f"{THERMAL}/cooling_device0/cur_state": "0"})
    return root


def laptop(root: Path) -> Path:
    put(root, {"proc/meminfo": MEMORY, "proc/stat": "cpu 0 0 0 0 0 0 0 0"})
    put(root, {"sys/class/dmi/id/sys_vendor": "LENOVO", "sys/class/dmi/id/product_name": "21HM"})
    zone = "sys/class/powercap/intel-rapl:0"
    put(root, {f"{zone}/name": "package-0", f"{zone}/energy_uj": "5", f"{zone}/max_energy_range_uj": "262143328850"})
    battery = "sys/class/power_supply/BAT0"
    put(root, {f"{battery}/type": "Battery", f"{battery}/status": "Discharging", f"{battery}/power_now": "9430000"})
    put(root, {f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3"})
    hwmon(root, 0, "coretemp", temp1_input="61000", temp1_label="Package id 0")
    return root


def phone(root: Path) -> Path:
    common(root, "Pixel", "google,gs201", {0: "1803000", 4: "2348000", 6: "2850000"})
    (root / "proc/stat").unlink()
    battery = "sys/class/power_supply/battery"
    put(root, {f"{battery}/type": "Battery", f"{battery}/status": "Discharging"})
    return put(root, {f"{battery}/current_now": "-612500", f"{battery}/voltage_now": "4012000"})


@dataclass(frozen=True)
class Board:
    """A tree, the meters that are found on it, and the watts that a run's energy comes from (None: unmeasured)."""

    make: Callable[[Path], Path]
    meters: str
    rail: str
    scope: str
    watts: float | None


BOARDS = (
    Board(orin_nano, "cpufreq devfreq fan ina3221 npu-load other-load thermal throttling", "VDD_IN", "device", 6.27936),
    Board(jetson_nano, "cpufreq fan ina3221-iio npu-load other-load thermal", "POM_5V_IN", "device", 3.012),
    Board(thor, "cpufreq ina2xx ina3221 other-load thermal", "ina238", "device", 38.6),
    Board(pi5, "cpufreq fan other-load raspberry-pi-pmic thermal throttling", SUM, "package", 2.0419588),
    Board(pi4, "cpufreq other-load thermal throttling", "", "", None),
    Board(rock5, "cpufreq devfreq npu-load other-load thermal throttling", "", "", None),
    Board(laptop, "battery other-load rapl thermal throttling", "battery", "device", 9.43),
    Board(phone, "battery cpufreq thermal", "battery", "device", 2.45735),
)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.make.__name__)
def test_the_meters_of_a_board_are_found_and_no_others(tmp_path: Path, board: Board) -> None:
    found, missing = registry.look(board.make(tmp_path))
    assert " ".join(meter.name for meter in found) == board.meters
    assert not [each for each in missing if "broken" in each.reason]
    for meter in found:
        names = [channel.name for channel in meter.channels()]
        assert len(set(names)) == len(names)
        assert set(meter.read()) <= set(names)
        assert meter.period() > 0


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.make.__name__)
def test_the_energy_of_a_board_comes_from_what_sees_most(tmp_path: Path, board: Board) -> None:
    meters = registry.find(board.make(tmp_path))
    found = {(m.name, c.name): (m, c) for m in meters for c in m.channels() if c.kind in ("power", "energy")}
    watts = {(meter.name, name): value for meter in meters for name, value in meter.read().items()}
    series, channels = [], {}
    for (meter_name, name), (_, channel) in found.items():
        # As a run of ten seconds would have them, at these steady values.
        stamps = range(0, 12 * 10**9, 10**8)
        steady = [watts[meter_name, name] * (t / 1e9 if channel.kind == "energy" else 1.0) for t in stamps]
        series.append(_made(meter_name, channel, stamps, steady))
        channels[meter_name, series[-1].name] = channel
    got, reasons = energy(series, 0.0, 10.0, 100, {}, {}, channels)
    assert reasons == ()
    assert (got.rail, got.scope) == (board.rail, board.scope)
    assert got.watts == (None if board.watts is None else pytest.approx(board.watts, rel=1e-5))
    if board.watts is None:
        assert got.status == "unmeasured"


def _made(meter: str, channel: object, stamps: range, values: list[float]) -> object:
    from edgekit.benchmarks.meters.samples import made

    return made(meter, channel, list(stamps), values, 10**9)  # type: ignore[arg-type]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.make.__name__)
def test_the_state_and_identity_of_a_board_can_be_read(tmp_path: Path, board: Board) -> None:
    root = board.make(tmp_path)
    device, now = identity.identify(root), state.read(root, 0.01)
    assert device.board
    assert device.virtual == ""
    assert now.memory_free == 3906
    assert all(0 < value < 6000 for value in now.clocks.values())
    assert all(-20 < value < 120 for value in now.temperatures.values())


def test_the_throttling_of_boards_is_told_now_and_not_from_the_past(tmp_path: Path) -> None:
    assert state.read(pi4(tmp_path / "4"), 0.01).throttled == ("firmware: under-voltage", "firmware: throttled")
    assert state.read(pi5(tmp_path / "5"), 0.01).throttled == (), "bit 16 is of an hour ago"
    assert state.read(rock5(tmp_path / "r"), 0.01).throttled == ()


def test_an_accelerator_beside_the_pmic_is_refused(tmp_path: Path) -> None:
    """The M.2 accelerator of a Pi 5 hangs on 5 V, which the power chip does not see."""
    meters = [meter for meter in registry.find(pi5(tmp_path)) if meter.name == "raspberry-pi-pmic"]
    with Sampler(meters, 0.1) as sampler:
        begin = time.perf_counter_ns()
        time.sleep(0.3)
    got, reasons = energy(sampler.series(begin), 0.0, 0.3, 1, {}, {}, sampler.channels, "hailo")
    assert got.joules is None
    assert "the work ran on hailo" in reasons[0]


_BATTERY = """P: /devices/platform/battery/power_supply/BAT0
E: SUBSYSTEM=power_supply
A: type=Battery\\n
A: status={status}\\n
A: current_now={current}\\n
A: voltage_now=3850000\\n
"""


@pytest.mark.skipif(shutil.which("umockdev-run") is None, reason="umockdev-run is not installed")
@pytest.mark.parametrize(
    ("status", "current", "said"),
    [
        ("Discharging", "-1200000", "battery = 4.62 W [device]"),
        ("Charging", "1200000", "unplug the charger"),
        ("Discharging", "-412", "its unit is not µA"),
    ],
)
def test_the_listing_of_an_unmodified_process_on_a_faked_battery(
    tmp_path: Path, status: str, current: str, said: str
) -> None:
    description = tmp_path / "battery.umockdev"
    description.write_text(_BATTERY.format(status=status, current=current))
    command = ["umockdev-run", f"--device={description}", "--", sys.executable, "-m", "edgekit.benchmarks.meters"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("battery"))
    assert said in line
