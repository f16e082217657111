"""Two devices in one load: the image tower on a simulated tensor processor, the text tower on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import edgekit
import qnn_bundle
import tiny_bundle as tiny
from edgekit.errors import RuntimeUnavailableError

CHIP = "qnn:QCS6490"
VARIANTS = {"image": qnn_bundle.VARIANT, "text": "fp32"}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return qnn_bundle.build(tmp_path_factory.mktemp("two"))


def test_each_tower_runs_on_its_own_device_and_explain_shows_it(two):
    with edgekit.load(two, variant=VARIANTS, device={"image": CHIP, "text": "cpu"}) as clip:
        found = clip.explain()
        assert set(found.placement["image"]) == {"qnn"}
        assert set(found.placement["text"]) == {"cpu"}
        assert (found.towers["image"].device, found.towers["text"].device) == (CHIP, "cpu")
        assert f"image tower: {qnn_bundle.VARIANT} on onnxruntime" in str(found)
        assert "nodes on qnn" in str(found)
        assert found.policy == "latency"
        photos = sorted(tiny.PHOTOS.glob("*.jpg"))
        mixed = clip.classify_many(photos, ["a cat", "a red cup"])
    with edgekit.load(two, variant="fp32", device="cpu") as clip:
        for ours, theirs in zip(mixed, clip.classify_many(photos, ["a cat", "a red cup"]), strict=True):
            assert {x.label: x.score for x in ours} == pytest.approx({x.label: x.score for x in theirs}, abs=0.05)


def test_embeddings_of_both_devices_share_one_space(two):
    photo = sorted(tiny.PHOTOS.glob("*.jpg"))[:1]
    with edgekit.load(two, variant=VARIANTS, device={"image": CHIP}) as mixed, edgekit.load(two) as plain:
        assert mixed.space == plain.space
        np.testing.assert_allclose(mixed.embed_images(photo) @ plain.embed_images(photo).T, 1, atol=1e-2)
        np.testing.assert_array_equal(mixed.embed_texts(["a cat"]), plain.embed_texts(["a cat"]))


def test_a_simulator_wins_by_no_policy_unless_it_is_named(two):
    for policy in ("latency", "power", "accuracy"):
        with edgekit.load(two, policy=policy) as clip:
            assert {one.device for one in clip.explain().towers.values()} == {"cpu"}


def test_a_tower_that_its_device_does_not_take_whole_is_refused_by_name(two):
    with pytest.raises(RuntimeUnavailableError, match=r"qnn:QCS6490"):
        edgekit.load(two, device={"text": CHIP}, towers=["text"])
