"""A first load is bounded in time, begins with what is most promising, and says what it did not try."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.manifest import Agreement, Fidelity, Retrieval, Share
from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.runtimes.protocol import SessionSettings
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.manifest import Manifest
    from edgekit.results import Explanation

SAME = Agreement(9, 0.0, 1.0, 1.0, 1.0, 1.0)
ALL = Retrieval(Share(1.0, 0.0, 9), Share(1.0, 0.0, 9))
MEASURED = Fidelity("photos", "0" * 64, SAME, SAME, ALL, ALL)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("two") / "two.edge", variants=("fp32", "static"))


def explained(bundle: Path, **options: Any) -> Explanation:
    with edgekit.load(bundle, **options) as clip:
        return clip.explain()


def test_when_the_time_is_over_the_best_so_far_is_taken(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime(offers=("npu", "cpu"))
    install(monkeypatch, spy)
    found = explained(two, budget=0)
    assert [(c.variant, c.device, c.ran, c.untried) for c in found.candidates] == [
        ("fp32", "npu", True, False),
        ("fp32", "cpu", False, True),
        ("static", "npu", False, True),
        ("static", "cpu", False, True),
    ]
    assert found.chosen == found.candidates[0]
    assert found.note == "3 of 4 candidates were not tried for lack of time; run 'edgekit tune'"
    assert "also: static on onnxruntime 9.9 (cpu)  not tried: the 0 s for choosing were over" in str(found)
    assert not spy.opened


def test_the_search_goes_on_until_something_is_accepted(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("a", refuses="no"), SpyRuntime("b"), SpyRuntime("c"))
    found = explained(two, budget=0)
    assert [(c.runtime, c.variant, c.accepted, c.untried) for c in found.candidates[:4]] == [
        ("a 9.9", "fp32", False, False),
        ("b 9.9", "fp32", True, False),
        ("c 9.9", "fp32", False, True),
        ("a 9.9", "static", False, True),
    ]


def test_a_choice_made_in_haste_holds_for_those_in_as_much_haste(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime(offers=("npu", "cpu"), delay=0.001)
    install(monkeypatch, spy)
    hasty = 1e-6
    assert not explained(two, budget=hasty).cached
    again = explained(two, budget=hasty)
    assert again.cached
    assert "not tried for lack of time" in again.note
    patient = explained(two)
    assert not patient.cached
    assert not patient.note
    assert all(c.accepted for c in patient.candidates)
    assert explained(two, budget=hasty).cached  # and a complete judgement holds for everybody


def test_the_time_counts_what_candidates_take(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Slow(SpyRuntime):
        def open(self, artifact: Any, device: Any, settings: Any) -> Any:
            clock[0] += 10  # for each of the two towers
            return super().open(artifact, device, settings)

    install(monkeypatch, Slow(offers=("a", "b", "c")))
    assert [c.untried for c in explained(two, budget=30).candidates] == [False, False, True, True, True, True]


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_wrong_budget_is_told(two: Path, budget: float) -> None:
    with pytest.raises(InputError, match="budget is"):
        edgekit.load(two, budget=budget)


def test_a_variant_with_measured_fidelity_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(manifest: Manifest) -> Manifest:
        first, *others = manifest.variants
        return replace(manifest, variants=(first, *(replace(v, fidelity=MEASURED) for v in others)))

    bundle = tiny.build(tmp_path / "b.edge", variants=("fp32", "static"), change=measured)
    install(monkeypatch, SpyRuntime(offers=("npu", "cpu")))
    found = explained(bundle)
    assert [(c.variant, c.device) for c in found.candidates] == [
        ("static", "npu"),
        ("static", "cpu"),
        ("fp32", "npu"),
        ("fp32", "cpu"),
    ]


def test_a_family_of_devices_competes_only_when_a_member_is_named(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime(offers=("cpu", "delegate:"))
    install(monkeypatch, spy)
    assert {c.device for c in explained(two).candidates} == {"cpu"}
    assert explained(two, device="delegate:/lib/npu.so").chosen.device == "delegate:/lib/npu.so"
    for device in ("delegate:", "delegat", "npu:/x"):
        with pytest.raises(RuntimeUnavailableError, match=r"offers no device .* here, only cpu, delegate:PATH"):
            edgekit.load(two, device=device)
    install(monkeypatch, SpyRuntime(offers=("delegate:",)))
    with pytest.raises(RuntimeUnavailableError, match="no device that competes by itself; name one: delegate:PATH"):
        edgekit.load(two)


def test_a_setting_that_an_engine_does_not_know_is_not_the_variants_fault(two: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime has no option 'turbo'"):
        edgekit.load(two, runtime="onnxruntime", settings=SessionSettings(options=(("turbo", "1"),)))


def test_wrong_numbers_point_to_what_may_cure_them(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=("wrong",))
    with pytest.raises(RuntimeUnavailableError) as caught:
        edgekit.load(bundle, runtime="onnxruntime")
    assert str(caught.value).splitlines()[-1].startswith("'edgekit tune' also tries settings")
