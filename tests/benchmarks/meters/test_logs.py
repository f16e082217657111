"""Logs of other meters: CSV files by their clock, serial lines by their arrival, results completed afterwards."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import bench_results
from edgekit.benchmarks.meters import csv_columns, csv_log, merge
from edgekit.benchmarks.meters.csv_log import CsvLog
from edgekit.benchmarks.meters.protocol import Logged
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.benchmarks.meters.serial_log import SerialLog, power
from edgekit.benchmarks.results import files
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

T = 1_780_000_000.0


def log(path: Path, *lines: str, setting: str = "") -> csv_log.Log:
    path.write_text("\n".join(lines) + "\n")
    return csv_log.read_log(csv_log.settings(f"{path}{setting}"))


@pytest.mark.parametrize(
    ("lines", "watts"),
    [
        (("time,power", f"{T},4.5"), 4.5),
        (("timestamp;Power (mW)", f"{T * 1000:.0f};4500"), 4.5),
        (("Time,Voltage(V),Current(A)", f"{T},5.0,0.9"), 4.5),
        (("timestamp_ms,voltage_mV,current_mA", f"{T * 1000:.0f},5000,900"), 4.5),
        (("time\tV\tI (mA)", f"{T}\t5\t900"), 4.5),
        (("timestamp sample_in_packet voltage_V current_A energy_Ws", f"{T} 0 5.0 0.9 11"), 4.5),
        ((f"{T},4.5", f"{T + 1},4.5"), 4.5),
        (("time,power_uW", f"{T * 1e9:.0f},4500000"), 4.5),
        (("﻿date,watts", "2026-05-28T20:26:40Z,4.5"), 4.5),
    ],
)
def test_columns_are_known_by_name_and_unit(tmp_path: Path, lines: tuple[str, ...], watts: float) -> None:
    found = log(tmp_path / "a.csv", *lines)
    assert found.times[0] == pytest.approx(T)
    assert found.watts[0] == pytest.approx(watts)
    assert found.skipped == 0


def test_a_log_with_currents_alone_needs_the_voltage(tmp_path: Path) -> None:
    lines = ("timestamp,Current(uA)", f"{T},900000")
    with pytest.raises(InputError, match="volts=5"):
        log(tmp_path / "a.csv", *lines)
    assert log(tmp_path / "a.csv", *lines, setting=",volts=5.0").watts == (4.5,)


def test_times_without_a_date_need_the_begin(tmp_path: Path) -> None:
    lines = ("Timestamp(ms),power", "0,1", "250,3")
    with pytest.raises(InputError, match="begin="):
        log(tmp_path / "a.csv", *lines)
    found = log(tmp_path / "a.csv", *lines, setting=",begin=2026-05-28T20:26:40Z")
    assert found.times == pytest.approx((T, T + 0.25))


def test_the_offset_of_the_clock_is_taken_off(tmp_path: Path) -> None:
    found = log(tmp_path / "a.csv", "time,power", f"{T + 1.5},4", setting=",offset=1.5,error=0.01")
    assert found.times == pytest.approx((T,))


def test_rows_come_in_order_and_bad_ones_are_counted(tmp_path: Path) -> None:
    found = log(tmp_path / "a.csv", "time,power", f"{T + 2},6", "garbage", f"{T},4", f"{T + 1},nan", "", f"{T},9")
    assert found == csv_log.Log((T, T + 2), (4.0, 6.0), 2)


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "empty"), ("voltage,current\n1,2", "none of its columns is a time"), ("time,colour\n1,2", "make no power")],
)
def test_logs_that_cannot_be_used_say_why(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=part):
        csv_log.read_log(csv_log.settings(str(path)))
    assert part in CsvLog(tmp_path, str(path)).present().reason


def test_settings_are_checked(tmp_path: Path) -> None:
    for wrong in ("a.csv,colour=1", "a.csv,offset=late", "a.csv,offset", "a.csv,begin=10:00"):
        with pytest.raises(InputError, match="csv-log="):
            csv_log.settings(wrong)
    assert "csv-log=power.csv" in CsvLog(tmp_path).present().reason
    assert "cannot be read" in CsvLog(tmp_path, str(tmp_path / "none")).present().reason
    path = tmp_path / "b.csv"
    path.write_text("time,power\nx,y\n")
    assert "none of its 1 rows" in CsvLog(tmp_path, str(path)).present().reason


@given(st.text(max_size=60))
def test_no_line_breaks_the_reader(line: str) -> None:
    csv_columns.moment(line, 1.0)
    csv_columns.instant(line)
    power(line)
    fields = csv_columns.split(line, ",")
    found = csv_columns.columns("time,power", "x", False)
    assert csv_columns.power(fields, found, None) is None or len(fields) > 1


@given(st.floats(1.1e8, 9e9), st.sampled_from([(1.0, ""), (1e3, "ms"), (1e6, "us"), (1e9, "ns")]))
def test_times_since_1970_are_known_by_their_size(seconds: float, scale: tuple[float, str]) -> None:
    factor, unit = scale
    words = {"": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    for told in (1.0, words[unit]):
        assert csv_columns.moment(repr(seconds * factor), told) == (pytest.approx(seconds), True)


def test_a_growing_log_is_joined_to_the_run_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text(f"time,power\n{time.time() - 100},99\n{time.time() - 1},2\n")
    meter = CsvLog(tmp_path, str(path))
    assert isinstance(meter, Logged)
    assert meter.read() == {"power.csv": 2.0}
    with Sampler([meter], 0.05) as sampler:
        begin = time.perf_counter_ns()
        wall = time.time()
        with path.open("a") as stream:
            stream.write(f"{wall},4\n{wall + 0.02},6\n")
        time.sleep(0.05)
    (series,) = sampler.series(begin)
    assert series.values == (2.0, 4.0, 6.0), "the last row before the run, and those of it"
    assert series.times[1] == pytest.approx(0.0, abs=0.02)
    assert series.times[2] - series.times[1] == pytest.approx(0.02, abs=1e-3)
    assert sampler.channels[("csv-log", "power power.csv")].scope == "device"


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("4.37", 4.37),
        ("4370 mW", 4.37),
        ("5.0 V, 0.874 A", 4.37),
        ("V=5.0V I=874mA P=4.37W", 4.37),
        ("5.0V 874 mA", 4.37),
        ("-1e-1", -0.1),
        ("temperature 41", None),
        ("5.0 V", None),
        ("1 2", None),
        ("", None),
    ],
)
def test_serial_lines_are_understood(line: str, watts: float | None) -> None:
    assert power(line) == (None if watts is None else pytest.approx(watts))


def test_a_serial_meter_is_stamped_when_its_lines_arrive(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    ours, theirs = os.openpty()
    try:
        meter = SerialLog(tmp_path, f"{os.ttyname(theirs)}@9600")
        assert meter.present().ok
        with Sampler([meter], 0.05) as sampler:
            begin = time.perf_counter_ns()
            for line in (b"4.", b"25 W\r\n", b"noise\n5.0 V 1.0 A\n"):
                os.write(ours, line)
                time.sleep(0.05)
            # Arrival is waited for, not timed.
            end = time.monotonic() + 10
            while len(meter.logged()["serial"][1]) < 2 and time.monotonic() < end:
                time.sleep(0.01)
        (series,) = sampler.series(begin)
        assert series.values == (4.25, 5.0)
        assert 0 < series.times[0] < series.times[1]
        assert meter.read() == {"serial": 5.0}
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_serial_meter_that_is_unplugged_keeps_what_came(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    ours, theirs = os.openpty()
    meter = SerialLog(tmp_path, os.ttyname(theirs))
    meter.start()
    os.write(ours, b"7\n")
    end = time.monotonic() + 10
    while not meter.read() and time.monotonic() < end:
        time.sleep(0.01)
    os.close(ours)
    os.close(theirs)
    meter.stop()
    assert meter.logged()["serial"][1] == (7.0,)


def test_ports_that_do_not_open_say_so(tmp_path: Path) -> None:
    assert "serial-log=/dev/ttyUSB0" in SerialLog(tmp_path).present().reason
    assert "does not open" in SerialLog(tmp_path, "ttyUSB9").present().reason
    assert SerialLog(tmp_path).channels() == ()
    with pytest.raises(InputError, match="bits a second"):
        SerialLog(tmp_path, "/dev/ttyUSB0@fast")


def usb_log(path: Path, watts: float, offset: float = 0.0, seconds: float = 60.0) -> Path:
    rows = [f"{T + offset + i / 10},{watts}" for i in range(-20, round(seconds * 10) + 20)]
    path.write_text("\n".join(["time,power", *rows]) + "\n")
    return path


def test_a_log_that_came_after_the_run_gives_its_energy(tmp_path: Path) -> None:
    result = replace(bench_results.result("rock5"), began=T)
    assert result.energy.status == "unmeasured"
    files.write(tmp_path / "run.json", result)
    usb_log(tmp_path / "usb.csv", 5.0, offset=2.5)
    setting = f"{tmp_path / 'usb.csv'},offset=2.5,error=0.01"
    done = CliRunner().invoke(merge.main, [str(tmp_path / "run.json"), setting])
    assert done.exit_code == 0, done.output
    found = files.read(tmp_path / "run.json")
    assert found.energy.joules == pytest.approx(5.0 * (found.minutes[-1].start + found.minutes[-1].seconds))
    assert found.energy.watts == pytest.approx(5.0)
    assert found.energy.per_inference == pytest.approx(5.0 / found.throughput.value, rel=0.01)
    assert "+2.500 s" in found.energy.rail
    assert found.energy.above_idle is None
    assert found.verdict == "VALID"


def test_a_log_of_another_hour_is_refused(tmp_path: Path) -> None:
    how = csv_log.settings(str(usb_log(tmp_path / "usb.csv", 5.0, offset=3600)))
    result = replace(bench_results.result("rock5"), began=T)
    with pytest.raises(InputError, match="offset"):
        merge.merged(result, csv_log.read_log(how), how)
    with pytest.raises(InputError, match="began"):
        merge.merged(replace(result, began=0.0), csv_log.read_log(how), how)


def test_a_log_that_ends_too_early_makes_the_result_invalid(tmp_path: Path) -> None:
    how = csv_log.settings(str(usb_log(tmp_path / "usb.csv", 5.0, seconds=30.0)))
    found = merge.merged(replace(bench_results.result("rock5"), began=T), csv_log.read_log(how), how)
    assert found.energy.status == "unmeasured"
    assert found.verdict == "INVALID"
    assert "gave no value for" in found.reasons[-1]
