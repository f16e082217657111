"""Real runs, tiny and short: every phase in a fresh process, the meters around it, and a verdict that tells why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import frozen_bundle
import json_check
import litert_towers
import tiny_bundle as tiny
from edgekit.benchmarks import bench
from edgekit.benchmarks.results import files, json_schema
from edgekit.benchmarks.running.events import Event, Note, Phase, Sample, Tick
from edgekit.benchmarks.running.request import RunRequest
from edgekit.benchmarks.running.run import run
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, EdgekitError, ExecutionError, InputError, RuntimeUnavailableError
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.results.records import Result

SHORT = 0.3
# Nothing is left to choose, which saves a process.
CHOSEN: dict[str, Any] = {
    "variant": "fp32",
    "runtime": "onnxruntime",
    "device": "cpu",
    "settings": SessionSettings(threads=1),
}
REQUEST: dict[str, Any] = {"variant": "fp32", "runtime": "onnxruntime", "device": "cpu", "threads": 1}
STAGES = {
    "photo": {"decode", "preprocess", "inference", "postprocess"},
    "image": {"inference"},
    "text": {"tokenize", "inference"},
}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files go here, and nothing of them is left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield folder
    assert list(folder.iterdir()) == []


def valid_but_for_length(result: Result) -> list[str]:
    """The reasons of a short run, without those that shortness and a busy test machine bring."""
    ours = ("the measured part took", "other load", "clocks", "queries at the end", "governor", "reading the sensors")
    return [reason for reason in result.reasons if not reason.startswith(ours) and "too few" not in reason]


def length(result: Result) -> float:
    """Seconds of the measured part."""
    return sum(minute.seconds for minute in result.minutes)


@pytest.mark.parametrize("pipeline", ["photo", "image", "text"])
def test_a_run_of_each_pipeline(tiny_bundle: Path, pipeline: Any) -> None:
    told: list[Event] = []
    found = bench(tiny_bundle, pipeline=pipeline, seconds=SHORT, on_event=told.append)
    assert found.verdict == "INVALID"
    assert valid_but_for_length(found) == []
    assert any(reason.startswith("the measured part took 0.") for reason in found.reasons)
    bundle = open_bundle(tiny_bundle)
    assert (found.subject.digest, found.subject.variant) == (bundle.digest, "fp32")
    assert (found.subject.runtime, found.subject.device) == ("onnxruntime", "cpu")
    towers = {"photo": {"image", "text"}, "image": {"image"}, "text": {"text"}}[pipeline]
    assert set(found.subject.placement) == towers
    assert all(set(counts) == {"cpu"} for counts in found.subject.placement.values())
    assert set(found.stages) == STAGES[pipeline]
    assert found.plan.samples >= 2
    assert (found.plan.labels > 0) == (pipeline == "photo")
    assert 0 < found.p50 <= found.p90 <= found.p99 <= found.latency.greatest
    assert found.latency.n == sum(minute.queries for minute in found.minutes)
    assert found.throughput.value == pytest.approx(found.latency.n / length(found), rel=0.02)
    phases = found.phases
    assert min(phases.import_ms, phases.load_ms, phases.first_ms, phases.warm_ms, phases.prepare_ms) > 0
    assert phases.warm_queries >= 1
    assert found.accuracy.before == found.accuracy.after
    assert found.accuracy.before.passed
    assert found.accuracy.before.n == sum({"image": 2, "text": 4}[tower] for tower in towers)
    assert 0 < found.memory.rss_import < found.memory.rss_peak < 2000
    assert found.context.packages["onnxruntime"] == found.subject.runtime_version
    assert {"memory rss", "load other processes"} <= {series.name for series in found.series}
    assert found.energy.status in ("measured", "unmeasured")
    assert 0 < found.harness.overhead_us < 1000
    assert time.time() - 120 < found.began < time.time()
    names = [event.name for event in told if isinstance(event, Phase)]
    assert names == ["choose", "idle before", "import", "load", "warm", "measure", "check", "idle after", "done"]
    assert f"--pipeline {pipeline}" in found.command
    assert "--variant fp32 --runtime onnxruntime --threads 0 --device cpu" in found.command
    assert json_check.problems(json_schema.document(), json.loads(files.dumps(found))) == []


def test_the_starter_with_ticks_and_samples() -> None:
    told: list[Event] = []
    found = bench("starter", pipeline="image", seconds=1.0, settings=SessionSettings(threads=1), on_event=told.append)
    ticks = [event for event in told if isinstance(event, Tick)]
    assert ticks
    assert all(tick.total == 1.0 for tick in ticks)
    assert ticks[-1].queries <= found.latency.n
    assert any(isinstance(event, Sample) and event.name == "memory rss" for event in told)
    assert found.plan.threads == 1
    assert found.accuracy.agreement is not None
    assert 0.5 < found.accuracy.agreement <= 1
    assert found.subject.size > 1_000_000
    # Only the image tower was opened: the text tower's weights are no part of the memory.
    assert valid_but_for_length(found) == []


def test_wrong_numbers_are_measured_and_invalid(tmp_path: Path) -> None:
    found = bench(tiny.build(tmp_path / "wrong.edge", variants=("wrong",)), pipeline="image", seconds=SHORT)
    assert not found.accuracy.before.passed
    assert not found.accuracy.after.passed
    assert found.latency.n > 1
    wrong = valid_but_for_length(found)
    assert [reason.split(":")[0] for reason in wrong] == [
        "golden check before the measured part",
        "golden check after the measured part",
    ]
    assert "edgekit verify" in wrong[0]


def test_numbers_that_are_none_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="NaN or infinity"):
        bench(tiny.build(tmp_path / "nan.edge", variants=("nan",)), pipeline="image", seconds=SHORT)


def test_the_variant_that_load_would_take_is_measured(tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "two.edge", variants=("wrong", "fp32", "nan"))
    assert bench(path, pipeline="image", seconds=SHORT).subject.variant == "fp32"
    assert bench(path, pipeline="image", seconds=SHORT, variant="wrong").subject.variant == "wrong"
    broken = tiny.build(tmp_path / "broken.edge", variants=("wrong", "nan"))
    with pytest.raises(RuntimeUnavailableError, match="wrong numbers on this device"):
        bench(broken, pipeline="image", seconds=SHORT)


def test_frozen_labels_without_a_text_tower(tmp_path: Path) -> None:
    path = frozen_bundle.freeze(tmp_path / "frozen.edge", head="ridge")
    found = bench(path, seconds=SHORT)
    assert found.plan.labels == len(frozen_bundle.NAMES)
    assert set(found.subject.placement) == {"image"}
    assert valid_but_for_length(found) == []
    with pytest.raises(InputError, match="no text tower"):
        bench(path, pipeline="text", seconds=SHORT)


def test_own_labels_and_own_photos(tiny_bundle: Path, tmp_path: Path, photos: list[Path]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for photo in photos[:3]:
        (folder / photo.name).write_bytes(photo.read_bytes())
    found = bench(tiny_bundle, data=folder, labels=["cat", "dog"], seconds=SHORT, **CHOSEN)
    assert (found.plan.labels, found.plan.samples, found.plan.data) == (2, 3, "mine")
    assert f"--data {folder}" in found.command


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variant": "int3"}, "has no variant 'int3'; it has fp32"),
        ({"bundle": "no-such.edge"}, "no-such.edge"),
        ({"pipeline": "sound"}, "--pipeline sound"),
        ({"data": "no-such-folder"}, "no-such-folder"),
        ({"settings": SessionSettings(spinning=False)}, "only threads and options"),
        ({"settings": SessionSettings(options=(("no_such", "1"),))}, "no_such"),
        ({"labels": "cat"}, "give a list"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_error(tiny_bundle: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        bench(**{"bundle": tiny_bundle, "seconds": SHORT, **changes})


def test_a_damaged_bundle_is_told_as_such(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.edge"
    data = bytearray(tiny_bundle.read_bytes())
    place = data.find(b"onnx", len(data) // 4)
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError):
        bench(path, seconds=SHORT)


def test_an_unknown_runtime(tiny_bundle: Path) -> None:
    with pytest.raises(EdgekitError, match="no-such-engine"):
        bench(tiny_bundle, runtime="no-such-engine", seconds=SHORT)


def test_the_scenarios(tiny_bundle: Path) -> None:
    multi = bench(tiny_bundle, pipeline="text", scenario="multi-stream", streams=2, seconds=SHORT, **CHOSEN)
    offline = bench(tiny_bundle, pipeline="text", scenario="offline", batch=4, seconds=SHORT, **CHOSEN)
    assert (multi.plan.streams, offline.plan.batch) == (2, 4)
    assert multi.throughput.value == pytest.approx(2 * multi.latency.n / length(multi), rel=0.02)
    assert offline.throughput.value == pytest.approx(4 * offline.latency.n / length(offline), rel=0.02)
    server = bench(
        tiny_bundle,
        pipeline="text",
        scenario="server",
        target_qps=2000.0,
        latency_bound=1e-3,
        seconds=SHORT * 2,
        **CHOSEN,
    )
    assert server.latency.n == pytest.approx(1200, rel=0.25)
    assert [reason for reason in valid_but_for_length(server) if "the bound is 0.001 ms" in reason]
    assert "--target-qps 2000 --latency-bound 0.001" in server.command


def test_a_busy_machine_is_invalid_and_told_why(tiny_bundle: Path) -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(busy.pid, {min(os.sched_getaffinity(0))})
        found = bench(tiny_bundle, pipeline="text", seconds=2.5, **CHOSEN)
    finally:
        busy.kill()
        busy.wait()
    load = next(series for series in found.series if series.name == "load other processes")
    assert max(load.values) > 30  # percent of one processor; the test machine's other work adds to it
    assert found.verdict == "INVALID"
    told = [reason for reason in found.reasons if reason.startswith("other load")]
    assert any("during the run" in reason for reason in told)
    assert all("end them" in reason for reason in told)


def test_a_measured_process_that_is_killed_is_one_clear_error(tiny_bundle: Path) -> None:
    def kill(event: Event) -> None:
        if isinstance(event, Tick):
            (worker,) = [
                child for child in psutil.Process().children() if "edgekit.benchmarks.running.worker" in child.cmdline()
            ]
            worker.kill()

    with pytest.raises(ExecutionError, match=r"the measured process was ended by SIGKILL, most likely .* memory"):
        bench(tiny_bundle, pipeline="text", seconds=30.0, on_event=kill, **CHOSEN)
    assert psutil.Process().children() == []


def test_an_interrupted_run_leaves_no_process_and_no_file(tiny_bundle: Path) -> None:
    def interrupt(event: Event) -> None:
        if event == Phase("measure", 30.0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tiny_bundle, pipeline="text", seconds=30.0, on_event=interrupt, **CHOSEN)
    assert psutil.Process().children() == []


def test_a_faked_jetson_gives_its_energy_and_its_scope(tiny_bundle: Path, tmp_path: Path) -> None:
    """The whole way from a kernel's files to joules a query: 5 V x 1.6 A are 8 W."""
    root = tmp_path / "root"
    folder = root / "sys/class/hwmon/hwmon0"
    folder.mkdir(parents=True)
    for name, text in (
        ("name", "ina3221"),
        ("in1_label", "VDD_IN"),
        ("in1_input", "5000"),
        ("curr1_input", "1600"),
        ("in2_label", "NC"),
    ):
        (folder / name).write_text(f"{text}\n")
    request = RunRequest(
        str(tiny_bundle),
        pipeline="text",
        seconds=2.5,
        baseline=1.0,
        root=str(root),
        meters=("ina3221",),
        **REQUEST,
    )
    for _ in range(3):
        found = run(request, lambda event: None)
        energy = found.energy
        # A test machine with much other work may leave gaps between the samples, which is refused by right.
        if energy.status == "measured":
            break
    assert (energy.status, energy.meter, energy.rail, energy.scope) == ("measured", "ina3221", "VDD_IN", "device")
    assert energy.watts == pytest.approx(8.0, rel=1e-6)
    assert energy.joules == pytest.approx(8.0 * length(found), rel=1e-3)
    assert energy.per_inference == pytest.approx(8.0 * length(found) / found.latency.n, rel=1e-3)
    assert energy.above_idle == pytest.approx(0.0, abs=1e-6)
    assert energy.before is not None
    assert energy.before.watts == pytest.approx(8.0)
    assert "--meter ina3221" in found.command
    assert not [reason for reason in found.reasons if reason.startswith("energy")]


def test_lite_towers_on_their_engine(tmp_path: Path) -> None:
    found = bench(litert_towers.bundle(tmp_path / "both.edge"), pipeline="image", seconds=SHORT, variant="litert")
    assert (found.subject.runtime, found.subject.format) == ("litert", "tflite")
    assert found.accuracy.before.passed
    assert found.accuracy.after.passed
    assert not [reason for reason in valid_but_for_length(found) if "nodes" in reason]
    assert "onnxruntime" not in found.context.packages


def test_loadgen_issues_the_queries_of_the_same_run(tiny_bundle: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    request = RunRequest(str(tiny_bundle), pipeline="text", seconds=1.0, generator="loadgen", **REQUEST)
    found = run(request, lambda event: None)
    assert found.plan.generator == "loadgen"
    assert found.latency.n > 100
    assert valid_but_for_length(found) == []
    assert "--generator loadgen" in found.command


def test_a_meter_that_is_not_here_is_refused_before_anything_runs(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="there is no meter 'sundial'"):
        run(RunRequest(str(tiny_bundle), meters=("sundial",)), lambda event: None)


def test_extras_that_cannot_be_had_are_notes_and_not_losses(tiny_bundle: Path) -> None:
    told: list[Event] = []
    request = RunRequest(str(tiny_bundle), pipeline="image", seconds=SHORT, profile=True, **REQUEST)
    found = run(request, told.append)
    notes = [event.text for event in told if isinstance(event, Note)]
    assert found.latency.n > 1
    assert bool(found.profiles) != any("no profile of the image tower" in note for note in notes)
    assert all(profile.tower == "image" for profile in found.profiles)
