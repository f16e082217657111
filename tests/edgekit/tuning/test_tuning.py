"""`edgekit.tune` from end to end with the real engine, each candidate in a process of its own."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.errors import BundleError, InputError, RuntimeUnavailableError
from edgekit.trials import process
from edgekit.tuning import finals
from edgekit.tuning.tune import _counts

if TYPE_CHECKING:
    from edgekit import Tuning


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.fsdecode(os.fsencode(tmp_path_factory.mktemp("two")) + b"/caf\xe9"))
    folder.mkdir()
    return tiny.build(folder / "two.edge", variants=("fp32", "wrong"))


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finals, "ROUND_SECONDS", 0.02)


def tune(bundle: Path | bytes, **options: Any) -> Tuning:
    return edgekit.tune(bundle, runtime="onnxruntime", **options)


def test_it_measures_stores_and_is_used(bundle: Path) -> None:
    stages: list[str] = []
    found = tune(bundle, threads=(1, 2), on_stage=stages.append)
    assert found.chosen.variant == "fp32"
    assert found.chosen.threads in (1, 2)
    assert found.chosen.cost is not None
    assert found.chosen.cost.peak is None or 20 < found.chosen.cost.peak < 2000
    assert found.chosen.cost.load > 0
    wrong = [c for c in found.candidates if c.variant == "wrong"]
    assert wrong
    assert all("wrong numbers on this device: image tower" in c.reason for c in wrong)
    assert {c.options for c in wrong} >= {(), (("graph_optimization", "basic"),)}  # cures were tried, in vain
    assert sorted(c.threads for c in found.candidates if c.accepted) == [1, 2]
    assert stages[0] == "checking digests"
    assert re.match(r"fp32 on onnxruntime [\d.]+ \(cpu, 2 threads\)$", stages[1])
    assert re.match(r"\d{4}-\d\d-\d\d$", found.date)
    assert not found.note
    with edgekit.load(bundle, runtime="onnxruntime") as clip:
        told = clip.explain()
        assert told.tuned == found.date
        assert told.chosen == found.chosen
        assert clip.embed_texts(["a cat"]).shape == (1, 16)
    lines = str(found).splitlines()
    assert lines[1].startswith("one photo and one text, in milliseconds; ")
    assert lines[2].split()[:5] == ["variant", "runtime", "device", "threads", "options"]
    assert sum(line.startswith("* fp32") for line in lines) == 1
    assert lines[-1] == f"chosen: {found.chosen}"


def test_bytes_and_one_tower_and_batches(bundle: Path) -> None:
    found = tune(bundle.read_bytes(), variant="fp32", threads=(1,), towers=("image",), objective="photos")
    (candidate,) = found.candidates
    assert candidate.cost is not None
    assert candidate.milliseconds == pytest.approx(candidate.cost.towers["image"] / 16)
    with edgekit.load(bundle, runtime="onnxruntime", towers=("image",)) as clip:
        assert clip.explain().tuned
    with edgekit.load(bundle, runtime="onnxruntime") as clip:
        assert not clip.explain().tuned  # the text tower was never checked


def test_nothing_that_passes_is_an_error_that_lists_all(bundle: Path) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        tune(bundle, variant="wrong", threads=(1,))
    assert str(caught.value).count("wrong numbers on this device") >= 2


def test_a_damaged_bundle_is_told_before_anything_runs(bundle: Path, tmp_path: Path) -> None:
    folder = tiny.unpack(bundle, tmp_path / "two")
    (folder / "variants" / "fp32" / "text.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"text\.onnx"):
        tune(folder)


def test_a_choice_that_cannot_be_stored_is_noted(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    found = tune(bundle, variant="fp32", threads=(1,))
    assert "could not be stored" in found.note
    assert str(found).splitlines()[-1] == f"note: {found.note}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": (0,)}, r"threads are \[0\]"),
        ({"objective": "sound"}, "objective is 'sound'; give one of pair, photo, photos"),
        ({"objective": "photo", "towers": ("text",)}, "needs the image tower"),
        ({"towers": ()}, "towers must be"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"trial_seconds": -1}, "trial_seconds"),
        ({"memory": -1}, "memory 0 or more"),
        ({"variant": "int4"}, "no variant 'int4'"),
    ],
)
def test_wrong_arguments_are_told(bundle: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tune(bundle, **options)


@pytest.mark.parametrize(("processors", "wanted"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))])
def test_threads_go_up_to_the_processors_at_hand(
    monkeypatch: pytest.MonkeyPatch, processors: int, wanted: tuple[int, ...]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert _counts(()) == wanted
    assert _counts((3, 1, 3)) == (1, 3)


def test_the_child_sees_the_parents_path_and_not_the_current_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgekit").mkdir()
    (tmp_path / "edgekit" / "__init__.py").write_text("raise SystemExit('the wrong edgekit')")
    monkeypatch.chdir(tmp_path)
    assert tune(bundle, variant="fp32", threads=(1,)).chosen.accepted


def test_an_interpreter_that_does_not_start_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PREFIX", ("/bin/sh", "-c", "echo no interpreter here >&2; exit 3"))
    with pytest.raises(
        RuntimeUnavailableError, match="exit code 3 and without a result; its last line: no interpreter"
    ):
        tune(bundle, variant="fp32", threads=(1,))


def test_the_table_has_a_line_for_each_and_none_for_what_was_not_measured(bundle: Path) -> None:
    from edgekit.results import Candidate, Cost
    from edgekit.tuning.report import report

    good = Candidate("int8", "ort 1", "cpu", True, True, "", 12.34, (), 2, (("a", "b"),), None)
    timed = replace(
        good, variant="fp32", milliseconds=10.0, options=(), cost=Cost(9.0, 11.0, {"text": 3.0}, 55.5, None)
    )
    bad = replace(good, accepted=False, reason="ended by SIGSEGV; it printed nothing")
    lines = report(edgekit.Tuning("b", "2026-01-31", "photo", 7.4, timed, (good, bad, timed), "")).splitlines()
    assert lines[1] == "one photo, its texts embedded before, in milliseconds; 3 candidates in 7 s"
    assert [line.split() for line in lines[3:5]] == [
        ["*", "fp32", "ort", "1", "cpu", "2", "10.0", "9.0-11.0", "3.0", "56"],
        ["int8", "ort", "1", "cpu", "2", "a=b", "12.3"],
    ]
    assert lines[5] == str(bad)
