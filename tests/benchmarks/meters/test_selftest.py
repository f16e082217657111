"""An unmodified process on faked devices: the energy that its meters find against what umockdev really showed."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edgekit.benchmarks.meters import selftest
from edgekit.benchmarks.meters.faked import FAKED

needs_umockdev = pytest.mark.skipif(
    shutil.which(selftest.TOOL) is None, reason="umockdev-run is not installed: apt install umockdev"
)
_MOST = 0.01


@pytest.fixture(scope="module")
def report() -> selftest.Report:
    found = selftest.run(8.0, 0.03)
    # A machine that stands still for a fifth of a second leaves a gap, which is rightly refused: once more, longer.
    return found if all(row.measured is not None for row in found.rows) else selftest.run(16.0, 0.1)


@needs_umockdev
@pytest.mark.parametrize("index", range(len(FAKED)), ids=[faked.meter for faked in FAKED])
def test_the_energy_of_a_known_waveform_is_right_within_one_percent(report: selftest.Report, index: int) -> None:
    row = report.rows[index]
    assert row.reason == ""
    assert row.error is not None
    assert abs(row.error) <= _MOST, row
    assert row.true > 0


@needs_umockdev
def test_the_rails_and_scopes_are_those_of_the_boards(report: selftest.Report) -> None:
    assert {row.meter: (row.rail, row.scope) for row in report.rows} == {
        "ina3221": ("VDD_IN", "device"),
        "ina3221-iio": ("POM_5V_IN", "device"),
        "ina2xx": ("ina238", "device"),
        "hwmon-power": ("power_meter power1", "device"),
        "rapl": ("package-0", "package"),
        "battery": ("battery", "device"),
    }


@needs_umockdev
def test_the_counter_of_rapl_began_again_during_the_run(report: selftest.Report) -> None:
    row = next(row for row in report.rows if row.meter == "rapl")
    assert row.true > 160.0, "more than four ranges of 40 J"


@needs_umockdev
def test_the_report_is_a_table(report: selftest.Report) -> None:
    lines = selftest.table(report).splitlines()
    assert len(lines) == 2 + len(FAKED) + 2
    assert lines[-1].startswith("Sampling took")
    assert all(line.count("|") == lines[0].count("|") for line in lines[: 2 + len(FAKED)])


def test_a_row_that_was_refused_has_its_reason_in_the_table() -> None:
    good = selftest.Row("Jetson", "ina3221", "VDD_IN", "device", 40.0, 40.2, "", 49.9, 0.01, 0.03)
    bad = replace(good, title="Battery", measured=None, reason="battery gave 3 samples")
    lines = selftest.table(selftest.Report((good, bad), 0.05)).splitlines()
    assert [line.count("|") for line in lines[:4]] == [9, 9, 9, 9], "as many columns as the head"
    assert lines[2] == "| Jetson | VDD_IN, device | 40.000 | 40.200 | +0.500% | 49.9 | 1% | 30 ms |"
    assert lines[3] == "| Battery | VDD_IN, device | 40.000 | refused: battery gave 3 samples |  | 49.9 | 1% | 30 ms |"
    assert lines[5] == "Sampling took 5.0% of one processor."
    assert bad.error is None


def test_without_umockdev_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(selftest.main, [])
    assert done.exit_code == 1
    assert "apt install umockdev" in done.output
