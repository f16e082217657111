"""What is found out beside a run: its share of the limits, its profile, and what cannot be had."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import litert_towers
from bench_results import result
from edgekit.benchmarks.limits import roofline as rooflines
from edgekit.benchmarks.limits.count import count
from edgekit.benchmarks.limits.records import Peak, Peaks
from edgekit.benchmarks.running import extras
from edgekit.benchmarks.running.events import Event, Note, Phase
from edgekit.benchmarks.running.extras import Wanted, add_extras, find_out
from edgekit.benchmarks.running.request import RunRequest
from edgekit.bundle.reader import open_bundle
from edgekit.errors import ExecutionError
from edgekit.text import TextEncoder

PLAN = result(threads=1).plan
ASKED: list[int] = []


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a variant of each of two engines."""
    return litert_towers.bundle(tmp_path_factory.mktemp("both") / "both.edge")


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a device that takes no time to measure."""
    ASKED.clear()

    def measure(threads: int) -> Peaks:
        ASKED.append(threads)
        return Peaks(threads, {"fp32": Peak(10.0, 0, 5, "", "")}, {"read": Peak(5.0, 0, 5, "", "")}, {}, 0.0, True, "")

    monkeypatch.setattr(rooflines.peak, "measure", measure)


def wanted(bundle: Path, **changes: Any) -> Wanted:
    plain = Wanted(str(bundle), "fp32", "onnxruntime", "cpu", PLAN, None, 2.0, roofline=True, profile=False)
    return replace(plain, **changes)


@pytest.mark.parametrize(("pipeline", "batch"), [("photo", 1), ("image", 1), ("image", 5)])
def test_of_a_photo_the_image_tower_alone_is_compared(both: Path, pipeline: Any, batch: int) -> None:
    """Its labels were embedded before the measured part."""
    found = find_out(wanted(both, plan=replace(PLAN, pipeline=pipeline, batch=batch)))
    work = count(open_bundle(both), "fp32", "image", batch=batch)
    assert found.problems == ()
    assert found.roofline
    assert (found.roofline.flops, found.roofline.bytes) == (work.flops, work.least_bytes)
    assert found.roofline.achieved_gflops == pytest.approx(work.flops / 2e-3 / 1e9)
    assert ASKED == [1]
    assert found.profiles == ()


@pytest.mark.parametrize("words", [2, 3, 4])
def test_the_work_of_texts_is_that_of_the_middle_one(
    both: Path, tmp_path: Path, photos: list[Path], words: int
) -> None:
    texts = [" ".join(["cat"] * n) for n in (1, words, 7)]
    (tmp_path / "a.jpg").write_bytes(photos[0].read_bytes())
    table = tmp_path / "captions.csv"
    table.write_text("path,caption\n" + "".join(f"a.jpg,{text}\n" for text in texts))
    bundle = open_bundle(both)
    assert bundle.text.trim_padding
    (row,) = TextEncoder(bytes(bundle.read(bundle.text.tokenizer)), bundle.text).encode([texts[1]])
    length = int((row != bundle.text.pad_id).sum())
    found = find_out(wanted(both, plan=replace(PLAN, pipeline="text"), data=str(table)))
    assert found.problems == ()
    assert found.roofline
    # The tiny tower sums its words before it multiplies; what grows with their number is what is read.
    assert found.roofline.bytes == count(bundle, "fp32", "text", length=length).least_bytes
    assert found.roofline.bytes < count(bundle, "fp32", "text").least_bytes


def test_each_tower_that_the_run_used_is_profiled(both: Path) -> None:
    found = find_out(wanted(both, roofline=False, profile=True, plan=replace(PLAN, pipeline="photo")))
    assert [profile.tower for profile in found.profiles] == ["image", "text"]
    assert {profile.threads for profile in found.profiles} == {1}
    assert (found.roofline, found.problems, ASKED) == (None, (), [])
    for profile in found.profiles:
        assert sum(part.share for part in profile.parts) == pytest.approx(1 - profile.overhead / profile.ms)


def test_an_engine_without_a_profiler_is_a_sentence_for_each_tower(both: Path) -> None:
    found = find_out(wanted(both, variant="litert", runtime="litert", profile=True))
    assert found.profiles == ()
    assert found.roofline
    assert "as onnxruntime multiplies" in found.roofline.kind
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "no profile of the image tower",
        "no profile of the text tower",
    ]
    assert all("offers no profile of its operators" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "npu"}, r"^no roofline: .*it ran on npu, and only the limits of the processor are measured$"),
        ({"inference": 0.0}, r"^no roofline: .*0\.0 ms is no time of an inference$"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_a_sentence(both: Path, changes: dict[str, Any], said: str) -> None:
    found = find_out(wanted(both, **changes))
    assert found.roofline is None
    (problem,) = found.problems
    assert re.search(said, problem)


def test_a_child_that_fails_leaves_the_result_as_it_was(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ExecutionError("the measured process was ended by SIGSEGV")

    monkeypatch.setattr(extras, "_found", fails)
    told: list[Event] = []
    run = result()
    assert add_extras(run, RunRequest(str(both), roofline=True, profile=True), told.append) == run
    assert told == [
        Phase("limits"),
        Note("neither roofline nor profile: the measured process was ended by SIGSEGV"),
    ]
    told.clear()
    add_extras(run, RunRequest(str(both), profile=True), told.append)
    assert told[0] == Phase("profile")
