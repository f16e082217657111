"""Chips of hwmon: where old kernels keep their files, labels, numbers; sensors that only the user can place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters import boards, hwmon, rails, sysfs
from edgekit.benchmarks.meters.boards import Sensor
from kernel_tree import hwmon as chip
from kernel_tree import put

if TYPE_CHECKING:
    from pathlib import Path


def test_chips_come_by_their_numbers_and_without_a_name_not_at_all(tmp_path: Path) -> None:
    chip(tmp_path, 10, "late")
    chip(tmp_path, 2, "early")
    put(tmp_path, {"sys/class/hwmon/hwmon3/temp1_input": "1"})
    assert [found.name for found in hwmon.chips(tmp_path)] == ["early", "late"]
    assert hwmon.chips(tmp_path / "elsewhere") == ()


def test_old_drivers_have_their_files_beside_the_device(tmp_path: Path) -> None:
    put(tmp_path, {"sys/class/hwmon/hwmon0/device/name": "ina226", "sys/class/hwmon/hwmon0/device/power1_input": "7"})
    (found,) = hwmon.chips(tmp_path)
    assert found.name == "ina226"
    assert sysfs.number(hwmon.inputs(found, "power")[1]) == 7


def test_a_link_of_the_class_is_followed(tmp_path: Path) -> None:
    put(tmp_path, {"sys/devices/i2c-1/1-0040/hwmon/hwmon4/name": "ina3221"})
    (tmp_path / "sys/class/hwmon").mkdir(parents=True)
    (tmp_path / "sys/class/hwmon/hwmon4").symlink_to(tmp_path / "sys/devices/i2c-1/1-0040/hwmon/hwmon4")
    assert [found.name for found in hwmon.chips(tmp_path)] == ["ina3221"]


def test_a_channels_label_comes_before_the_chips(tmp_path: Path) -> None:
    chip(tmp_path, 0, "ina226", label="board", power1_label="VIN")
    (found,) = hwmon.chips(tmp_path)
    assert found.label("power1") == "VIN"
    assert found.label("in1") == "board"
    (found.folder / "label").unlink()
    assert found.label("in1") == ""


def test_only_whole_names_are_inputs(tmp_path: Path) -> None:
    files = {"temp1_input": "1", "temp10_input": "1", "temp2_input_old": "1", "temp_input": "1", "temp3_max": "1"}
    chip(tmp_path, 0, "x", **files)
    (found,) = hwmon.chips(tmp_path)
    assert list(hwmon.inputs(found, "temp")) == [1, 10]
    assert list(hwmon.inputs(found, "temp", "max")) == [3]


def sensors(root: Path, *names: str) -> tuple[Sensor, ...]:
    return tuple(Sensor(name, root / name, "power", "rail", None) for name in names)


@pytest.mark.parametrize(
    ("names", "setting", "devices"),
    [
        (("a",), "", []),
        (("a",), "device", ["a"]),
        (("a", "b"), "b", ["b"]),
        (("a", "VDD_IN", "VIN"), "", ["VIN"]),
        (("a", "VDD_IN"), "a", ["a"]),
        (("a", "b"), "device", []),
    ],
)
def test_one_sensor_at_most_is_the_whole_board(
    tmp_path: Path, names: tuple[str, ...], setting: str, devices: list[str]
) -> None:
    found = boards.channels(sensors(tmp_path, *names), setting)
    assert [channel.name for channel in found if channel.scope == "device"] == devices


@pytest.mark.parametrize(
    ("names", "setting", "wrong"),
    [(("a",), "", False), (("a",), "device", False), (("a", "b"), "device", True), (("a", "b"), "c", True)],
)
def test_a_setting_names_a_sensor(tmp_path: Path, names: tuple[str, ...], setting: str, wrong: bool) -> None:
    assert bool(boards.misnamed(sensors(tmp_path, *names), setting)) is wrong


def test_sensors_of_one_name_are_told_apart_and_keep_their_files(tmp_path: Path) -> None:
    found = boards.renamed(sensors(tmp_path, "a", "a"))
    assert [(sensor.name, sensor.path.name) for sensor in found] == [("a", "a"), ("a 2", "a")]


@given(st.lists(st.sampled_from(["VIN", "VDD_IN", "POM_5V_IN", "GPU", "CPU", "NC"]), max_size=6))
def test_exactly_one_channel_of_a_board_is_the_device(names: list[str]) -> None:
    distinct = rails.unique(names)
    found = rails.channels(distinct, 0.01)
    assert len([channel for channel in found if channel.scope == "device"]) == (1 if names else 0)
    assert len({channel.name for channel in found}) == len(found)
    values = rails.with_sum(dict.fromkeys(distinct, 2.0), distinct)
    total = rails.total(distinct)
    assert not names or values[total] == (2.0 * len(names) if total == rails.SUM else 2.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=40))
def test_no_content_of_a_file_breaks_a_reading(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value"
    path.write_bytes(content)
    text, number = sysfs.text(path), sysfs.number(path)
    assert text is not None
    assert number is None or float(int(text)) == number


@given(st.lists(st.integers(0, 300), max_size=20, unique=True))
def test_lists_of_processors_are_read_as_the_kernel_writes_them(numbers: list[int]) -> None:
    ordered = sorted(numbers)
    parts, i = [], 0
    while i < len(ordered):
        j = i
        while j + 1 < len(ordered) and ordered[j + 1] == ordered[j] + 1:
            j += 1
        parts.append(str(ordered[i]) if i == j else f"{ordered[i]}-{ordered[j]}")
        i = j + 1
    assert sysfs.listed(",".join(parts)) == tuple(ordered)
