"""Chips of the kernel each read by one meter, files that vanish and come, and a firmware that answers oddly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.devfreq import Devfreq
from edgekit.benchmarks.meters.fan import Fan
from edgekit.benchmarks.meters.hwmon_power import HwmonPower
from edgekit.benchmarks.meters.ina2xx import Ina2xx
from edgekit.benchmarks.meters.npu_load import NpuLoad
from edgekit.benchmarks.meters.rapl import Rapl
from edgekit.benchmarks.meters.raspberry_pi import watts
from edgekit.benchmarks.meters.thermal import Thermal
from edgekit.benchmarks.meters.throttling import Throttling, now
from edgekit.benchmarks.meters.vcgencmd import Command
from kernel_tree import PMIC, hwmon, program, put, vcgencmd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.benchmarks.meters.protocol import Meter

# Names that the kernel's drivers give (drivers/hwmon: ina2xx, ina238, ina209, ina3221 and others).
CHIPS = ["ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina234", "ina237", "ina238", "ina260", "ina700"]
CHIPS += ["ina780", "ina3221", "power_meter", "amdgpu", "corsairpsu", "xe", "sch5627"]


@pytest.mark.parametrize("name", CHIPS)
def test_the_power_of_a_chip_is_read_by_one_meter_alone(tmp_path: Path, name: str) -> None:
    rail = {"in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "600"} if name == "ina3221" else {}
    hwmon(tmp_path, 0, name, power1_input="3000000", **rail)
    found = [meter for meter in registry.find(tmp_path) if any(c.kind == "power" for c in meter.channels())]
    assert len(found) == 1
    assert list(found[0].read().values()) == [3.0]


@pytest.mark.parametrize(
    ("name", "label", "scope"),
    [
        ("amd_energy", "Esocket1", "package"),
        ("amd_energy", "Ecore001", "rail"),
        ("xe", "card", "accelerator"),
        ("xe", "pkg", "rail"),
        ("macsmc_hwmon", "Total System Power", "device"),
        ("macsmc_hwmon", "Heatpipe Power", "rail"),
        ("fam15h_power", "", "package"),
        ("nouveau", "", "accelerator"),
        ("somebodys", "Total System Power", "rail"),
    ],
)
def test_a_channel_sees_what_its_drivers_documentation_says(tmp_path: Path, name: str, label: str, scope: str) -> None:
    hwmon(tmp_path, 0, name, energy1_input="1", **({"energy1_label": label} if label else {}))
    (channel,) = HwmonPower(tmp_path).channels()
    assert (channel.name, channel.scope) == (f"{name} {label or 'energy1'}", scope)


@pytest.mark.parametrize("label", ["VIN", "VDD_IN", "POM_5V_IN"])
def test_a_label_that_names_the_input_makes_a_chip_the_device(tmp_path: Path, label: str) -> None:
    hwmon(tmp_path, 0, "ina226", power1_input="1000000", in1_label=label)
    hwmon(tmp_path, 1, "ina226", power1_input="1000000", in1_label="camera")
    assert {c.name: c.scope for c in Ina2xx(tmp_path).channels()} == {label: "device", "camera": "rail"}


MAKES: list[tuple[Callable[[Path], Meter], dict[str, str]]] = [
    (Devfreq, {"sys/class/devfreq/gpu/cur_freq": "800000000", "sys/class/devfreq/gpu/load": "37@800000000Hz"}),
    (Fan, {"sys/class/hwmon/hwmon0/name": "fan", "sys/class/hwmon/hwmon0/fan1_input": "900"}),
    (HwmonPower, {"sys/class/hwmon/hwmon0/name": "xe", "sys/class/hwmon/hwmon0/power1_input": "5"}),
    (Ina2xx, {"sys/class/hwmon/hwmon0/name": "ina226", "sys/class/hwmon/hwmon0/power1_input": "5"}),
    (NpuLoad, {"proc/rknpu/load": "NPU load: 12%"}),
    (NpuLoad, {"sys/devices/gpu.0/load": "120"}),
    (NpuLoad, {"sys/class/drm/card0/device/gpu_busy_percent": "7"}),
    (NpuLoad, {"sys/class/accel/accel0/device/npu_busy_time_us": "7"}),
    (Rapl, {"sys/class/powercap/intel-rapl:0/name": "package-0", "sys/class/powercap/intel-rapl:0/energy_uj": "7"}),
    (Thermal, {"sys/class/thermal/thermal_zone0/temp": "45000", "sys/class/thermal/thermal_zone0/type": "soc"}),
    (
        Throttling,
        {"sys/class/thermal/cooling_device0/type": "cpufreq-cpu0", "sys/class/thermal/cooling_device0/cur_state": "0"},
    ),
    (Throttling, {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0"}),
]


@pytest.mark.parametrize(("make", "files"), MAKES, ids=[f"{m[0].__name__}-{i}" for i, m in enumerate(MAKES)])  # type: ignore[attr-defined]
@pytest.mark.parametrize("content", [None, "", "offline", "\0", "-"])
def test_a_sensor_that_goes_away_is_missed_and_read_again_when_it_is_back(
    tmp_path: Path, make: Callable[[Path], Meter], files: dict[str, str], content: str | None
) -> None:
    meter = make(put(tmp_path, files))
    before = meter.read()
    assert set(before) == {channel.name for channel in meter.channels()}
    assert before
    figures = [name for name in files if not name.endswith(("/name", "/type"))]
    for name in figures:
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_text(content)
    assert meter.read() == {}
    put(tmp_path, files)
    time.sleep(0.001)
    assert set(meter.read()) == set(before)


def test_the_load_of_an_npu_is_read_where_any_user_may(tmp_path: Path) -> None:
    put(tmp_path, {"proc/rknpu/load": "NPU load: 12%", "sys/kernel/debug/rknpu/load": "NPU load: 99%"})
    assert NpuLoad(tmp_path).read() == {"NPU": 12.0}


def test_the_busy_time_of_an_npu_is_a_share_of_the_time_between_readings(tmp_path: Path) -> None:
    busy = "sys/class/accel/accel0/device/npu_busy_time_us"
    meter = NpuLoad(put(tmp_path, {busy: "0"}))
    begin = time.perf_counter()
    meter.read()
    first = time.perf_counter()
    time.sleep(0.2)
    put(tmp_path, {busy: "50000"})
    before = time.perf_counter()
    load = meter.read()["NPU accel0"]
    assert 5.0 / (time.perf_counter() - begin) <= load <= 5.0 / (before - first)
    # A counter that begins again, as after a suspend, is no negative load.
    put(tmp_path, {busy: "10"})
    assert meter.read() == {"NPU accel0": 0.0}


def test_several_npus_and_gpus_have_names_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, {f"sys/class/accel/accel{i}/device/npu_busy_time_us": "0" for i in (0, 1)})
    put(tmp_path, {f"sys/class/drm/card{i}/device/gpu_busy_percent": str(i) for i in (0, 1)})
    put(tmp_path, {"sys/class/drm/card0-DP-1/device/gpu_busy_percent": "55"})
    assert [c.name for c in NpuLoad(tmp_path).channels()] == ["GPU card0", "GPU card1", "NPU accel0", "NPU accel1"]


def test_a_long_answer_of_the_firmware_is_read_to_its_end(tmp_path: Path) -> None:
    """More than a pipe holds, which would stop a command that nobody listens to."""
    program(tmp_path / "usr/bin/vcgencmd", "i=0; while [ $i -lt 9000 ]; do echo line $i of many; i=$((i+1)); done")
    said, reason = Command(tmp_path).ask("anything")
    assert reason == ""
    assert said.splitlines() == [f"line {i} of many" for i in range(9000)]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo VCHI initialization failed; exit 0", "vcgencmd get_throttled: VCHI initialization failed"),
        ("echo Can not open /dev/vcio >&2; exit 255", "vcgencmd get_throttled: Can not open /dev/vcio"),
        ("echo 'error=2 error_msg=\"Invalid arguments\"'", "vcgencmd get_throttled: error=2"),
        ("kill -9 $$", "vcgencmd get_throttled: exit status -9"),
    ],
)
def test_what_the_firmware_says_instead_of_an_answer_is_the_reason(tmp_path: Path, script: str, reason: str) -> None:
    program(tmp_path / "usr/bin/vcgencmd", script)
    said, told = Command(tmp_path).ask("get_throttled")
    assert said == ""
    assert told.startswith(reason)
    assert now(tmp_path) == (), "and no flag is up"
    assert Throttling(tmp_path).channels() == ()


@pytest.mark.parametrize(
    ("said", "up"), [("0x0", 0), ("0x1", 1), ("f", 4), ("0xf0000", 0), ("5000f", 4), ("nothing", 0)]
)
def test_only_the_lowest_four_bits_are_of_this_moment(tmp_path: Path, said: str, up: int) -> None:
    put(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": said})
    assert len(now(tmp_path)) == up
    meter = Throttling(tmp_path)
    assert sum(meter.read().values()) == up
    assert len(meter.channels()) == (0 if said == "nothing" else 4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A_A current(0)=2.0A\nA_V volt(1)=3.0V", {"A": 6.0}),
        ("A_V volt(1)=3.0V\nA_A current(0)=2A", {"A": 6.0}),
        ("A_A current(0)=-0.5A\nA_V volt(1)=3.0V", {"A": -1.5}),
        # A unit that is not that of its name, a rail of one figure, a line that is cut.
        ("A_A current(0)=2.0V\nA_V volt(1)=3.0V", {}),
        ("A_A current(0)=2.0A\nB_V volt(1)=3.0V", {}),
        ("A_A current(0)=2.0A\nA_V volt(1)=", {}),
        ("", {}),
    ],
)
def test_rails_of_the_power_chip_need_both_figures(text: str, found: dict[str, float]) -> None:
    assert watts(text) == found


def test_the_sum_of_the_power_chip_is_that_of_its_rails(tmp_path: Path) -> None:
    """Currents times voltages of a board's answer, paired by hand."""
    found = watts(PMIC)
    by_hand = {"3V3_SYS": 0.05856270 * 3.31294300, "1V8_SYS": 0.18543250 * 1.79853900, "VDD_CORE": 1.5}
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)
    vcgencmd(tmp_path, {"pmic_read_adc": PMIC})
    (meter,) = (one for one in registry.find(tmp_path) if one.name == "raspberry-pi-pmic")
    total = [meter.read()[c.name] for c in meter.channels() if c.scope == "package"]
    assert total == pytest.approx([sum(found.values())])
