"""A stored tuning is used by the loads that it fits, and by no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit import decisions
from edgekit.bundle.reader import open_bundle
from edgekit.decisions import Decision
from edgekit.results import Candidate, Cost
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tuning import store
from edgekit.tuning.store import Tuned
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.results import Explanation

OPTIONS = (("flush_denormals", "1"),)
TUNED = SessionSettings(threads=1, options=OPTIONS)
COST = Cost(0.9, 1.1, {"image": 0.6, "text": 0.4}, 20.0, 80.5)
BEST = Candidate("static", "onnxruntime 9.9", "cpu", True, True, "", 1.0, (), 1, OPTIONS, COST)
WORSE = Candidate("fp32", "onnxruntime 9.9", "cpu", True, False, "ended by SIGSEGV; it printed nothing", None, (), 1)


class Listening(SpyRuntime):
    """Writes down the settings of every session."""

    def open(self, artifact: Any, device: str, settings: SessionSettings) -> Any:
        self.settings = settings
        return super().open(artifact, device, settings)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("two") / "two.edge", variants=("fp32", "static"))


@pytest.fixture
def engine(two: Path, monkeypatch: pytest.MonkeyPatch) -> Listening:
    """The only runtime, with a tuning of `two` stored for it."""
    engine = Listening()
    install(monkeypatch, engine)
    keep(two)
    return engine


def keep(bundle: Path, towers: Any = ("image", "text"), chosen: Candidate = BEST, **engines: str) -> None:
    tuned = Tuned("2026-01-31", "pair", engines or {"onnxruntime": "9.9"}, Decision((WORSE, chosen), 1, {}))
    assert store.store(open_bundle(bundle), towers, tuned) == ""


def explained(bundle: Path, **options: Any) -> Explanation:
    with edgekit.load(bundle, **options) as clip:
        return clip.explain()


def test_a_load_with_no_further_words_uses_it(two: Path, engine: Listening) -> None:
    found = explained(two)
    assert found.chosen == BEST
    assert found.tuned == "2026-01-31"
    assert engine.settings == TUNED
    assert not engine.runs  # nothing was judged again
    text = str(found)
    assert "chosen: static on onnxruntime 9.9 (cpu, 1 thread, flush_denormals=1)  1.0 ms (0.9 to 1.1)  ok" in text
    assert "(edgekit tune, 2026-01-31)" in text
    assert "also: fp32 on onnxruntime 9.9 (cpu, 1 thread)  refused: ended by SIGSEGV; it printed nothing" in text


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "static"},
        {"runtime": "onnxruntime"},
        {"device": "cpu"},
        {"settings": TUNED},
        {"towers": ("image",)},
        {"check": "always"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_words_that_fit_use_it_too(two: Path, engine: Listening, options: dict[str, Any]) -> None:
    assert explained(two, **options).tuned == "2026-01-31"


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "fp32"},
        {"settings": SessionSettings()},
        {"settings": replace(TUNED, threads=2)},
        {"settings": replace(TUNED, spinning=False)},
    ],
    ids=["variant", "settings", "threads", "spinning"],
)
def test_other_words_win(two: Path, engine: Listening, options: dict[str, Any]) -> None:
    found = explained(two, **options)
    assert not found.tuned
    assert found.chosen.threads == 0
    assert engine.settings == options.get("settings", SessionSettings())


def test_another_device_wins(two: Path, engine: Listening) -> None:
    engine.offers = ("cpu", "npu")
    assert explained(two).tuned
    assert explained(two, device="npu").chosen.device == "npu"


def test_another_version_makes_it_stale(two: Path, engine: Listening) -> None:
    engine.version = "10.0"
    assert not explained(two).tuned


def test_a_new_engine_makes_it_stale_unless_it_is_set_aside(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime(), SpyRuntime("another"))
    keep(two)
    assert not explained(two).tuned
    assert explained(two, runtime="onnxruntime").tuned


def test_an_engine_that_went_away_matters_only_if_it_was_chosen(two: Path, engine: Listening) -> None:
    keep(two, onnxruntime="9.9", gone="1.0")
    assert explained(two).tuned
    keep(two, chosen=replace(BEST, runtime="gone 1.0"), onnxruntime="9.9", gone="1.0")
    assert not explained(two).tuned


def test_another_processor_makes_it_stale(two: Path, engine: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "processor", lambda: "other")
    assert not explained(two).tuned


def test_another_bundle_is_another_matter(two: Path, tmp_path: Path, engine: Listening) -> None:
    other = tiny.build(tmp_path / "two.edge", variants=("fp32", "static"), seed=1)
    assert not explained(other).tuned
    assert explained(two.read_bytes()).tuned  # type: ignore[arg-type]


def test_one_tower_has_its_own_tuning_if_there_is_one(two: Path, engine: Listening) -> None:
    keep(two, ("image",), replace(BEST, variant="fp32"))
    assert explained(two, towers=("image",)).chosen.variant == "fp32"
    assert explained(two, towers=("text",)).chosen.variant == "static"
    assert explained(two).chosen.variant == "static"


def test_what_no_longer_opens_is_left(two: Path, engine: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    class Choosy(SpyRuntime):
        def open(self, artifact: Any, device: str, settings: SessionSettings) -> Any:
            if settings.threads == 1:
                from edgekit.errors import ExecutionError

                raise ExecutionError("no more single threads")
            return super().open(artifact, device, settings)

    install(monkeypatch, Choosy())
    assert not explained(two).tuned


def test_numbers_that_went_wrong_since_are_noticed_when_always_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    bundle = tiny.build(tmp_path / "b.edge", variants=("wrong", "fp32"))
    keep(bundle, chosen=replace(BEST, variant="wrong"))
    assert explained(bundle).chosen.variant == "wrong"
    assert explained(bundle, check="always").chosen.variant == "fp32"
    assert not spy.opened


@pytest.mark.parametrize("content", [b"", b"{", b'{"date": 7}'])
def test_a_damaged_tuning_is_none(two: Path, engine: Listening, content: bytes) -> None:
    from edgekit import locations

    for path in (locations.cache_dir() / "decisions").iterdir():
        path.write_bytes(content)
    assert not explained(two).tuned


def test_a_tuning_out_of_range_is_none(two: Path, engine: Listening) -> None:
    tuned = Tuned("2026-01-31", "pair", {"onnxruntime": "9.9"}, Decision((BEST,), 1, {}))
    store.store(open_bundle(two), ("image", "text"), tuned)
    assert store.recall(open_bundle(two), ("image", "text")) is None


def test_it_comes_back_as_it_was(two: Path, engine: Listening) -> None:
    tuned = store.recall(open_bundle(two), ("image", "text"))
    assert tuned is not None
    assert tuned == Tuned("2026-01-31", "pair", {"onnxruntime": "9.9"}, Decision((WORSE, BEST), 1, {}))
    assert tuned.settings == TUNED


def test_candidates_not_tried_are_noted(two: Path, engine: Listening) -> None:
    late = replace(WORSE, ran=False, reason="not tried: the time for tuning was up; give more --minutes")
    tuned = Tuned("2026-01-31", "pair", {"onnxruntime": "9.9"}, Decision((late, BEST), 1, {}))
    store.store(open_bundle(two), ("image", "text"), tuned)
    assert (
        "1 of 2 candidates were not tried for lack of time; give 'edgekit tune' more --minutes" in explained(two).note
    )
