"""Readers of power on made-up kernel trees: layouts, units, what is skipped, which rail is the total."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.meters import rails
from edgekit.benchmarks.meters.battery import Battery, on_battery
from edgekit.benchmarks.meters.hwmon_power import HwmonPower
from edgekit.benchmarks.meters.ina2xx import Ina2xx
from edgekit.benchmarks.meters.ina3221 import Ina3221
from edgekit.benchmarks.meters.ina3221_iio import Ina3221Iio
from edgekit.benchmarks.meters.rapl import Rapl
from edgekit.benchmarks.meters.raspberry_pi import SUM, RaspberryPiPmic, watts
from edgekit.errors import InputError
from kernel_tree import PMIC, hwmon, program, put, vcgencmd

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.meters.protocol import Meter


def scopes(meter: Meter) -> dict[str, str]:
    return {channel.name: channel.scope for channel in meter.channels()}


def orin(root: Path, **more: str) -> Path:
    """The INA3221 of an Orin NX: total, two rails, and the sum of shunts that is no rail."""
    files = {"in1_label": "VDD_IN", "in2_label": "VDD_CPU_GPU_CV", "in3_label": "VDD_SOC", "in7_label": "sum of shunts"}
    files |= {"in1_input": "4952", "in2_input": "4944", "in3_input": "4936", "in7_input": "900"}
    files |= {"curr1_input": "1088", "curr2_input": "208", "curr3_input": "288", "curr4_input": "1584"}
    return hwmon(root, 1, "ina3221", **{**files, **more})


def test_ina3221_gives_millivolts_times_milliamperes_of_each_rail(tmp_path: Path) -> None:
    orin(tmp_path)
    meter = Ina3221(tmp_path)
    assert meter.present().ok
    assert scopes(meter) == {"VDD_IN": "device", "VDD_CPU_GPU_CV": "rail", "VDD_SOC": "rail"}
    assert meter.read() == pytest.approx({"VDD_IN": 5.387776, "VDD_CPU_GPU_CV": 1.028352, "VDD_SOC": 1.421568})


def test_ina3221_skips_rails_that_are_not_connected(tmp_path: Path) -> None:
    orin(tmp_path, in3_label="NC")
    assert set(Ina3221(tmp_path).read()) == {"VDD_IN", "VDD_CPU_GPU_CV"}


def test_ina3221_leaves_out_a_rail_that_does_not_answer(tmp_path: Path) -> None:
    folder = orin(tmp_path)
    meter = Ina3221(tmp_path)
    (folder / "curr1_input").unlink()
    assert set(meter.read()) == {"VDD_CPU_GPU_CV", "VDD_SOC"}


def test_sensors_that_are_listed_but_cannot_be_read_say_so(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina3221", in1_label="VDD_IN", in1_input="", curr1_input="")
    hwmon(tmp_path, 1, "ina219", power1_input="")
    put(tmp_path, {"sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN"})
    put(tmp_path, {"sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": ""})
    for meter, name in (
        (Ina3221(tmp_path), "VDD_IN"),
        (Ina2xx(tmp_path), "ina219"),
        (Ina3221Iio(tmp_path), "POM_5V_IN"),
    ):
        presence = meter.present()
        assert not presence.ok
        assert f"{name}, but none of them can be read" in presence.reason


def test_ina3221_without_a_total_adds_the_rails_of_all_chips(tmp_path: Path) -> None:
    for number, names in ((0, ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")), (1, ("NC", "VDDQ_VDD2_1V8AO", "NC"))):
        labels = {f"in{i}_label": name for i, name in enumerate(names, 1)}
        values = {f"{kind}{i}_input": "2000" for kind in ("in", "curr") for i in (1, 2, 3)}
        hwmon(tmp_path, number, "ina3221", **labels, **values)
    meter = Ina3221(tmp_path)
    assert meter.read()[rails.SUM] == pytest.approx(16.0)
    assert scopes(meter)[rails.SUM] == "device"
    assert sum(scope == "device" for scope in scopes(meter).values()) == 1
    (tmp_path / "sys/class/hwmon/hwmon1/in2_input").unlink()
    assert rails.SUM not in meter.read()


@pytest.mark.parametrize(
    ("names", "total"),
    [
        (("VDD_CPU", "VDD_IN", "POM_5V_IN", "VIN"), "VIN"),
        (("VDD_IN", "POM_5V_IN"), "POM_5V_IN"),
        (("VDD_IN", "VDD_CPU"), "VDD_IN"),
        (("VIN_SYS_5V0", "VDD_CPU"), rails.SUM),
    ],
)
def test_the_total_rail_is_vin_then_pom_5v_in_then_vdd_in(names: tuple[str, ...], total: str) -> None:
    assert rails.total(names) == total


def test_rails_of_one_name_are_told_apart() -> None:
    assert rails.unique(["a", "b", "a", "a"]) == ("a", "b", "a 2", "a 3")


def test_ina3221_says_where_it_would_be(tmp_path: Path) -> None:
    presence = Ina3221(tmp_path).present()
    assert not presence.ok
    assert "JetPack 5" in presence.reason
    assert Ina3221(tmp_path).channels() == ()


def test_ina3221_iio_gives_milliwatts(tmp_path: Path) -> None:
    device = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    names = {0: "POM_5V_IN", 1: "POM_5V_GPU", 2: "NC"}
    put(tmp_path, {f"{device}/rail_name_{i}": name for i, name in names.items()})
    put(tmp_path, {f"{device}/in_power{i}_input": f"{1000 * (i + 2)}" for i in names})
    meter = Ina3221Iio(tmp_path)
    assert scopes(meter) == {"POM_5V_IN": "device", "POM_5V_GPU": "rail"}
    assert meter.read() == {"POM_5V_IN": 2.0, "POM_5V_GPU": 3.0}
    assert not Ina3221Iio(tmp_path / "elsewhere").present().ok


def test_ina3221_iio_of_a_xavier_adds_its_rails(tmp_path: Path) -> None:
    for chip, names in (("1-0040", ("GPU", "CPU", "SOC")), ("1-0041", ("CV", "VDDRQ", "SYS5V"))):
        for i, name in enumerate(names):
            device = f"sys/bus/i2c/drivers/ina3221x/{chip}/iio:device{chip[-1]}"
            put(tmp_path, {f"{device}/rail_name_{i}": name, f"{device}/in_power{i}_input": "500"})
    assert Ina3221Iio(tmp_path).read()[rails.SUM] == pytest.approx(3.0)


def test_ina238_of_a_jetson_sees_the_device_in_microwatts(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina238", power1_input="42500000")
    put(tmp_path, {"proc/device-tree/compatible": "nvidia,p3971\0nvidia,tegra264\0"})
    meter = Ina2xx(tmp_path)
    assert meter.read() == {"ina238": 42.5}
    assert scopes(meter) == {"ina238": "device"}
    assert meter.channels()[0].error == 0.007


def test_an_ina2xx_that_nobody_described_is_a_rail_until_the_user_says_more(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina219", power1_input="3000000")
    assert scopes(Ina2xx(tmp_path)) == {"ina219": "rail"}
    assert scopes(Ina2xx(tmp_path, "device")) == {"ina219": "device"}
    assert Ina2xx(tmp_path, "device").present().ok


def test_of_two_ina2xx_the_user_names_one(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "ina226", power1_input="3000000", power1_label="VIN")
    hwmon(tmp_path, 1, "ina226", power1_input="1000000", label="camera")
    hwmon(tmp_path, 2, "ina3221", power1_input="1000000")
    hwmon(tmp_path, 3, "ina226")
    assert scopes(Ina2xx(tmp_path)) == {"VIN": "device", "camera": "rail"}
    assert scopes(Ina2xx(tmp_path, "camera")) == {"VIN": "rail", "camera": "device"}
    refused = Ina2xx(tmp_path, "device").present()
    assert not refused.ok
    assert "VIN, camera" in refused.reason


def test_ina2xx_says_what_is_missing(tmp_path: Path) -> None:
    assert "driver" in Ina2xx(tmp_path).present().reason


def test_hwmon_power_knows_some_chips_and_leaves_the_others_as_rails(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "power_meter", power1_average="120000000", power1_average_interval="500")
    hwmon(tmp_path, 1, "amdgpu", power1_average="9000000", power1_input="8000000", power1_label="PPT")
    hwmon(tmp_path, 2, "amd_energy", energy1_input="5000000", energy1_label="Esocket0", energy2_input="7000000")
    hwmon(tmp_path, 3, "corsairpsu", power1_input="200000000", power1_label="power total", power2_input="20000000")
    hwmon(tmp_path, 4, "BAT0", power1_input="1")
    hwmon(tmp_path, 5, "ina226", power1_input="1")
    meter = HwmonPower(tmp_path)
    assert scopes(meter) == {
        "power_meter power1": "device",
        "amdgpu PPT": "accelerator",
        "amd_energy Esocket0": "package",
        "amd_energy energy2": "rail",
        "corsairpsu power total": "device",
        "corsairpsu power2": "rail",
    }
    read = meter.read()
    assert read["power_meter power1"] == 120.0
    assert read["amdgpu PPT"] == 8.0, "the present value, not the average"
    assert read["amd_energy Esocket0"] == 5.0
    assert {c.name: c.unit for c in meter.channels()}["amd_energy Esocket0"] == "J"
    assert meter.period() == 0.5


def test_an_acpi_meter_that_lists_devices_sees_only_them(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, "power_meter", power1_average="1")
    put(tmp_path, {"sys/class/hwmon/hwmon0/measures/device:01": ""})
    assert scopes(HwmonPower(tmp_path)) == {"power_meter power1": "rail"}
    assert scopes(HwmonPower(tmp_path, "device")) == {"power_meter power1": "device"}
    assert not HwmonPower(tmp_path, "nothing").present().ok
    assert not HwmonPower(tmp_path / "elsewhere").present().ok


def rapl(root: Path) -> Path:
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
    zones |= {"intel-rapl:2": "package-1", "intel-rapl-mmio:0": "package-0"}
    for folder, name in zones.items():
        base = f"sys/class/powercap/{folder}"
        put(
            root, {f"{base}/name": name, f"{base}/energy_uj": "12000000", f"{base}/max_energy_range_uj": "262143328850"}
        )
    return root


def test_rapl_counts_joules_of_packages_and_not_the_same_package_twice(tmp_path: Path) -> None:
    meter = Rapl(rapl(tmp_path))
    assert meter.present().ok
    assert scopes(meter) == {
        "package-0": "package",
        "package-0 core": "rail",
        "package-0 dram": "rail",
        "psys": "rail",
        "package-1": "package",
    }
    assert meter.read()["package-1"] == 12.0
    assert meter.channels()[0].wraps == pytest.approx(262143.32885)


def test_rapl_says_that_only_root_may_read(tmp_path: Path) -> None:
    rapl(tmp_path)
    for path in tmp_path.rglob("energy_uj"):
        # Root may read anything; a folder in its place may not be read by anyone.
        path.unlink()
        path.mkdir()
    presence = Rapl(tmp_path).present()
    assert not presence.ok
    assert "root" in presence.reason
    assert "chmod" in presence.reason
    assert "virtual machine" in Rapl(tmp_path / "elsewhere").present().reason


def battery(root: Path, name: str = "BAT0", **files: str) -> Path:
    base = f"sys/class/power_supply/{name}"
    put(root, {f"{base}/{file}": text for file, text in {"type": "Battery", **files}.items()})
    return root


@pytest.mark.parametrize("current", ["1200000", "-1200000"])
def test_a_discharging_battery_is_read_whatever_its_sign(tmp_path: Path, current: str) -> None:
    battery(tmp_path, status="Discharging", voltage_now="3850000", current_now=current)
    meter = Battery(tmp_path)
    assert meter.present().ok
    assert meter.read() == pytest.approx({"battery": 4.62})
    assert scopes(meter) == {"battery": "device"}
    assert on_battery(tmp_path) is True


def test_power_now_is_taken_where_there_is_one(tmp_path: Path) -> None:
    battery(tmp_path, status="Discharging", power_now="-8200000", voltage_now="1", current_now="1")
    assert Battery(tmp_path).read() == {"battery": 8.2}


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_battery_that_is_not_discharging_tells_nothing_of_the_device(tmp_path: Path, status: str) -> None:
    battery(tmp_path, status=status, voltage_now="3850000", current_now="1200000")
    presence = Battery(tmp_path).present()
    assert not presence.ok
    assert "unplug" in presence.reason
    assert Battery(tmp_path).read() == {}
    assert on_battery(tmp_path) is False


def test_batteries_add_up_unless_one_is_charging(tmp_path: Path) -> None:
    battery(tmp_path, "BAT0", status="Discharging", power_now="3000000")
    battery(tmp_path, "BAT1", status="Discharging", power_now="2000000")
    battery(tmp_path, "BAT2", status="Full", power_now="9000000")
    battery(tmp_path, "hid-mouse", status="Discharging", power_now="9000000", scope="Device")
    battery(tmp_path, "slot", status="Discharging", power_now="9000000", present="0")
    put(tmp_path, {"sys/class/power_supply/AC/type": "Mains"})
    assert Battery(tmp_path).read() == {"battery": 5.0}
    battery(tmp_path, "BAT1", status="Charging")
    assert Battery(tmp_path).read() == {}


def test_a_current_in_milliamperes_is_refused(tmp_path: Path) -> None:
    battery(tmp_path, status="Discharging", voltage_now="3850000", current_now="-412")
    presence = Battery(tmp_path).present()
    assert not presence.ok
    assert "unit" in presence.reason


def test_a_battery_without_figures_and_no_battery_are_told(tmp_path: Path) -> None:
    assert "no battery" in Battery(tmp_path).present().reason
    assert on_battery(tmp_path) is None
    battery(tmp_path, status="Discharging", voltage_now="3850000")
    assert "power_now" in Battery(tmp_path).present().reason


def test_the_gauge_of_a_battery_may_be_known_to_be_fast(tmp_path: Path) -> None:
    assert Battery(tmp_path).period() == 1.0
    assert Battery(tmp_path, "0.25").period() == 0.25
    for wrong in ("0", "-1", "fast", "inf"):
        with pytest.raises(InputError, match="battery="):
            Battery(tmp_path, wrong)


def test_the_pmic_pairs_currents_and_voltages_by_name(tmp_path: Path) -> None:
    vcgencmd(tmp_path, {"pmic_read_adc": PMIC})
    meter = RaspberryPiPmic(tmp_path)
    assert meter.present().ok
    read = meter.read()
    assert read["VDD_CORE"] == pytest.approx(1.5)
    assert read["3V3_SYS"] == pytest.approx(0.19401488)
    assert "EXT5V" not in read
    assert "BATT" not in read
    assert read[SUM] == pytest.approx(sum(value for name, value in read.items() if name != SUM))
    assert scopes(meter)[SUM] == "package"
    assert "5 V" in SUM
    assert "USB" in SUM


def test_the_pmic_needs_a_board_that_has_it(tmp_path: Path) -> None:
    assert "not installed" in RaspberryPiPmic(tmp_path).present().reason
    vcgencmd(tmp_path, {"get_throttled": "throttled=0x0"})
    meter = RaspberryPiPmic(tmp_path)
    assert "not registered" in meter.present().reason
    assert meter.channels() == ()
    vcgencmd(tmp_path, {"pmic_read_adc": "EXT5V_V volt(24)=5.15V"})
    assert "no currents" in RaspberryPiPmic(tmp_path).present().reason


def test_a_command_that_hangs_is_ended_and_one_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "usr/bin/vcgencmd", "sleep 60")
    monkeypatch.setattr("edgekit.benchmarks.meters.vcgencmd._SECONDS", 0.3)
    assert "did not answer" in RaspberryPiPmic(tmp_path).present().reason
    program(tmp_path / "usr/bin/vcgencmd", "exit 3")
    assert "exit status 3" in RaspberryPiPmic(tmp_path).present().reason
    (tmp_path / "usr/bin/vcgencmd").chmod(0o644)
    assert "cannot be started" in RaspberryPiPmic(tmp_path).present().reason


def test_a_rail_that_is_missing_takes_the_sum_away(tmp_path: Path) -> None:
    vcgencmd(tmp_path, {"pmic_read_adc": PMIC})
    meter = RaspberryPiPmic(tmp_path)
    vcgencmd(tmp_path, {"pmic_read_adc": PMIC.replace("VDD_CORE_V", "OTHER_V")})
    assert SUM not in meter.read()
    assert "3V3_SYS" in meter.read()


def test_pmic_lines_of_the_wrong_unit_are_no_rail() -> None:
    assert watts("X_A current(1)=1.0V\nX_V volt(2)=2.0V") == {}
    assert watts("") == {}
