"""Zero-shot classification: ranking, prompt ensembling, and scores as the model was trained to give them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.manifest import EmbeddingSpec
from edgekit.errors import ImageError, InputError, TextError
from edgekit.scoring import rank, scores
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit import Clip

LABELS = ["cat", "dog", "red rocket", "cup of coffee", "temple"]
SPEC = EmbeddingSpec("s", 16, 20.0, 0.0, "softmax")


@pytest.fixture
def clip(tiny_bundle: Path) -> Iterator[Clip]:
    with edgekit.load(tiny_bundle) as clip:
        yield clip


@pytest.fixture
def photo(photos: list[Path]) -> Path:
    return photos[0]


def test_labels_come_best_first_with_scores_that_add_up(clip: Clip, photo: Path) -> None:
    result = clip.classify(photo, LABELS)
    assert result.image == str(photo)
    assert sorted(label.label for label in result) == sorted(LABELS)
    found = [label.score for label in result]
    assert found == sorted(found, reverse=True)
    assert sum(found) == pytest.approx(1)
    assert result.best == result[0]


def test_the_scores_are_the_formula(clip: Clip, photo: Path) -> None:
    import torch

    image = torch.from_numpy(clip.embed_images([photo])).double()
    text = torch.from_numpy(clip.embed_texts([f"a photo of {label}" for label in LABELS])).double()
    wanted = (20.0 * image @ text.T).softmax(dim=1)[0]
    found = {label.label: label.score for label in clip.classify(photo, LABELS)}
    assert [found[label] for label in LABELS] == pytest.approx(wanted.tolist(), rel=1e-6)


def test_sigmoid_scores_are_the_formula(tmp_path: Path, photo: Path) -> None:
    import torch

    spec = replace(SPEC, space="x", logit_scale=11.0, logit_bias=-1.5, scores="sigmoid")
    bundle = tiny.build(tmp_path / "s.edge", change=lambda manifest: replace(manifest, embedding=spec))
    with edgekit.load(bundle) as clip:
        cosines = torch.from_numpy(clip.similarity([photo], [f"a photo of {label}" for label in LABELS])).double()
        wanted = torch.sigmoid(11.0 * cosines - 1.5)[0]
        found = {label.label: label.score for label in clip.classify(photo, LABELS)}
    assert [found[label] for label in LABELS] == pytest.approx(wanted.tolist(), rel=1e-5)
    assert sum(found.values()) != pytest.approx(1)


def test_templates_are_averaged_in_embedding_space(clip: Clip) -> None:
    templates = ["a photo of {}", "one small {} on the sky", "{}"]
    rows = clip.embed_labels(LABELS, templates=templates)
    prompts = np.stack([clip.embed_texts([t.replace("{}", label) for t in templates]) for label in LABELS])
    means = prompts.astype(np.float64).mean(axis=1)
    wanted = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, wanted, atol=1e-6)
    assert rows.dtype == np.float32


def test_the_bundles_own_template_is_the_default(clip: Clip) -> None:
    assert clip.manifest.text.templates == ("a photo of {}",)
    np.testing.assert_array_equal(clip.embed_labels(["cat"]), clip.embed_texts(["a photo of cat"]))
    np.testing.assert_array_equal(clip.embed_labels(["cat"], templates=["{}"]), clip.embed_texts(["cat"]))


def test_braces_in_a_label_mean_nothing(clip: Clip) -> None:
    np.testing.assert_array_equal(
        clip.embed_labels(["{} {0} {x}"], templates=["a {}"]), clip.embed_texts(["a {} {0} {x}"])
    )


def test_top_keeps_the_best(clip: Clip, photo: Path) -> None:
    every = clip.classify(photo, LABELS)
    assert list(clip.classify(photo, LABELS, top=2)) == list(every)[:2]
    assert len(clip.classify(photo, LABELS, top=99)) == len(LABELS)
    for top in (0, -1):
        with pytest.raises(InputError, match=f"top must be at least 1, got {top}"):
            clip.classify(photo, LABELS, top=top)


def test_one_label_is_certain(clip: Clip, photo: Path) -> None:
    assert clip.classify(photo, ["cat"]).best.score == 1


@pytest.mark.parametrize(
    ("labels", "options", "kind", "told"),
    [
        ([], {}, TextError, "the list of labels is empty"),
        ("cat", {}, InputError, r"write \[label\]"),
        (b"cat", {}, InputError, r"write \[label\]"),
        ((label for label in "ab"), {}, InputError, "expected a list of labels"),
        (None, {}, InputError, "expected a list of labels"),
        ([7], {}, TextError, "label is int"),
        (["cat"], {"templates": []}, TextError, "the list of templates is empty"),
        (["cat"], {"templates": ["a photo"]}, TextError, "exactly one"),
        (["cat"], {"templates": ["{} {}"]}, TextError, "exactly one"),
        (["cat"], {"templates": [7]}, TextError, "template 0 is int"),
        (["cat"], {"templates": "a photo of {}"}, InputError, r"write \[template\]"),
    ],
)
def test_wrong_use_is_told(
    clip: Clip, photo: Path, labels: Any, options: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        clip.classify(photo, labels, **options)


def test_a_broken_photo_is_named(clip: Clip) -> None:
    with pytest.raises(ImageError, match=r"^<bytes>"):
        clip.classify(b"no photo", LABELS)


def test_many_photos_are_many_results_in_order(clip: Clip, photos: list[Path]) -> None:
    results = clip.classify_many(photos, LABELS, top=1)
    assert [result.image for result in results] == [str(photo) for photo in photos]
    for result, photo in zip(results, photos, strict=True):
        assert result.best.label == clip.classify(photo, LABELS).best.label
        assert result.best.score == pytest.approx(clip.classify(photo, LABELS).best.score, rel=1e-4)
    assert clip.classify_many([], LABELS) == []


def test_each_source_has_a_name(clip: Clip) -> None:
    array = np.zeros((8, 8, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    sources = [stream.getvalue(), array, Image.fromarray(array)]
    assert [result.image for result in clip.classify_many(sources, ["cat"])] == ["<bytes>", "<array>", "<Image>"]


def test_the_channel_order_is_passed_on(clip: Clip) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    rgb = clip.classify(image, LABELS)
    assert clip.classify(image[..., ::-1], LABELS, channel_order="bgr") == rgb
    np.testing.assert_array_equal(
        clip.similarity([image[..., ::-1]], ["cat"], channel_order="bgr"), clip.similarity([image], ["cat"])
    )


def test_labels_are_embedded_once(tiny_bundle: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with edgekit.load(tiny_bundle) as clip:
        clip.classify(photo, LABELS)
        spy.forget()
        clip.classify(photo, LABELS[::-1])
        assert spy.batches("text") == []
        assert spy.batches("image") == [1]


def test_similarity_is_the_cosine(clip: Clip, photos: list[Path]) -> None:
    texts = ["a cat", "a dog", "a cup"]
    found = clip.similarity(photos[:4], texts)
    assert (found.shape, found.dtype) == ((4, 3), np.float32)
    np.testing.assert_allclose(found, clip.embed_images(photos[:4]) @ clip.embed_texts(texts).T, atol=1e-6)
    assert clip.similarity([], texts).shape == (0, 3)
    assert clip.similarity(photos[:2], []).shape == (2, 0)


ROWS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))


@hypothesis_settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 5), st.integers(1, 7), st.floats(0.1, 1e4), st.floats(-100, 100), st.booleans())
def test_scores_agree_with_torch_at_every_scale(
    random: np.random.Generator, images: int, labels: int, scale: float, bias: float, sigmoid: bool
) -> None:
    import torch

    left, right = (random.normal(size=(n, 16)).astype(np.float32) for n in (images, labels))
    spec = EmbeddingSpec("s", 16, scale, bias, "sigmoid" if sigmoid else "softmax")
    with np.errstate(all="raise", under="ignore"):
        found = scores(left, right, spec)
    logits = scale * torch.from_numpy(left).double() @ torch.from_numpy(right).double().T + bias
    wanted = torch.sigmoid(logits) if sigmoid else logits.softmax(dim=1)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6, atol=1e-12)
    assert found.dtype == np.float64
    assert found.shape == (images, labels)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=9), st.none() | st.integers(1, 12))
def test_ranking_is_stable(values: list[float], top: int | None) -> None:
    wanted = sorted(range(len(values)), key=lambda i: -values[i])
    assert rank(np.array(values), top) == wanted[:top]
