"""From the pieces of a run to its result: known queries and known sensors give known figures."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench_evidence
import bench_results
import json_check
from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.results import files, json_schema
from edgekit.benchmarks.results.energy_records import Baseline, Series
from edgekit.benchmarks.running.assembly import Pieces, assemble
from edgekit.benchmarks.running.job import Found, read_found, write_found
from edgekit.benchmarks.running.request import RunRequest, plan_of
from edgekit.benchmarks.running.subject import describe, size_of, towers_of
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.choices import list_choices
from edgekit.errors import ExecutionError
from edgekit.locations import resolve

SECONDS, QUERIES = 60.0, 600
WATTS, IDLE = 6.0, 2.0


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


def trace(milliseconds: float = 80.0) -> Trace:
    """One query every 100 ms, each of the same length."""
    issued = np.arange(QUERIES, dtype=np.int64) * int(1e9 * SECONDS / QUERIES)
    ended = issued + int(1e6 * milliseconds)
    stages = np.tile(np.array([[int(2e6), int(1e6 * milliseconds) - int(2e6)]], np.int64), (QUERIES, 1))
    begin = time.perf_counter_ns()
    return Trace(begin, begin + int(1e9 * SECONDS), issued, ended, stages, 1)


def series(name: str, kind: Any, unit: str, meter: str, value: float, step: float = 0.5) -> Series:
    """A constant from ten seconds before the measured part until ten seconds after it."""
    times = np.arange(-10, SECONDS + 10, step)
    return Series(name, kind, unit, meter, tuple(times.tolist()), (value,) * len(times))


def found(bundle: Bundle, **changes: Any) -> Found:
    choice = list_choices(bundle, bundle.manifest.variants[0].id, "onnxruntime", "cpu")[0][0]
    plain = replace(
        bench_evidence.good().found,
        subject=describe(bundle, choice, {"image": {"cpu": 9}}),
        plan=replace(plan_of(RunRequest("x", pipeline="image", seconds=SECONDS)), samples=9, data="some"),
        stages=("decode", "inference"),
        rss_import=80.0,
        rss_peak=300.0,
        faults=3,
        overhead_us=4.0,
        packages={"numpy": "2"},
        python="3.11.9",
    )
    return replace(plain, **changes)


def pieces(bundle: Bundle, **changes: Any) -> Pieces:
    context = bench_results.result("orin").context
    key = ("ina3221", "power VDD_IN")
    plain = Pieces(
        request=RunRequest(
            "tiny.edge", pipeline="image", variant="fp32", runtime="onnxruntime", device="cpu", threads=2
        ),
        date=datetime(2026, 1, 31, 23, 59, 58, tzinfo=timezone.utc),
        device=context.device,
        before=context.before,
        after=context.after,
        idle_before={key: Baseline(IDLE, 0.01, 100)},
        idle_after={key: Baseline(IDLE, 0.01, 100)},
        found=found(bundle),
        trace=trace(),
        series=(
            series("power VDD_IN", "power", "W", "ina3221", WATTS, 0.05),
            series("memory rss", "memory", "MiB", "process", 250.0),
            series("memory uss", "memory", "MiB", "process", 200.0),
            series("memory used", "memory", "MiB", "nvml", 512.0),
            series("load other processes", "load", "%", "other-load", 3.0),
        ),
        channels={key: Channel("VDD_IN", "power", "W", scope="device", error=0.01)},
        sampler_seconds=0.3,
        bundle=bundle,
    )
    return replace(plain, **changes)


def test_known_queries_and_sensors_give_known_figures(bundle: Bundle) -> None:
    result = assemble(pieces(bundle))
    assert (result.verdict, result.reasons) == ("VALID", ())
    assert result.p50 == result.p90 == result.p99 == pytest.approx(80.0)
    assert result.throughput.value == pytest.approx(QUERIES / SECONDS, rel=1e-3)
    assert result.stages["decode"].p50 == pytest.approx(2.0)
    assert result.stages["inference"].p50 == pytest.approx(78.0)
    energy = result.energy
    assert energy.joules == pytest.approx(WATTS * SECONDS)
    assert energy.per_inference == pytest.approx(WATTS * SECONDS / QUERIES)
    assert energy.above_idle == pytest.approx((WATTS - IDLE) * SECONDS / QUERIES)
    memory = result.memory
    assert (memory.rss_peak, memory.rss_import, memory.uss_peak, memory.device) == (300.0, 80.0, 200.0, 512.0)
    assert (memory.swapped, memory.faults) == (0.0, 3)
    assert result.harness.sampler_share == pytest.approx(0.3 / SECONDS)
    assert sum(minute.queries for minute in result.minutes) == QUERIES
    assert {minute.rss for minute in result.minutes} == {250.0}
    assert not result.drift.throttling
    assert not result.drift.leak
    assert result.began == pytest.approx(time.time(), abs=60)
    assert result.date == "2026-01-31T23:59:58Z"
    assert result.command == (
        "edgekit bench tiny.edge --pipeline image --scenario single-stream --variant fp32 --runtime onnxruntime "
        "--threads 2 --device cpu --quick"
    )
    assert json_check.problems(json_schema.document(), json.loads(files.dumps(result))) == []


def test_series_are_kept_a_little_beyond_both_ends(bundle: Bundle) -> None:
    for one in assemble(pieces(bundle)).series:
        assert one.times[0] == pytest.approx(-2.0)
        assert SECONDS + 1.4 < one.times[-1] <= SECONDS + 2.0
        assert len(one.times) == len(one.values)


def test_load_beside_the_measured_part_is_not_held_against_it(bundle: Bundle) -> None:
    """The run's own load and import come before second 0: only what happens within counts."""
    quiet = series("load other processes", "load", "%", "other-load", 0.0, 1.0)
    early = replace(quiet, values=tuple(190.0 if time < 0 else 0.0 for time in quiet.times))
    late = replace(quiet, values=tuple(190.0 if 10 < time < 50 else 0.0 for time in quiet.times))
    assert assemble(pieces(bundle, series=(early,))).verdict == "VALID"
    assert any("during the run" in reason for reason in assemble(pieces(bundle, series=(late,))).reasons)


def test_without_sensors_the_energy_is_unmeasured_and_the_run_valid(bundle: Bundle) -> None:
    result = assemble(pieces(bundle, series=(), channels={}, idle_before={}, idle_after={}))
    assert result.verdict == "VALID"
    assert (result.energy.status, result.energy.per_inference) == ("unmeasured", None)
    assert (result.memory.uss_peak, result.memory.device) == (None, None)


def test_what_is_wrong_anywhere_makes_it_invalid(bundle: Bundle) -> None:
    key = ("ina3221", "power VDD_IN")
    bad = pieces(
        bundle,
        idle_after={key: Baseline(4.0, 0.01, 100)},
        found=found(bundle, wrong=("after the measured part: image tower: NaN",), swapped=7.0),
    )
    result = assemble(bad)
    assert result.verdict == "INVALID"
    starts = ("golden check after", "7.0 MiB", "energy: idle power changed from 2.00 to 4.00 W")
    assert len(result.reasons) == len(starts)
    assert all(reason.startswith(start) for reason, start in zip(result.reasons, starts, strict=True))
    assert result.energy.above_idle is None


def test_the_id_names_a_file_whatever_the_names_are(bundle: Bundle, tmp_path: Path) -> None:
    strange = found(bundle)
    strange = replace(strange, subject=replace(strange.subject, variant="int8/ü ..", runtime="a:b"))
    odd = pieces(bundle, found=strange, device=replace(pieces(bundle).device, hostname="../board 1\n"))
    with pytest.raises(StopIteration):
        assemble(odd)
    named = replace(odd.found, subject=replace(odd.found.subject, variant="fp32"))
    result = assemble(replace(odd, found=named))
    assert result.id.startswith("20260131T235958Z_")
    assert files.write(tmp_path, result).parent == tmp_path
    assert not set(result.id) & set("/\\:\n ")


def test_found_and_trace_pass_through_files(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="without a result"):
        read_found(tmp_path)
    write_found(tmp_path, found(bundle), one := trace())
    again, same = read_found(tmp_path)
    assert again == found(bundle)
    assert (same.begin, same.end, same.batch) == (one.begin, one.end, one.batch)
    for name in ("issued", "ended", "stages"):
        np.testing.assert_array_equal(getattr(same, name), getattr(one, name))


def test_the_subject_and_its_size(bundle: Bundle) -> None:
    choice = list_choices(bundle, "fp32", "onnxruntime", "cpu")[0][0]
    subject = describe(bundle, choice, {})
    paths = {path for tower in choice.variant.towers.values() for path in (tower.artifact, *tower.sidecars)}
    assert subject.size == sum(record.size for record in bundle.manifest.files if record.path in paths) > 0
    assert size_of(bundle, choice.variant) == subject.size
    assert (subject.bundle, subject.space) == (bundle.manifest.name, bundle.manifest.embedding.space)
    assert towers_of("image", bundle) == ("image",)
    assert towers_of("text", bundle) == ("text",)
    assert towers_of("photo", bundle) == ("image", "text")


def test_agreement_is_the_bundle_s_smaller_direction() -> None:
    starter = open_bundle(resolve("starter"))
    fidelity = starter.manifest.variants[0].fidelity
    assert fidelity is not None
    result = assemble(pieces(starter))
    assert result.accuracy.agreement == min(fidelity.image_to_text.top1.value, fidelity.text_to_image.top1.value)
    assert result.accuracy.data == fidelity.data
