"""Logs of other programs: rows that are still being written, units, times of every kind, and the ones of a run."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.meters import clock, csv_columns, csv_log
from edgekit.benchmarks.meters.csv_log import CsvLog
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

T = 1_780_000_000.0
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def log(path: Path, text: str, options: str = "") -> csv_log.Log:
    path.write_text(text, encoding="utf-8")
    return csv_log.read_log(csv_log.settings(f"{path}{options}"))


@pytest.mark.parametrize("half", [f"{T + 2:.0f},12.", "17800", f"{T + 2:.0f}", f"{T + 2:.0f},1", '"2026-05-28T20:26'])
def test_a_row_that_is_still_being_written_is_left_for_later(tmp_path: Path, half: str) -> None:
    path = tmp_path / "power.csv"
    path.write_text(f"time,power\n{T},4\n{T + 1},5\n{half}")
    meter = CsvLog(tmp_path, str(path))
    assert meter.present().ok
    assert meter.read() == {"power.csv": 5.0}
    assert meter.logged()["power.csv"][1] == (4.0, 5.0)
    path.write_text(f"time,power\n{T},4\n{T + 1},5\n{T + 2},12.5\n")
    assert meter.logged()["power.csv"][1] == (4.0, 5.0, 12.5)


def test_the_last_row_of_a_finished_log_counts_without_an_end(tmp_path: Path) -> None:
    assert log(tmp_path / "a.csv", f"time,power\n{T},4\n{T + 1},5").watts == (4.0, 5.0)


def test_a_cut_time_among_dates_is_a_bad_row_and_not_the_end_of_the_run(tmp_path: Path) -> None:
    found = log(tmp_path / "a.csv", f"time,power\n{T},4\n178,5\n{T + 1},6\n")
    assert found == csv_log.Log((T, T + 1), (4.0, 6.0), 1)
    with pytest.raises(InputError, match=r"a\.csv: its times have no date; say when it began: --meter csv-log="):
        log(tmp_path / "a.csv", "time,power\n0.0,4\nx,y\n0.1,5\n")


def test_a_logger_that_has_only_begun_may_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text("time,power\n")
    meter = CsvLog(tmp_path, str(path))
    assert meter.present().ok
    assert meter.read() == {}
    assert meter.logged() == {"power.csv": ((), ())}
    path.write_text("time,pow")
    assert "is empty; start the logger first" in meter.present().reason


def test_a_log_that_is_gone_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text(f"{T},4\n")
    meter = CsvLog(tmp_path, str(path))
    path.unlink()
    with pytest.raises(InputError, match=r"power\.csv: cannot be read: No such file"):
        meter.logged()


@once
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique=True), st.integers(-40, 40), st.integers(0, 30))
def test_the_rows_of_a_run_are_those_within_it_and_one_on_each_side(
    tmp_path: Path, seconds: list[int], begin: int, length: int
) -> None:
    """Rows half a second off the ends, in any order in the file."""
    now = time.time()
    path = tmp_path / "power.csv"
    path.write_text("time,power\n" + "".join(f"{now + s + 0.5!r},{s + 100}\n" for s in seconds))
    meter = CsvLog(tmp_path, str(path))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_log.time, "time", lambda: now + begin)
        meter.start()
        patched.setattr(csv_log.time, "time", lambda: now + begin + length)
        meter.stop()
    stamps, watts = meter.logged()["power.csv"]
    ordered = sorted(seconds)
    inside = [s for s in ordered if begin <= s < begin + length]
    before, after = [s for s in ordered if s < begin][-1:], [s for s in ordered if s >= begin + length][:1]
    expected = [*before, *inside, *after]
    assert list(watts) == [s + 100 for s in expected]
    assert [clock.wall_seconds(stamp) - now for stamp in stamps] == pytest.approx([s + 0.5 for s in expected], abs=0.05)


@once
@given(st.permutations(range(6)), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_the_order_of_rows_and_the_ends_of_lines_change_nothing(tmp_path: Path, order: list[int], end: str) -> None:
    rows = [f"{T + i},{i}.5" for i in order]
    path = tmp_path / "a.csv"
    path.write_bytes(end.join(["time,power", *rows, ""]).encode())
    assert csv_log.read_log(csv_log.settings(str(path))).watts == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)


@pytest.mark.parametrize(
    ("head", "row", "watts"),
    [
        ("time,power_kW", "0.0045", 4.5),
        ("time,Power (kW)", "0.0045", 4.5),
        ("time,kW", "0.0045", 4.5),
        ("time,W", "4.5", 4.5),
        ("time,P_uW", "4500000", 4.5),
        ("time,Vbus_mV,Ibus_uA", "5000,900000", 4.5),
        ("time;voltage;current", "5;0.9", 4.5),
        ("time,power_W,voltage_V,current_A", "4.5,9,9", 4.5),
        ("time,note,watts", '"quoted",4.5', 4.5),
        ("time,Avg power mW,main", "4500,1", 4.5),
    ],
)
def test_units_are_those_that_the_names_tell(tmp_path: Path, head: str, row: str, watts: float) -> None:
    separator = ";" if ";" in head else ","
    found = log(tmp_path / "a.csv", f"{head}\n{T}{separator}{row}\n")
    assert found.watts == pytest.approx((watts,))


def test_a_voltage_of_the_log_comes_before_the_one_that_was_given(tmp_path: Path) -> None:
    text = f"time,voltage,current\n{T},12,2\n{T + 1},,2\n"
    assert log(tmp_path / "a.csv", text, ",volts=5").watts == (24.0, 10.0)
    assert log(tmp_path / "a.csv", text) == csv_log.Log((T,), (24.0,), 1)


def test_decimal_commas_are_no_numbers_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert log(path, f"time;power\n{T:.0f};4,5\n") == csv_log.Log((), (), 1)
    assert "none of its 1 rows has a time and a power" in CsvLog(tmp_path, str(path)).present().reason


MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(deadline=None, max_examples=50)
@given(MOMENTS, ZONES, st.sampled_from("T "), st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]))
def test_dates_are_read_in_any_zone(when: datetime, zone: timezone, between: str, precision: str) -> None:
    text = when.replace(tzinfo=zone).isoformat(between, precision)
    expected = datetime.fromisoformat(text).timestamp()
    assert csv_columns.instant(text) == pytest.approx(expected, abs=1e-6)
    assert csv_columns.moment(text, 1e-3) == (pytest.approx(expected, abs=1e-6), True)
    plain = when.isoformat(between, precision)
    utc = datetime.fromisoformat(f"{plain}+00:00").timestamp()
    assert csv_columns.instant(plain) == csv_columns.instant(f"{plain}Z") == pytest.approx(utc, abs=1e-6)


@pytest.mark.parametrize("digits", range(1, 10))
def test_fractions_of_any_length_are_read(digits: int) -> None:
    found = csv_columns.instant(f"2026-05-28T20:26:40.{'123456789'[:digits]}Z")
    assert found == pytest.approx(T + float(f"0.{'123456789'[:digits]}"), abs=2e-6)


@pytest.mark.parametrize("text", ["", "20:26:40", "2026-05-28", "2026-13-28T00:00:00", "28.05.2026 20:26", "soon"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert csv_columns.instant(text) is None
    assert csv_columns.moment(text, 1.0) is None


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)])
def test_times_since_the_begin_are_in_the_unit_of_their_column(tmp_path: Path, unit: str, factor: float) -> None:
    text = f"time ({unit}),power\n0,4\n{1.5 / factor:.0f},5\n" if unit != "s" else "time (s),power\n0,4\n1.5,5\n"
    found = log(tmp_path / "a.csv", text, ",begin=1780000000,offset=-2")
    assert found.times == pytest.approx((T + 2, T + 3.5))
