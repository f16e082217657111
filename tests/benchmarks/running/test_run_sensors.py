"""Which meters a run reads: those named for power, and every other one that is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.running.run import sensors
from edgekit.errors import InputError
from kernel_tree import hwmon, put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board with two sensors of power, two temperatures, and a clock."""
    power = {"in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1600"}
    hwmon(tmp_path, 0, "ina3221", **power)
    hwmon(tmp_path, 1, "ina260", in1_input="5000", curr1_input="900", power1_input="4500000")
    zones = {"cpu-thermal": "46500", "gpu-thermal": "44000"}
    for number, (name, degrees) in enumerate(zones.items()):
        put(
            tmp_path,
            {
                f"sys/class/thermal/thermal_zone{number}/{file}": text
                for file, text in (("type", name), ("temp", degrees))
            },
        )
    put(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400"})
    return tmp_path


def kinds(found: list[object]) -> set[str]:
    return {channel.kind for meter in found for channel in meter.channels()}


def test_without_a_name_every_meter_is_read(board: Path) -> None:
    found = sensors((), board)
    assert {"power", "temperature", "clock"} <= kinds(found)
    assert "other-load" not in {meter.name for meter in found}


def test_who_names_one_of_power_gets_that_one_and_all_that_tell_throttling(board: Path) -> None:
    found = sensors(("ina3221",), board)
    electric = [
        meter.name for meter in found if any(channel.kind in ("power", "energy") for channel in meter.channels())
    ]
    assert electric == ["ina3221"]
    assert {"temperature", "clock"} <= kinds(found)
    everything = {meter.name for meter in sensors((), board)}
    others = {meter.name for meter in sensors((), board) if not kinds([meter]) & {"power", "energy"}}
    assert {meter.name for meter in found} == {"ina3221", *others} <= everything


def test_a_name_is_read_once_however_often_it_is_there(board: Path) -> None:
    names = [meter.name for meter in sensors(("thermal",), board)]
    assert names.count("thermal") == 1
    assert "ina3221" not in names


def test_a_name_with_a_setting_is_that_meter_with_it(board: Path) -> None:
    """Only its owner knows what a sensor on the board's supply sees."""

    def scopes(name: str) -> set[str]:
        (meter,) = (meter for meter in sensors((name,), board) if meter.name == "ina2xx")
        return {channel.scope for channel in meter.channels()}

    assert scopes("ina2xx") == {"rail"}
    assert scopes("ina2xx=device") == {"device"}


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("sundial",), "there is no meter 'sundial'; there are "),
        (("ina3221", "sundial"), "there is no meter 'sundial'"),
        (("nvml",), "the meter nvml cannot be used"),
        (("thermal=cpu",), "the meter thermal cannot be used: takes no setting; write only thermal"),
        (("",), "there is no meter ''"),
    ],
)
def test_a_name_that_is_none_here_is_refused(board: Path, named: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sensors(named, board)


def test_a_board_that_tells_nothing_is_measured_without_sensors(tmp_path: Path) -> None:
    assert not kinds(sensors((), tmp_path)) & {"power", "energy", "temperature", "clock"}
