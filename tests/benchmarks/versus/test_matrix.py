"""Every variant on every runtime: a real short run of two, and the front by hand."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import litert_towers
import tiny_bundle
from bench_results import result
from edgekit.benchmarks.running.events import Event, Note, Phase
from edgekit.benchmarks.running.interrupting import RunInterruptedError
from edgekit.benchmarks.running.request import RunRequest
from edgekit.benchmarks.versus import matrix as module
from edgekit.benchmarks.versus.matrix import MatrixInterruptedError, cool, matrix
from edgekit.benchmarks.versus.records import Matrix
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import ExecutionError, InputError, RuntimeUnavailableError


def test_two_variants_on_their_runtimes(tmp_path: Path) -> None:
    path = litert_towers.bundle(tmp_path / "both.edge")
    events: list[Event] = []
    request = RunRequest(str(path), pipeline="image", seconds=0.3, baseline=0.0)
    table, results = matrix(request, events.append)
    assert [(row.variant, row.runtime.split()[0]) for row in table.rows] == [
        ("fp32", "onnxruntime"),
        ("litert", "litert"),
    ]
    assert [row.result for row in table.rows] == [found.id for found in results]
    for row, found in zip(table.rows, results, strict=True):
        assert (row.p50, row.p99, row.throughput) == (found.p50, found.p99, found.throughput.value)
        assert row.memory == found.memory.rss_peak
        assert row.cosine == pytest.approx(1, abs=1e-3)
        assert row.size > 10_000
        assert row.fidelity is None
        # Less than a second is never VALID, and what is not VALID beats nothing.
        assert (row.verdict, row.front) == ("INVALID", False)
        assert row.reasons == found.reasons
    assert loads(Matrix, dumps(table), "matrix") == table
    assert next(event.text for event in events if isinstance(event, Note)) == "1 of 2: fp32 on onnxruntime (cpu)"


def test_what_fails_or_cannot_be_opened_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = litert_towers.bundle(tmp_path / "both.edge")

    def run(request: RunRequest, on_event: Any) -> Any:
        if request.variant == "litert":
            raise ExecutionError("its process was ended by SIGSEGV")
        return result()

    monkeypatch.setattr(module, "run", run)
    table, results = matrix(RunRequest(str(path)), lambda event: None)
    failed = table.rows[1]
    assert (failed.verdict, failed.reasons, failed.p50, failed.result) == (
        "",
        ("its process was ended by SIGSEGV",),
        None,
        "",
    )
    assert len(results) == 1
    with pytest.raises(RuntimeUnavailableError, match="offers no device 'moon'"):
        matrix(RunRequest(str(path), device="moon"), lambda event: None)
    with pytest.raises(InputError, match="--batch 0"):
        matrix(RunRequest(str(path), batch=0), lambda event: None)


def test_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs: true and slow, fast and rough, worse than both, and the best one INVALID."""
    path = tiny_bundle.build(tmp_path / "four.edge", variants=("fp32", "static", "wrong", "nan"), change=_quantized)
    figures = {
        "fp32": (10.0, 1.0, "VALID"),
        "static": (4.0, 0.95, "VALID"),
        "wrong": (11.0, 0.9, "VALID"),
        "nan": (1.0, 1.0, "INVALID"),
    }

    def run(request: RunRequest, on_event: Any) -> Any:
        ms, agreement, verdict = figures[str(request.variant)]
        plain = result()
        accuracy = replace(plain.accuracy, agreement=None if request.variant == "fp32" else agreement)
        return replace(plain, p50=ms, accuracy=accuracy, verdict=verdict)

    monkeypatch.setattr(module, "run", run)
    table, _ = matrix(RunRequest(str(path)), lambda event: None)
    assert {row.variant: row.front for row in table.rows} == {
        "fp32": True,
        "static": True,
        "wrong": False,
        "nan": False,
    }


@pytest.mark.parametrize(("precision", "beaten"), [("int8", False), ("w8a16", False), ("fp16", True), ("bf16", True)])
def test_what_a_compiler_made_whole_numbers_of_is_not_taken_for_the_float_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, beaten: bool
) -> None:
    """It has no record of edgekit's own quantization, and may have none of its fidelity: faster, but how wrong?"""

    def change(manifest: Any) -> Any:
        first, second = manifest.variants
        return replace(manifest, variants=(first, replace(second, precision=precision, fidelity=None)))

    path = tiny_bundle.build(tmp_path / "two.edge", variants=("fp32", "static"), change=change)

    def run(request: RunRequest, on_event: Any) -> Any:
        plain, fast = result(), request.variant == "static"
        made = replace(plain, accuracy=replace(plain.accuracy, agreement=None), p50=4.0 if fast else 10.0)
        return replace(made, subject=replace(made.subject, size=10 if fast else 20))

    monkeypatch.setattr(module, "run", run)
    table, _ = matrix(RunRequest(str(path)), lambda event: None)
    assert {row.variant: row.front for row in table.rows} == {"fp32": not beaten, "static": True}
    assert [row.fidelity for row in table.rows] == [None, None]


def _quantized(manifest: Any) -> Any:
    first, *rest = manifest.variants
    return replace(manifest, variants=(first, *(replace(v, precision="int8") for v in rest)))


def _zone(root: Path, degrees: float) -> None:
    folder = root / "sys/class/thermal/thermal_zone0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "type").write_text("cpu-thermal\n")
    (folder / "temp").write_text(f"{int(1000 * degrees)}\n")


def test_a_hot_device_cools_down_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _zone(tmp_path, 70.0)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        _zone(tmp_path, 70.0 - 10 * len(waits))

    monkeypatch.setattr(module.time, "sleep", sleep)
    events: list[Event] = []
    zone = next(iter(module.Thermal(tmp_path).read()))
    cool(tmp_path, {zone: 45.0}, events.append)
    assert len(waits) == 3  # 60, 50, 40
    assert events == [Phase("cool", 60.0)]


def test_it_does_not_wait_for_ever_nor_without_sensors(tmp_path: Path) -> None:
    begin = time.monotonic()
    cool(tmp_path, {}, lambda event: None)
    _zone(tmp_path, 90.0)
    zone = next(iter(module.Thermal(tmp_path).read()))
    cool(tmp_path, {zone: 20.0, "gone": 20.0}, lambda event: None, most=0.1)
    assert time.monotonic() - begin < 30


def _four(folder: Path) -> Path:
    return tiny_bundle.build(folder / "four.edge", variants=("fp32", "static", "wrong", "nan"))


def _runs(monkeypatch: pytest.MonkeyPatch, **endings: BaseException) -> list[str]:
    """Let every variant's run give a made-up result, but for those with an ending of their own."""
    ran: list[str] = []

    def run(request: RunRequest, on_event: Any) -> Any:
        ran.append(str(request.variant))
        if str(request.variant) in endings:
            raise endings[str(request.variant)]
        return replace(result(), id=f"run of {request.variant}")

    monkeypatch.setattr(module, "run", run)
    return ran


@pytest.mark.parametrize("data", ["no/such/folder", "empty", "words.csv"])
def test_data_that_cannot_be_used_is_refused_once_and_not_for_each_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.csv").write_text("a cat\na dog\n")
    Path("empty").mkdir()
    ran = _runs(monkeypatch)
    with pytest.raises(InputError, match=data):
        matrix(RunRequest(str(_four(tmp_path)), pipeline="image", data=data), lambda event: None)
    assert ran == []


def test_each_result_is_handed_on_as_soon_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _runs(monkeypatch, static=ExecutionError("its process hung"))
    seen: list[tuple[list[str], list[str]]] = []
    table, results = matrix(
        RunRequest(str(_four(tmp_path))),
        lambda event: None,
        lambda found: seen.append((list(ran), [one.id for one in found])),
    )
    assert seen == [
        (["fp32"], ["run of fp32"]),
        (["fp32", "static", "wrong"], ["run of fp32", "run of wrong"]),
        (["fp32", "static", "wrong", "nan"], ["run of fp32", "run of wrong", "run of nan"]),
    ]
    assert [row.result for row in table.rows] == ["run of fp32", "", "run of wrong", "run of nan"]
    assert len(results) == 3


PART = result(reasons=("interrupted in the measured part",))


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), RunInterruptedError(replace(PART, id="part"))])
def test_ctrl_c_keeps_what_was_measured_and_tells_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    ran = _runs(monkeypatch, wrong=ending)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        matrix(RunRequest(str(_four(tmp_path))), lambda event: None, lambda found: seen.append(len(found)))
    assert ran == ["fp32", "static", "wrong"]
    found = caught.value
    assert isinstance(found, MatrixInterruptedError)
    part = ["part"] if isinstance(ending, RunInterruptedError) else []
    assert [one.id for one in found.results] == ["run of fp32", "run of static", *part]
    assert seen == list(range(1, len(found.results) + 1))
    assert [row.variant for row in found.table.rows] == ["fp32", "static", "wrong", "nan"]
    left = [row.reasons for row in found.table.rows if not row.result]
    assert left == [("Ctrl-C came before its run",)] * (2 - len(part))
    # Of a part of a run, nothing stands on the front.
    assert [row.front for row in found.table.rows[2:]] == [False, False]


def test_ctrl_c_in_the_first_run_leaves_nothing_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _runs(monkeypatch, fp32=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        matrix(RunRequest(str(_four(tmp_path))), lambda event: None, lambda found: pytest.fail("there is none"))
    assert not isinstance(caught.value, MatrixInterruptedError)


def test_ctrl_c_while_the_device_cools_keeps_the_run_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _runs(monkeypatch)

    def cooling(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "cool", cooling)
    with pytest.raises(MatrixInterruptedError) as caught:
        matrix(RunRequest(str(_four(tmp_path))), lambda event: None)
    assert ran == ["fp32"]
    assert [one.id for one in caught.value.results] == ["run of fp32"]


def test_what_is_asked_for_narrows_the_table_and_reaches_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunRequest] = []

    def run(request: RunRequest, on_event: Any) -> Any:
        asked.append(request)
        return result()

    monkeypatch.setattr(module, "run", run)
    request = RunRequest(str(litert_towers.bundle(tmp_path / "both.edge")), runtime="litert", threads=2, batch=3)
    table, _ = matrix(request, lambda event: None)
    assert [row.variant for row in table.rows] == ["litert"]
    assert asked == [replace(request, variant="litert", runtime="litert", device="cpu")]
    matrix(replace(request, threads=None, runtime=None), lambda event: None)
    # Nothing that was tuned for one engine is taken for another.
    assert [one.threads for one in asked[1:]] == [0, 0]
    assert [(one.variant, one.runtime) for one in asked[1:]] == [("fp32", "onnxruntime"), ("litert", "litert")]
