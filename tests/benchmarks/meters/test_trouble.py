"""What goes wrong while a run is measured: stopped processes, counters that wrap or fall, sensors that vanish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bench_results
from edgekit.benchmarks.meters import csv_log, merge, selftest
from edgekit.benchmarks.meters.battery import Battery
from edgekit.benchmarks.meters.csv_log import CsvLog
from edgekit.benchmarks.meters.energy import energy
from edgekit.benchmarks.meters.ina3221 import Ina3221
from edgekit.benchmarks.meters.rapl import Rapl
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.benchmarks.meters.sampling_process import ProcessSampler
from edgekit.benchmarks.results import files
from edgekit.errors import ExecutionError
from kernel_tree import hwmon, program, put

if TYPE_CHECKING:
    from pathlib import Path

T = 1_780_000_000.0


def board(root: Path, milliamperes: int = 1000) -> Path:
    hwmon(root, 0, "ina3221", in1_label="VDD_IN", in1_input="5000", curr1_input=str(milliamperes))
    return root


def write(path: Path, text: str) -> None:
    """Replace a value in one step, as the kernel does."""
    path.with_suffix(".next").write_text(text)
    path.with_suffix(".next").replace(path)


def test_a_sampler_that_stood_still_is_found_by_the_gap(tmp_path: Path) -> None:
    with ProcessSampler(["ina3221"], 0.01, board(tmp_path)) as sampler:
        assert sampler._process is not None
        time.sleep(0.2)
        begin = time.perf_counter_ns()
        time.sleep(1.0)
        os.kill(sampler._process.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(sampler._process.pid, signal.SIGCONT)
        time.sleep(1.0)
        end = time.perf_counter_ns()
        time.sleep(0.2)
    found, reasons = energy(sampler.series(begin), 0.0, (end - begin) / 1e9, 1, {}, {}, sampler.channels)
    assert found.joules is None
    assert "gave no value for" in reasons[0]


def test_a_sampling_process_that_was_killed_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="sampling process failed"):  # noqa: SIM117
        with ProcessSampler(["ina3221"], 0.01, board(tmp_path)) as sampler:
            assert sampler._process is not None
            sampler._process.kill()
            sampler._process.wait()


def test_a_sampling_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from edgekit.benchmarks.meters.sampling_process import ProcessSampler\n"
        f"sampler = ProcessSampler(['ina3221'], 0.05, Path({str(board(tmp_path))!r})).__enter__()\n"
        "print(sampler._process.pid, flush=True)\nos._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    end = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_sensor_that_vanishes_leaves_a_gap_and_the_sampler_goes_on(tmp_path: Path) -> None:
    current = board(tmp_path) / "sys/class/hwmon/hwmon0/curr1_input"
    meter = Ina3221(tmp_path)
    with Sampler([meter], 0.01) as sampler:
        begin = time.perf_counter_ns()
        time.sleep(0.5)
        current.unlink()
        time.sleep(0.7)
        write(current, "1000")
        time.sleep(0.5)
        end = time.perf_counter_ns()
    found, reasons = energy(sampler.series(begin), 0.0, (end - begin) / 1e9, 1, {}, {}, sampler.channels)
    assert found.status == "unmeasured"
    assert "gave no value for" in reasons[0]
    assert sampler.rates["ina3221"].missed > 0


def test_a_charger_that_is_plugged_in_ends_the_batterys_figure(tmp_path: Path) -> None:
    base = "sys/class/power_supply/BAT0"
    put(tmp_path, {f"{base}/type": "Battery", f"{base}/status": "Discharging", f"{base}/power_now": "5000000"})
    with Sampler([Battery(tmp_path, "0.01")], 0.01) as sampler:
        begin = time.perf_counter_ns()
        time.sleep(0.6)
        write(tmp_path / base / "status", "Charging")
        time.sleep(0.6)
        end = time.perf_counter_ns()
    found, reasons = energy(sampler.series(begin), 0.0, (end - begin) / 1e9, 1, {}, {}, sampler.channels)
    assert found.joules is None
    assert "gave no value for" in reasons[0]


@pytest.mark.parametrize(("last", "joules"), [("1000000", 31.0), ("10000000", 40.0)])
def test_a_counter_read_across_its_wrap_goes_on(tmp_path: Path, last: str, joules: float) -> None:
    zone = "sys/class/powercap/intel-rapl:0"
    put(tmp_path, {f"{zone}/name": "package-0", f"{zone}/max_energy_range_uj": "100000000"})
    counter = tmp_path / zone / "energy_uj"
    counter.write_text("70000000")
    with Sampler([Rapl(tmp_path)], 0.01) as sampler:
        for value in ("75000000", "80000000", last):
            time.sleep(0.15)
            write(counter, value)
        time.sleep(0.1)
    (series,) = sampler.series(0)
    assert series.values[0] == 0.0
    assert series.values[-1] == pytest.approx(joules)


def test_two_kinds_of_meters_run_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "usb.csv"
    path.write_text(f"time,power\n{time.time() - 1},2.5\n")
    with Sampler([Ina3221(board(tmp_path)), CsvLog(tmp_path, str(path))], 0.02) as sampler:
        begin = time.perf_counter_ns()
        with path.open("a") as stream:
            stream.write(f"{time.time()},3.5\n")
        time.sleep(0.2)
    names = {(one.meter, one.name): one.values[-1] for one in sampler.series(begin)}
    assert names == {("ina3221", "power VDD_IN"): 5.0, ("csv-log", "power usb.csv"): 3.5}
    assert set(sampler.channels) == set(names)
    assert set(sampler.rates) == {"ina3221"}, "a log has a rate of its own"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.001, 500.0), min_size=1, max_size=12),
    st.sampled_from([(",", "power"), (";", "Power (mW)"), ("\t", "P_uW"), (" ", "watts")]),
    st.sampled_from([("time", 1.0), ("timestamp_ms", 1e3), ("Time[us]", 1e6)]),
)
def test_what_a_logger_writes_is_what_is_read(
    tmp_path: Path, watts: list[float], column: tuple[str, str], clock: tuple[str, float]
) -> None:
    factor = {"mW": 1e3, "uW": 1e6}.get(column[1][-3:-1] if column[1].endswith(")") else column[1][-2:], 1.0)
    name = column[1] if column[0] != " " else "watts"
    rows = [f"{(T + i) * clock[1]!r}{column[0]}{value * factor!r}" for i, value in enumerate(watts)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"{clock[0]}{column[0]}{name}", *rows]))
    found = csv_log.read_log(csv_log.settings(str(path)))
    assert found.watts == pytest.approx(tuple(watts))
    assert found.times == pytest.approx(tuple(T + i for i in range(len(watts))), abs=1e-3)
    assert found.skipped == 0


def test_a_log_may_be_joined_again_and_written_elsewhere(tmp_path: Path) -> None:
    result = replace(bench_results.result("rock5"), began=T)
    files.write(tmp_path / "run.json", result)
    for watts in (4, 8):
        rows = [f"{T + i / 10},{watts}" for i in range(-20, 700)]
        (tmp_path / f"{watts}.csv").write_text("\n".join(rows))
    before = (tmp_path / "run.json").read_bytes()
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for source, log, target in ((tmp_path / "run.json", "4.csv", first), (first, "8.csv", second)):
        done = CliRunner().invoke(merge.main, [str(source), str(tmp_path / log), "-o", str(target)])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "run.json").read_bytes() == before
    found = files.read(second)
    assert found.energy.watts == pytest.approx(8.0)
    assert [one.name for one in found.series if one.meter == "csv-log"] == ["power 8.csv (clock offset +0.000 s)"]


def test_joining_says_what_is_wrong(tmp_path: Path) -> None:
    files.write(tmp_path / "run.json", bench_results.result("rock5"))
    (tmp_path / "a.csv").write_text(f"{T},4\n")
    for log, part in ((str(tmp_path / "none.csv"), "cannot be read"), (str(tmp_path / "a.csv"), "began")):
        done = CliRunner().invoke(merge.main, [str(tmp_path / "run.json"), log])
        assert done.exit_code == 1
        assert part in done.output


def test_a_selftest_whose_process_fails_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "umockdev-run", "exit 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ExecutionError, match="did not start the reading process"):
        selftest.run(0.1)
    program(tmp_path / "umockdev-run", f"mkdir {tmp_path}/fake; echo {tmp_path}/fake; exit 1")
    with pytest.raises((ExecutionError, OSError)):
        selftest.run(0.1)
