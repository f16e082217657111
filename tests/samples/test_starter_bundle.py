"""The packaged starter bundle: its size, its space, and what its text tower can and cannot tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.bundle.reader import open_bundle

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "samples" / "starter.edge"
MEGABYTES = 9.0


@pytest.fixture(scope="module", name="clip")
def _clip():
    with edgekit.load("starter") as loaded:
        yield loaded


def test_it_is_small():
    assert BUNDLE.stat().st_size <= MEGABYTES * 1e6
    manifest = open_bundle(BUNDLE).manifest
    sizes = {file.path: file.size for file in manifest.files}
    (variant,) = manifest.variants
    assert sizes[variant.text.artifact] + sum(sizes[path] for path in variant.text.sidecars) < 2.2e6
    assert sizes[manifest.text.tokenizer] < 0.45e6


def test_its_history_names_the_distillation_and_its_teacher():
    steps = {step.action: step.details for step in open_bundle(BUNDLE).manifest.provenance}
    assert "distill" in " ".join(steps)
    assert any("teacher" in key for details in steps.values() for key in details)


def test_its_card_says_what_the_text_tower_cannot_do():
    card = bytes(open_bundle(BUNDLE).read("card.md")).decode()
    assert "order" in card
    assert "negation" in card


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("a kitten", "a cat", "a truck"),
        ("an automobile", "a car", "a banana"),
        ("a big brown bear in the snow", "a bear", "a spoon"),
        ("espresso", "a cup of coffee", "a violin"),
        ("a photo of a sailing boat", "a ship", "a dog"),
    ],
    ids=["kitten", "automobile", "bear", "espresso", "boat"],
)
def test_texts_of_like_meaning_are_near(clip, text, near, far):
    rows = clip.embed_texts([text, near, far])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_rows_have_length_one_whatever_the_text(clip):
    rows = clip.embed_texts(["a dog", "", "日本語", "a dog " * 100, "🐕"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert np.isfinite(rows).all()


def test_it_does_not_know_the_order_of_words(clip):
    """A limit that its card states; should a later tower know it, card and test change together."""
    first, second = clip.embed_texts(["a man bites a dog", "a dog bites a man"])
    assert first @ second > 0.999
