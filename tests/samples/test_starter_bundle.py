"""The packaged starter bundle: its space, and what its text tower can tell apart."""

from __future__ import annotations

import numpy as np
import pytest

import edgekit


@pytest.fixture(scope="module", name="clip")
def _clip():
    with edgekit.load("starter") as loaded:
        yield loaded


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
