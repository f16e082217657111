"""Energy that a log brings after the run: what it replaces, what it leaves, and when nothing is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import bench_results
from edgekit.benchmarks.meters import csv_log, merge
from edgekit.benchmarks.results import files
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result as Done

    from edgekit.benchmarks.results.records import Result

T = 1_780_000_000.0


def ran(device: str = "orin", **changes: object) -> Result:
    return replace(bench_results.result(device), began=T, **changes)  # type: ignore[arg-type]


def length(result: Result) -> float:
    return result.minutes[-1].start + result.minutes[-1].seconds


def log(path: Path, watts: float = 5.0, begin: float = -20, end: float = 90, step: float = 0.1) -> Path:
    rows = round((end - begin) / step)
    path.write_text("time,power\n" + "".join(f"{T + begin + i * step},{watts}\n" for i in range(rows)))
    return path


def merged(path: Path, result: Result, options: str = "") -> Result:
    how = csv_log.settings(f"{path}{options}")
    return merge.merged(result, csv_log.read_log(how), how)


def joined(*words: object) -> Done:
    return CliRunner().invoke(merge.main, [str(word) for word in words])


def test_the_energy_of_a_sensor_gives_way_to_that_of_the_log(tmp_path: Path) -> None:
    before = ran("orin")
    found = merged(log(tmp_path / "usb.csv"), before, ",error=0.02")
    assert (found.energy.meter, found.energy.scope, found.energy.sensor_error) == ("csv-log", "device", 0.02)
    assert found.energy.joules == pytest.approx(5.0 * length(before))
    # The idle device was not measured by it, and another meter's figure does not go with it.
    assert (found.energy.before, found.energy.after, found.energy.above_idle) == (None, None, None)
    assert found.series[:-1] == before.series
    assert replace(found, energy=before.energy, series=before.series) == before
    half = 1.959964 * 0.02 / 3**0.5 * found.energy.per_inference  # type: ignore[operator]
    assert found.energy.per_inference_high == pytest.approx(found.energy.per_inference + half)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("reasons", "left"),
    [
        ((), ()),
        (("energy: the sensor was silent",), ()),
        (("throttling: hot", "energy: idle power changed"), ("throttling: hot",)),
        (("other load: busy (energy: 3 W)",), ("other load: busy (energy: 3 W)",)),
    ],
)
def test_only_reasons_of_the_energy_are_settled_by_a_log(
    tmp_path: Path, reasons: tuple[str, ...], left: tuple[str, ...]
) -> None:
    found = merged(log(tmp_path / "usb.csv"), ran(reasons=reasons, verdict="INVALID" if reasons else "VALID"))
    assert (found.reasons, found.verdict) == (left, "INVALID" if left else "VALID")


def test_rows_far_from_the_run_are_not_kept(tmp_path: Path) -> None:
    result = ran()
    found = merged(log(tmp_path / "usb.csv", begin=-300, end=300, step=1.0), result).series[-1]
    assert found.meter == "csv-log"
    assert -10 <= found.times[0] <= -9
    assert length(result) + 9 <= found.times[-1] <= length(result) + 10


@pytest.mark.parametrize(
    ("begin", "end", "told"),
    [
        (200, 210, "it runs from \\+200.0 s to \\+209.9 s of the begin; is its offset right"),
        (-90, -80, "it runs from -90.0 s to -80.1 s of the begin; is its offset right"),
        (0, 0, "it is empty; is its offset right"),
    ],
)
def test_a_log_of_another_time_is_told_where_it_lies(tmp_path: Path, begin: float, end: float, told: str) -> None:
    with pytest.raises(InputError, match=rf"usb\.csv: has nothing of the .* s measured part: {told}"):
        merged(log(tmp_path / "usb.csv", begin=begin, end=end), ran())


def test_a_result_without_minutes_has_no_length(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no minutes, so its length is unknown"):
        merged(log(tmp_path / "usb.csv"), ran(minutes=()))


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    files.write(tmp_path / "run.json", ran())
    for watts, told in ((5.0, f"energy: {5.0 * length(ran()):.3f} J, "), (0.0, "energy: 0.000 J, 0.000000 J an inf")):
        done = joined(tmp_path / "run.json", log(tmp_path / "usb.csv", watts), "-o", tmp_path / "out.json")
        assert done.exit_code == 0
        assert done.output.startswith(told)
        assert done.output.endswith("; VALID\n")
    log(tmp_path / "usb.csv", end=30)
    done = joined(tmp_path / "run.json", tmp_path / "usb.csv", "-o", tmp_path / "out.json")
    assert done.output.startswith("energy: none; INVALID; energy: csv-log usb.csv")
    assert files.read(tmp_path / "out.json").verdict == "INVALID"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (",offset=1h", "'offset=1h' is none of offset=NUMBER, begin=NUMBER"),
        (",offset=5000", "is its offset right?"),
        (".gone", "usb.csv.gone: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_joined_leaves_the_result_as_it_was(tmp_path: Path, options: str, told: str) -> None:
    files.write(tmp_path / "run.json", ran())
    before = (tmp_path / "run.json").read_bytes()
    done = joined(tmp_path / "run.json", f"{log(tmp_path / 'usb.csv')}{options}")
    assert done.exit_code == 1
    assert told in done.output
    assert (tmp_path / "run.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "usb.csv"]


def test_a_folder_that_is_not_there_is_told_and_the_result_kept(tmp_path: Path) -> None:
    files.write(tmp_path / "run.json", ran())
    done = joined(tmp_path / "run.json", log(tmp_path / "usb.csv"), "-o", tmp_path / "no/where.json")
    assert done.exit_code == 1
    assert "where.json" in done.output
    assert "Traceback" not in done.output
