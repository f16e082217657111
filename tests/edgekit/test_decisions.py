"""Judgements are kept as long as nothing they depend on changes, and a device without a disk still works."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit import decisions, locations
from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.golden import GoldenCheck
from edgekit.results import Candidate
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from edgekit.results import Explanation

GOLDEN_RUNS = 2 + 4  # photos and texts of the tiny bundle
CHECK = GoldenCheck("image", Agreement(2, 1e-7, 1.0, 1.0, 0.99, 0.995), Tolerance(0.9, 0.8))
CANDIDATE = Candidate("fp32", "onnxruntime 1.2", "cpu", True, True, "", 1.5, (CHECK,))


def explained(bundle: object, **options: object) -> Explanation:
    with edgekit.load(bundle, **options) as clip:  # type: ignore[arg-type]
        return clip.explain()


def stored() -> list[Path]:
    return sorted((locations.cache_dir() / "decisions").glob("*"))


def test_the_second_load_runs_nothing(tiny_bundle: Path, spy: SpyRuntime) -> None:
    first = explained(tiny_bundle)
    assert not first.cached
    assert len(spy.runs) == GOLDEN_RUNS
    spy.forget()
    second = explained(tiny_bundle)
    assert second.cached
    assert not spy.runs
    assert second.chosen == first.chosen
    assert "judged at an earlier load" in str(second)
    assert len(stored()) == 1


def test_the_same_bundle_elsewhere_is_the_same(tiny_bundle: Path, tmp_path: Path, spy: SpyRuntime) -> None:
    explained(tiny_bundle)
    shutil.copy(tiny_bundle, tmp_path / "copy.edge")
    assert explained(tmp_path / "copy.edge").cached
    assert explained(tiny_bundle.read_bytes()).cached


def test_always_means_always(tiny_bundle: Path, spy: SpyRuntime) -> None:
    explained(tiny_bundle)
    spy.forget()
    assert not explained(tiny_bundle, check="always").cached
    assert len(spy.runs) == GOLDEN_RUNS


def test_an_edited_bundle_is_judged_again(tiny_bundle: Path, tmp_path: Path, spy: SpyRuntime) -> None:
    explained(tiny_bundle)
    edited = tiny.build(tmp_path / "b.edge", change=lambda manifest: replace(manifest, description="Edited."))
    assert not explained(edited).cached


@pytest.mark.parametrize(
    "options",
    [
        {"settings": edgekit.SessionSettings(threads=2)},
        {"settings": edgekit.SessionSettings(arena=False)},
        {"towers": ("image",)},
    ],
)
def test_other_settings_are_judged_again(tiny_bundle: Path, spy: SpyRuntime, options: dict[str, object]) -> None:
    explained(tiny_bundle)
    assert not explained(tiny_bundle, **options).cached
    assert explained(tiny_bundle, **options).cached
    assert explained(tiny_bundle).cached


def test_another_engine_version_is_judged_again(tiny_bundle: Path, spy: SpyRuntime) -> None:
    explained(tiny_bundle)
    spy.version = "10.0"
    assert not explained(tiny_bundle).cached
    spy.version = "9.9"
    assert explained(tiny_bundle).cached


def test_another_runtime_is_judged_again(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime())
    explained(tiny_bundle)
    install(monkeypatch, SpyRuntime(), SpyRuntime("another"))
    assert not explained(tiny_bundle).cached


def test_another_processor_is_judged_again(tiny_bundle: Path, spy: SpyRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    explained(tiny_bundle)
    monkeypatch.setattr(decisions, "processor", lambda: "x86_64\nmodel name: Other")
    assert not explained(tiny_bundle).cached


def test_another_edgekit_is_judged_again(tiny_bundle: Path, spy: SpyRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    explained(tiny_bundle)
    monkeypatch.setattr(decisions, "__version__", "99")
    assert not explained(tiny_bundle).cached


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"candidates": [], "chosen": 0}', b"\xff\xfe"])
def test_a_damaged_judgement_is_made_again(tiny_bundle: Path, spy: SpyRuntime, content: bytes) -> None:
    explained(tiny_bundle)
    (path,) = stored()
    path.write_bytes(content)
    assert not explained(tiny_bundle).cached
    assert explained(tiny_bundle).cached


def test_what_no_longer_opens_is_judged_again(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = SpyRuntime("one"), SpyRuntime("other", delay=0.02)
    install(monkeypatch, one, other)
    assert explained(tiny_bundle).chosen.runtime == "one 9.9"
    one.refuses = "out of memory"
    again = explained(tiny_bundle)
    assert not again.cached
    assert again.chosen.runtime == "other 9.9"
    assert "out of memory" in again.candidates[0].reason


def test_a_place_that_cannot_be_written_is_noted(
    tiny_bundle: Path, tmp_path: Path, spy: SpyRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        explanation = explained(tiny_bundle)
        assert not explanation.cached
        assert "could not be stored, so each load repeats it" in explanation.note
        assert f"note: {explanation.note}" in str(explanation)


def test_a_full_disk_is_noted(tiny_bundle: Path, spy: SpyRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decisions, "write_bytes", full)
    assert "No space left" in explained(tiny_bundle).note


def test_a_decision_comes_back_as_it_was(tmp_path: Path) -> None:
    refused = replace(CANDIDATE, accepted=False, reason='猫 "😀"\n', milliseconds=None)
    decision = decisions.Decision((refused, CANDIDATE), 1, {"a": "1:2"})
    assert decisions.store("name", decision) == ""
    assert decisions.recall("name") == decision
    assert decisions.recall("other") is None


def test_a_reason_that_is_not_utf8_is_stored_all_the_same() -> None:
    refused = replace(CANDIDATE, accepted=False, reason=os.fsdecode(b"caf\xe9: no"))
    assert decisions.store("name", decisions.Decision((refused, CANDIDATE), 1, {"a": "1:2"})) == ""
    found = decisions.recall("name")
    assert found is not None
    assert found.candidates[0].reason == "caf?: no"


def test_a_decision_out_of_range_is_forgotten() -> None:
    decisions.store("name", decisions.Decision((CANDIDATE,), 1, {}))
    assert decisions.recall("name") is None
    decisions.store("name", decisions.Decision((CANDIDATE,), -1, {}))
    assert decisions.recall("name") is None


def test_keys_are_digests_of_everything() -> None:
    assert decisions.key({"a": 1}) == decisions.key({"a": 1})
    assert decisions.key({"a": 1}) != decisions.key({"a": 2})
    assert len(decisions.key({"a": edgekit.SessionSettings()})) == 64


def test_a_processor_is_what_its_flags_say(monkeypatch: pytest.MonkeyPatch) -> None:
    core = "processor\t: 0\nmodel name\t: Cortex\nflags\t\t: a b\ncpu MHz\t\t: {}\n\n"
    text = core + "processor\t: 1\nmodel name\t: Cortex\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text.format(1000))
    slow = decisions.processor()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text.format(2000))
    assert decisions.processor() == slow  # the clock is not what the chip is
    assert slow.splitlines()[1:] == ["flags\t\t: a b", "model name\t: Cortex"]


def test_a_system_without_cpuinfo_is_known_by_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert "\n" not in decisions.processor()
