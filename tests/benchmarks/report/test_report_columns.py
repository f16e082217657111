"""Columns of a table of runs: which figure of a result each one is, by the result's own JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from bench_results import changed, result
from edgekit.benchmarks.report import csv_table
from edgekit.benchmarks.report.columns import row
from edgekit.benchmarks.results import files
from edgekit.benchmarks.results.records import Result
from edgekit.bundle.schema import loads, to_plain

# By column, where the result's JSON has it. The names are a promise to scripts: to change one is to break them.
PATHS = {
    **{name: name for name in ("id", "date", "verdict", "edgekit", "command")},
    **{name: f"subject.{name}" for name in ("bundle", "variant", "precision", "format", "runtime", "runtime_version")},
    "bundle_version": "subject.version",
    "bundle_digest": "subject.digest",
    "size_bytes": "subject.size",
    "runtime_device": "subject.device",
    **{
        name: f"context.device.{name}"
        for name in ("hostname", "board", "soc", "architecture", "cores", "power_mode", "virtual")
    },
    "memory_mib": "context.device.memory",
    **{
        name: f"plan.{name}"
        for name in (
            *("scenario", "pipeline", "generator", "batch", "threads", "streams"),
            *("target_qps", "seconds", "sustained", "data"),
        )
    },
    "queries": "latency.n",
    **{
        f"{name}_ms{end}": f"latency.{name}.{part}"
        for name in ("p50", "p90", "p99")
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    },
    **{f"throughput{end}": f"throughput.{part}" for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))},
    **{f"joules{end}": f"energy.per_inference{end}" for end in ("", "_low", "_high")},
    "mean_ms": "latency.mean",
    "joules_above_idle": "energy.above_idle",
    "watts": "energy.watts",
    **{name: f"phases.{name}" for name in ("import_ms", "load_ms", "prepare_ms", "first_ms", "warm_ms")},
    "rss_peak_mib": "memory.rss_peak",
    "uss_peak_mib": "memory.uss_peak",
    "device_memory_mib": "memory.device",
    "agreement": "accuracy.agreement",
    "agreement_data": "accuracy.data",
    "cosine_min": "accuracy.after.cosine",
    "drift_latency": "drift.latency",
    "drift_memory_mib_per_hour": "drift.memory",
    "overhead_us": "harness.overhead_us",
    "roofline_share": "roofline.share",
    "roofline_bound": "roofline.bound",
    "golden_before": "accuracy.before.passed",
    "golden_after": "accuracy.after.passed",
    **{f"energy_{name}": f"energy.{name}" for name in ("status", "meter", "rail", "scope")},
}


def distinct() -> Result:
    """A run no two numbers of which are the same, so that no column can be taken for another."""
    numbers = count(1)
    whole = result(roofline=True, reasons=("a", "b"))
    whole = replace(whole, series=(), minutes=())
    for path in ("memory.device", "drift.memory"):
        whole = changed(whole, path, 0.5)

    def renumbered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: item if name == "schema_version" else renumbered(item) for name, item in value.items()}
        if isinstance(value, list):
            return [renumbered(item) for item in value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return type(value)(next(numbers)) + (0 if isinstance(value, int) else 0.25)

    return loads(Result, json.dumps(renumbered(to_plain(whole))), "result")


def at(plain: Any, path: str) -> Any:
    for part in path.split("."):
        plain = plain[part]
    return plain


def test_every_column_is_the_figure_that_its_name_says() -> None:
    run = distinct()
    plain, cells = json.loads(files.dumps(run)), row(run)
    assert {name: cells[name] for name in PATHS} == {name: at(plain, path) for name, path in PATHS.items()}
    assert set(cells) - set(PATHS) == {"reasons"}
    assert cells["reasons"] == "a; b"


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("roofline", {"roofline_share", "roofline_bound"}),
        ("accuracy.agreement", {"agreement"}),
        ("energy.per_inference", {"joules", "joules_low", "joules_high"}),
        ("energy.per_inference_low", {"joules_low"}),
        ("memory.uss_peak", {"uss_peak_mib"}),
        ("drift.memory", {"drift_memory_mib_per_hour"}),
    ],
)
def test_what_is_unmeasured_is_empty_and_the_rest_stays(path: str, columns: set[str]) -> None:
    whole = distinct()
    full, less = row(whole), row(changed(whole, path, None))
    assert {name for name in full if full[name] != less[name]} == columns
    assert {less[name] for name in columns} == {None}
    (found,) = csv.DictReader(io.StringIO(csv_table.render([changed(whole, path, None)]), newline=""))
    assert {found[name] for name in columns} == {""}


def test_a_spreadsheet_gets_back_every_number_as_it_was() -> None:
    runs = [distinct(), result("pi5", "fp32", seconds=300), result("rock5", sustained=True)]
    rows = list(csv.DictReader(io.StringIO(csv_table.render(runs), newline="")))
    for run, found in zip(runs, rows, strict=True):
        for name, cell in row(run).items():
            if isinstance(cell, bool):
                assert found[name] == str(cell).lower()
            elif isinstance(cell, int | float):
                assert float(found[name]) == cell
            else:
                assert found[name] == (cell or "")
