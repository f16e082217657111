"""The stages of `Clip`, for those who feed or time one by itself."""

from __future__ import annotations

import numpy as np
import pytest

import edgekit
import frozen_bundle
from edgekit.errors import ExecutionError, InputError, TextError
from edgekit.results import Label, ranked


def test_tokens_and_tower_make_the_embedding(tiny_bundle):
    texts = ["a photo of a cat", "two red bicycles"]
    with edgekit.load(tiny_bundle) as clip:
        ids = clip.token_ids(texts)
        assert ids.dtype == np.int32
        assert ids.shape[0] == 2
        np.testing.assert_array_equal(clip.tower("text").embed(ids), clip.embed_texts(texts))


def test_the_scorer_is_what_classify_ranks_with(tiny_bundle, photos):
    with edgekit.load(tiny_bundle) as clip:
        names, score = clip.scorer(["cat", "dog", "rocket"])
        table = score(clip.embed_images(photos[:2]))
        assert [ranked(names, row, 2) for row in table] == [
            tuple(clip.classify(photo, ["cat", "dog", "rocket"], top=2)) for photo in photos[:2]
        ]


def test_the_scorer_takes_frozen_labels_by_default(tmp_path, tiny_bundle):
    with edgekit.load(frozen_bundle.freeze(tmp_path / "frozen.edge")) as clip:
        assert tuple(clip.scorer()[0]) == frozen_bundle.NAMES
    with edgekit.load(tiny_bundle) as clip, pytest.raises(InputError, match="none are frozen"):
        clip.scorer()


def test_a_closed_clip_gives_no_stage(tiny_bundle):
    clip = edgekit.load(tiny_bundle)
    clip.close()
    for stage in (lambda: clip.tower("image"), lambda: clip.token_ids(["a"])):
        with pytest.raises(ExecutionError, match="closed"):
            stage()


def test_a_tower_that_was_not_loaded_is_named(tiny_bundle):
    with edgekit.load(tiny_bundle, towers=("image",)) as clip:
        clip.tower("image")
        with pytest.raises(ExecutionError, match="the text tower was not loaded"):
            clip.tower("text")


def test_tokens_of_what_is_no_text_are_refused(tiny_bundle):
    with edgekit.load(tiny_bundle) as clip, pytest.raises(TextError):
        clip.token_ids([3])


def test_equal_scores_keep_their_order():
    assert ranked(["a", "b", "c"], np.array([0.2, 0.6, 0.2]), None) == (
        Label("b", 0.6),
        Label("a", 0.2),
        Label("c", 0.2),
    )
