"""What a run measures where the caller leaves it open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import litert_towers
import tiny_bundle as tiny
from edgekit.benchmarks.running.choosing import Chosen, Wanted, choose, settle
from edgekit.benchmarks.running.events import Event
from edgekit.benchmarks.running.request import RunRequest
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices
from edgekit.decisions import Decision
from edgekit.errors import BundleError, InputError, RuntimeUnavailableError
from edgekit.tuning import store
from edgekit.unchanged import states


def wanted(path: Path, **changes: object) -> Wanted:
    return replace(Wanted(str(path), "image", None, None, "auto", None, ()), **changes)  # type: ignore[arg-type]


def test_the_only_candidate_is_taken_even_when_it_is_wrong(tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "wrong.edge", variants=("wrong",))
    assert choose(wanted(path)) == Chosen("wrong", "onnxruntime", "cpu", 0, ())


def test_several_compete_and_the_wrong_ones_lose(tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "two.edge", variants=("wrong", "fp32"))
    assert choose(wanted(path)).variant == "fp32"
    assert choose(wanted(path, variant="wrong")).variant == "wrong"
    assert choose(wanted(path, threads=2, options=(("graph_optimization", "basic"),))) == Chosen(
        "fp32", "onnxruntime", "cpu", 2, (("graph_optimization", "basic"),)
    )


def test_a_runtime_or_a_device_narrows_the_choice(tmp_path: Path) -> None:
    path = litert_towers.bundle(tmp_path / "both.edge")
    assert choose(wanted(path, runtime="litert")) == Chosen("litert", "litert", "cpu", 0, ())
    assert choose(wanted(path, variant="fp32")).runtime == "onnxruntime"
    with pytest.raises(RuntimeUnavailableError, match="tpu"):
        choose(wanted(path, device="tpu"))


def test_what_was_tuned_is_measured(tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "one.edge")
    bundle = open_bundle(path)
    choices, _ = list_choices(bundle, None, None, "auto")
    options = (("flush_denormals", "1"),)
    candidate = replace(choices[0].candidate("", 1.0), threads=2, options=options)
    engines = {choice.runtime.name: choice.version for choice in choices}
    tuned = store.Tuned("2026-01-31", "pair", engines, Decision((candidate,), 0, states(bundle)))
    assert store.store(bundle, ("image",), tuned) == ""
    assert choose(wanted(path)) == Chosen("fp32", "onnxruntime", "cpu", 2, options)
    assert choose(wanted(path, threads=1)) == Chosen("fp32", "onnxruntime", "cpu", 1, ())


def test_settling_happens_in_a_child_and_keeps_the_rest(tiny_bundle: Path) -> None:
    told: list[Event] = []
    request = RunRequest(str(tiny_bundle), pipeline="text", seconds=3.0, batch=4, labels_file="x")
    settled = settle(request, told.append)
    assert settled == replace(request, variant="fp32", runtime="onnxruntime", device="cpu", threads=0)
    assert settle(settled, told.append) is settled


def test_errors_come_back_as_they_are(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no variant 'int2'"):
        settle(RunRequest(str(tiny_bundle), variant="int2"), lambda event: None)
    with pytest.raises(BundleError):
        settle(RunRequest(str(tmp_path / "none.edge")), lambda event: None)
