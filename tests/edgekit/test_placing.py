"""Each tower placed by itself: mappings, policies, what is remembered, and what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.placing import default_settings
from spy_runtime import SpyRuntime, install


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("two") / "two.edge", variants=("fp32", "wrong", "wrong_text"))


class TowerSpy(SpyRuntime):
    """An engine that is slow on one tower."""

    def open(self, artifact: Any, device: str, settings: Any) -> Any:
        session = super().open(artifact, device, settings)
        if not artifact.name.endswith(f"{self.slow}.onnx"):
            return session
        run = session.run
        session.run = lambda inputs: (__import__("time").sleep(0.02), run(inputs))[1]
        return session

    slow = "image"


def slow_on(name: str, tower: str) -> TowerSpy:
    spy = TowerSpy(name)
    spy.slow = tower
    return spy


def test_by_latency_each_tower_goes_where_it_is_fastest(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, images = slow_on("quick-texts", "image"), slow_on("quick-images", "text")
    install(monkeypatch, texts, images)
    with edgekit.load(two, policy="latency") as clip:
        towers = clip.explain().towers
        assert towers["image"].runtime == "quick-images 9.9"
        assert towers["text"].runtime == "quick-texts 9.9"
        # What lost is closed again.
        assert [len(images.opened), len(texts.opened)] == [1, 1]
        assert clip.classify(sorted(tiny.PHOTOS.glob("*.jpg"))[0], ["a cat", "a dog"])
    assert not images.opened
    assert not texts.opened


def test_without_a_policy_both_towers_are_one(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, slow_on("quick-texts", "image"), slow_on("quick-images", "text"))
    with edgekit.load(two) as clip:
        found = clip.explain()
        assert found.towers == {}
        assert found.policy == ""
        assert found.chosen.runtime in ("quick-texts 9.9", "quick-images 9.9")


def test_a_variant_with_one_wrong_tower_may_still_give_the_other(two: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="wrong numbers"):
        edgekit.load(two, variant="wrong")
    with edgekit.load(two, variant={"image": "wrong_text", "text": "wrong"}) as clip:
        towers = clip.explain().towers
        assert (towers["image"].variant, towers["text"].variant) == ("wrong_text", "wrong")


def test_devices_and_settings_go_to_their_towers(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npu, cpu = SpyRuntime("npu", offers=("npu",)), SpyRuntime("host")
    install(monkeypatch, npu, cpu)
    with edgekit.load(
        two,
        variant="fp32",
        device={"image": "npu", "text": "cpu"},
        settings={"image": edgekit.SessionSettings(threads=2)},
    ) as clip:
        clip.embed_images([sorted(tiny.PHOTOS.glob("*.jpg"))[0]])
        clip.embed_texts(["a cat"])
        towers = clip.explain().towers
    assert (towers["image"].runtime, towers["text"].runtime) == ("npu 9.9", "host 9.9")
    assert not npu.batches("text")
    assert not cpu.batches("image")
    assert npu.batches("image")
    assert cpu.batches("text")


def test_a_tower_that_is_not_named_is_left_open(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("npu", offers=("npu",), delay=0.01), SpyRuntime("host"))
    with edgekit.load(two, device={"image": "npu"}) as clip:
        assert {name: one.device for name, one in clip.explain().towers.items()} == {"image": "npu", "text": "cpu"}
    # A tower that is named and not opened is no error: a caller may keep one mapping for all its loads.
    with edgekit.load(two, device={"image": "npu", "text": "cpu"}, towers=["text"]) as clip:
        assert set(clip.explain().towers) == {"text"}


def test_the_second_load_remembers_each_tower(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime("engine")
    install(monkeypatch, spy)
    for policy in ("latency", "accuracy", "power"):
        edgekit.load(two, policy=policy).close()
        spy.forget()
        with edgekit.load(two, policy=policy) as clip:
            assert clip.explain().cached
            assert not spy.runs
    with edgekit.load(two, policy="power", check="always") as clip:
        assert not clip.explain().cached
        assert spy.runs


def test_accuracy_takes_the_closest_however_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from edgekit.bundle.manifest import Tolerance

    def loosen(manifest: Any) -> Any:
        any_cosine = Tolerance(-1.0, -1.0)
        return replace(
            manifest,
            variants=tuple(
                replace(v, image=replace(v.image, tolerance=any_cosine), text=replace(v.text, tolerance=any_cosine))
                for v in manifest.variants
            ),
        )

    bundle = tiny.build(tmp_path / "loose.edge", variants=("wrong", "fp32"), change=loosen)
    install(monkeypatch, SpyRuntime("engine"))
    with edgekit.load(bundle, policy="accuracy") as clip:
        found = clip.explain()
        assert found.towers["image"].variant == "fp32"
        assert {one.variant for one in found.candidates if one.accepted} == {"wrong", "fp32"}


def test_explain_says_what_each_tower_was_chosen_for(two: Path) -> None:
    with edgekit.load(two, policy="power") as clip:
        lines = str(clip.explain()).splitlines()
    assert lines[1].startswith("chosen for power: image tower: ")
    assert lines[2].startswith("chosen for power: text tower: ")
    assert any(line.startswith("also: image tower: wrong on") and "refused" in line for line in lines)
    assert sum(" nodes on cpu" in line for line in lines) == 2


def test_when_one_tower_cannot_be_placed_the_other_is_closed(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime("engine")
    install(monkeypatch, spy)
    with pytest.raises(RuntimeUnavailableError, match="no device 'npu'"):
        edgekit.load(two, device={"image": "cpu", "text": "npu"})
    assert not spy.opened


def test_power_does_not_spin() -> None:
    assert not default_settings("power").spinning
    assert default_settings("latency").spinning


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"policy": "speed"}, "policy is 'speed'; give one of latency, power, accuracy"),
        ({"device": {"picture": "cpu"}}, "device: 'picture' is no tower; there are image, text"),
        ({"variant": {"image": "fp16"}}, "has no variant 'fp16'"),
        ({"settings": {1: None}}, "settings: 1 is no tower"),
    ],
)
def test_what_is_wrong_is_told(two: Path, arguments: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        edgekit.load(two, **arguments)
