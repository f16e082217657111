"""Frozen labels: their arrays are read with suspicion, and score as plain arithmetic does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import frozen_labels, golden
from edgekit.bundle.manifest import EmbeddingSpec
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, GoldenError, TextError
from edgekit.frozen_labels import FrozenLabels, Head
from frozen_bundle import EXAMPLES, NAMES, freeze, npy, vectors
from tiny_towers import DIMENSION

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.label_records import HeadKind

SPEC = EmbeddingSpec("s", DIMENSION, 20.0, 0.0, "softmax")
HEADS = pytest.mark.parametrize("head", [None, "ridge", "cache"], ids=str)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@HEADS
@pytest.mark.parametrize("sigmoid", [False, True], ids=["softmax", "sigmoid"])
def test_scores_are_those_of_plain_arithmetic(tmp_path: Path, head: HeadKind | None, sigmoid: bool) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge", head=head, sigmoid=sigmoid))
    assert frozen_labels.check(bundle, bundle.manifest.variants[0]) <= 1e-6
    labels = frozen_labels.read(bundle, bundle.manifest.variants[0])
    found = labels.scores(golden.reference(bundle, "image"))
    assert found.shape == (len(bundle.manifest.golden.images), len(NAMES))
    assert np.allclose(found.sum(axis=1), 1) == (not sigmoid)


@HEADS
def test_a_ranking_is_the_logits_as_dot_products(tmp_path: Path, head: HeadKind | None) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge", head=head))
    labels = frozen_labels.read(bundle, bundle.manifest.variants[0])
    rows = unit(np.random.default_rng(0).normal(size=(5, DIMENSION)))
    ranking = labels.ranking(rows)
    if head is None:
        assert ranking is None
        np.testing.assert_allclose(labels.logits(rows), 20.0 * rows @ labels.vectors.T, atol=1e-4)
    else:
        assert ranking is not None
        np.testing.assert_allclose(ranking[0] @ ranking[1].T, labels.logits(rows), atol=1e-9)


def test_places_compete_among_themselves(tmp_path: Path) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge", head="cache"))
    labels = frozen_labels.read(bundle, bundle.manifest.variants[0])
    rows = golden.reference(bundle, "image")
    everything = labels.scores(rows)
    some = labels.scores(rows, labels.places(["rocket", "cat"]))
    np.testing.assert_allclose(some.sum(axis=1), 1)
    np.testing.assert_allclose(some[:, 0] / some[:, 1], everything[:, 3] / everything[:, 0])


def test_a_label_that_is_not_there_is_named() -> None:
    labels = FrozenLabels(tuple("abcdefg"), vectors(), SPEC, Head())
    with pytest.raises(TextError, match=r"label 'x' is not among the bundle's 7 frozen labels \(a, b, c, d, e, …\)"):
        labels.places(["a", "x"])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_cache_votes_by_distance(photos: int, examples: int, labels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, keys = unit(random.normal(size=(photos, 3))), unit(random.normal(size=(examples, 3)))
    classes = random.integers(0, labels, examples).astype(np.int32)
    head = Head(keys=keys, classes=classes, strength=2.0, sharpness=3.0)
    wanted = np.zeros((photos, labels))
    for photo in range(photos):
        for example in range(examples):
            cosine = float(rows[photo].astype(np.float64) @ keys[example].astype(np.float64))
            wanted[photo, classes[example]] += 2.0 * np.exp(-3.0 * (1 - cosine))
    np.testing.assert_allclose(head.added(rows, labels), wanted, atol=1e-9)


BROKEN: dict[str, tuple[HeadKind | None, str, bytes, str]] = {
    "no array": (None, "vectors", b"hello", "not a NumPy array"),
    "an archive": (None, "vectors", b"PK\x05\x06" + bytes(18), "not a NumPy array|is an archive"),
    "another shape": (None, "vectors", npy(np.ones((4, 3), np.float32)), r"must be finite float32 \(4, 16\)"),
    "another type": (None, "vectors", npy(vectors().astype(np.float64)), "is float64"),
    "another byte order": (None, "vectors", npy(vectors().astype(">f4")), "must be finite float32"),
    "not a number": (None, "vectors", npy(np.full((4, 16), np.nan, np.float32)), "must be finite"),
    "not of length one": (None, "vectors", npy(2 * vectors()), "rows have lengths 2.000 to 2.000"),
    "objects": (None, "vectors", npy(np.array([1, "a"], object)), "not a NumPy array"),
    "a huge claim": (None, "vectors", npy(vectors())[:128].replace(b"(4, 16)", b"(4, 99999999999)"), "vectors.npy"),
    "weights": ("ridge", "weights", npy(np.ones((4, 16), np.float32)), r"\(4, 17\)"),
    "keys": ("cache", "keys", npy(np.zeros((EXAMPLES, 16), np.float32)), "rows have lengths 0.000"),
    "a class too large": ("cache", "classes", npy(np.full(EXAMPLES, 4, np.int32)), r"not in 0..3"),
    "a class below 0": ("cache", "classes", npy(np.full(EXAMPLES, -1, np.int32)), r"not in 0..3"),
    "too few classes": ("cache", "classes", npy(np.zeros(2, np.int32)), r"int32 \(6,\)"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_array_is_refused_by_name(tmp_path: Path, case: str) -> None:
    head, name, data, told = BROKEN[case]
    bundle = open_bundle(freeze(tmp_path / "a.edge", head=head, extra={f"labels/{name}.npy": data}))
    with pytest.raises(BundleError, match=told):
        frozen_labels.read(bundle, bundle.manifest.variants[0])


def test_other_scores_than_the_stored_ones_are_refused(tmp_path: Path) -> None:
    good = open_bundle(freeze(tmp_path / "a.edge"))
    stored = np.load(__import__("io").BytesIO(good.read("labels/scores.npy")))
    bad = open_bundle(freeze(tmp_path / "b.edge", extra={"labels/scores.npy": npy(stored + np.float32(1e-3))}))
    with pytest.raises(GoldenError, match=r"differ by 1.0e-03 from the stored ones"):
        frozen_labels.check(bad, bad.manifest.variants[0])


def test_a_bundle_without_labels_has_none_to_read(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(BundleError, match="has no frozen labels"):
        frozen_labels.read(bundle, bundle.manifest.variants[0])


def test_vectors_alone_need_no_head() -> None:
    rows = unit(np.random.default_rng(1).normal(size=(2, 3)))
    assert (replace(Head()).added(rows, 4) == np.zeros((2, 4))).all()
