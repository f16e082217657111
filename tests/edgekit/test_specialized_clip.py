"""The SDK on a bundle whose labels are frozen: the same scores, a closed vocabulary, and clear refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, ExecutionError, InputError, RuntimeUnavailableError, TextError
from edgekit.verification import verify
from frozen_bundle import NAMES, freeze, npy, vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit import Clip
    from edgekit.bundle.label_records import HeadKind


@pytest.fixture(scope="module", name="closed")
def _closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return freeze(tmp_path_factory.mktemp("frozen") / "closed.edge")


@pytest.fixture
def clip(closed: Path) -> Iterator[Clip]:
    with edgekit.load(closed) as clip:
        yield clip


def test_frozen_labels_score_as_the_full_model_does(clip: Clip, tiny_bundle: Path, photos: list[Path]) -> None:
    assert clip.labels == NAMES
    with edgekit.load(tiny_bundle) as full:
        assert full.labels == ()
        wanted = full.classify_many(photos, NAMES)
        some = full.classify(photos[0], NAMES[1:3])
        assert clip.space == full.space
        np.testing.assert_array_equal(clip.embed_images(photos), full.embed_images(photos))
    for found, reference in zip(clip.classify_many(photos), wanted, strict=True):
        assert [label.label for label in found] == [label.label for label in reference]
        for one, other in zip(found, reference, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-6)
    assert clip.classify(photos[0], list(NAMES[1:3]))[0].score == pytest.approx(some[0].score, abs=1e-6)
    assert len(clip.classify(photos[0], top=2)) == 2


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda c, p: c.embed_texts(["a cat"]), InputError, "no text tower.*--keep-text"),
        (lambda c, p: c.similarity([p], ["a cat"]), InputError, "no text tower"),
        (lambda c, p: c.classify(p, ["cat", "cow"]), TextError, "'cow' is not among the bundle's 4 frozen"),
        (lambda c, p: c.classify(p, []), TextError, "the list of labels is empty"),
        (lambda c, p: c.classify(p, "cat"), InputError, r"write \[label\]"),
        (lambda c, p: c.classify(p, templates=["a {}"]), InputError, "leave templates out"),
        (lambda c, p: c.classify(p, ["cat"], templates=["a {}"]), InputError, "templates are frozen"),
        (lambda c, p: c.classify(p, top=0), InputError, "top must be at least 1"),
        (lambda c, p: c.embed_labels(["cow"]), TextError, "'cow' is not among"),
    ],
    ids=["texts", "similarity", "unknown", "none", "one", "templates", "both", "top", "vector"],
)
def test_what_a_closed_vocabulary_cannot_do_is_told(
    clip: Clip, photos: list[Path], call: Any, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        call(clip, photos[0])


def test_vectors_of_labels_are_the_stored_ones(clip: Clip) -> None:
    np.testing.assert_array_equal(clip.embed_labels(["rocket", "cat"]), vectors()[[3, 0]])


def test_towers_are_what_there_is(closed: Path) -> None:
    with pytest.raises(InputError, match="has no text tower"):
        edgekit.load(closed, towers=("image", "text"))
    with edgekit.load(closed, towers=("image",)) as clip:
        assert list(clip.explain().placement) == ["image"]
        assert clip.labels == NAMES


def test_a_bundle_without_frozen_labels_asks_for_some(tiny_bundle: Path, photos: list[Path]) -> None:
    with edgekit.load(tiny_bundle) as clip, pytest.raises(InputError, match="none are frozen"):
        clip.classify(photos[0])


def test_a_kept_tower_scores_other_labels_and_the_frozen_ones(tmp_path: Path, photos: list[Path]) -> None:
    path = freeze(tmp_path / "kept.edge", keep_text=True, head="ridge")
    with edgekit.load(path) as clip, edgekit.load(tiny.build(tmp_path / "full.edge")) as full:
        given = clip.classify(photos[0], ["a red car", "cat"])
        assert given == full.classify(photos[0], ["a red car", "cat"])
        # What is given goes through the text tower, what is frozen through what was tuned.
        assert {x.label: x.score for x in clip.classify(photos[0])} != {
            x.label: x.score for x in clip.classify(photos[0], NAMES)
        }
        with pytest.raises(InputError, match="leave templates out"):
            clip.classify(photos[0], templates=["a {}"])
        assert clip.embed_texts(["cat"]).shape == (1, clip.dimension)
    with edgekit.load(path, towers=("image",)) as clip:
        assert len(clip.classify(photos[0])) == len(NAMES)
        with pytest.raises(ExecutionError, match="text tower was not loaded"):
            clip.classify(photos[0], ["cat"])


@pytest.mark.parametrize("head", [None, "ridge", "cache"], ids=str)
def test_every_head_is_proven(tmp_path: Path, head: HeadKind | None) -> None:
    found = verify(open_bundle(freeze(tmp_path / "a.edge", head=head)))
    assert found.passed
    assert (found.texts, found.labels) == (0, len(NAMES))
    assert found.scores_max <= 1e-6


def test_wrong_scores_are_caught_at_load_and_at_verify(tmp_path: Path) -> None:
    wrong = freeze(tmp_path / "a.edge", extra={"labels/scores.npy": npy(np.full((2, 4), 0.25, np.float32))})
    with pytest.raises(RuntimeUnavailableError, match="frozen labels' scores differ"):
        edgekit.load(wrong)
    with pytest.raises(edgekit.EdgekitError, match="frozen labels' scores differ"):
        verify(open_bundle(wrong))


def test_a_damaged_array_stops_the_load(tmp_path: Path) -> None:
    wrong = freeze(tmp_path / "a.edge", extra={"labels/vectors.npy": b"not an array"})
    with pytest.raises(BundleError, match=r"vectors\.npy: not a NumPy array"):
        edgekit.load(wrong)


def test_a_wrong_image_tower_is_still_caught(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="wrong numbers"):
        edgekit.load(freeze(tmp_path / "a.edge", variants=("wrong",)))
    with edgekit.load(freeze(tmp_path / "b.edge", variants=("wrong", "fp32"))) as clip:
        assert clip.explain().chosen.variant == "fp32"


def test_the_decision_is_cached(closed: Path) -> None:
    edgekit.load(closed).close()
    with edgekit.load(closed) as clip:
        assert clip.explain().cached
        assert clip.labels == NAMES


def test_tuning_times_the_image_tower_alone(closed: Path) -> None:
    found = edgekit.tune(closed, minutes=0.2, threads=(1,))
    assert found.chosen.cost is not None
    assert list(found.chosen.cost.towers) == ["image"]
    with edgekit.load(closed) as clip:
        assert clip.explain().tuned == found.date
