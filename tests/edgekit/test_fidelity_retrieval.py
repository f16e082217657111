"""Fidelity on named data: the shares against the definition in loops, ties, chunks, and values that are not finite."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import fidelity as fidelity_module
from edgekit.bundle.manifest import Fidelity, Share
from edgekit.fidelity import agreement, best, fidelity

Rows = npt.NDArray[np.float32]
NAME, DIGEST = "stamps", "ab" * 32


def _rows(n: int, d: int, seed: int) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _noisy(rows: Rows, amount: float, seed: int) -> Rows:
    mixed = rows + amount * _rows(*rows.shape, seed=seed)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _compare(image: Rows, text: Rows, reference_image: Rows, reference_text: Rows) -> Fidelity:
    return fidelity(image, text, reference_image, reference_text, data=NAME, digest=DIGEST)


def _ranking(query: Rows, gallery: Rows) -> list[int]:
    """Every match, best first, ties by index, in Python."""
    products = [math.fsum(float(x) * float(y) for x, y in zip(query, row, strict=True)) for row in gallery]
    return sorted(range(len(gallery)), key=lambda i: (-round(products[i], 12), i))


def _shares(queries: Rows, gallery: Rows, wanted_queries: Rows, wanted_gallery: Rows) -> tuple[float, float]:
    top = min(5, len(gallery))
    found = [_ranking(query, gallery)[:top] for query in queries]
    wanted = [_ranking(query, wanted_gallery)[:top] for query in wanted_queries]
    first = [a[0] == b[0] for a, b in zip(found, wanted, strict=True)]
    overlap = [len(set(a) & set(b)) / top for a, b in zip(found, wanted, strict=True)]
    return sum(first) / len(first), sum(overlap) / len(overlap)


@pytest.mark.parametrize("texts", [1, 3, 5, 6, 40])
@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_the_record_is_the_definition(texts: int, noise: float) -> None:
    image, text = _rows(23, 16, seed=1), _rows(texts, 16, seed=2)
    other_image, other_text = _noisy(image, noise, seed=3), _noisy(text, noise, seed=4)
    found = _compare(other_image, other_text, image, text)
    assert (found.data, found.digest) == (NAME, DIGEST)
    assert found.image == agreement(other_image, image)
    assert found.text == agreement(other_text, text)
    forth, back = found.image_to_text, found.text_to_image
    assert (forth.top1.value, forth.top5.value) == pytest.approx(_shares(other_image, other_text, image, text))
    assert (back.top1.value, back.top5.value) == pytest.approx(_shares(other_text, other_image, text, image))
    assert (forth.top1.n, forth.top5.n, back.top1.n, back.top5.n) == (23, 23, texts, texts)


def test_the_same_embeddings_agree_wholly_and_without_error() -> None:
    image, text = _rows(30, 8, seed=1), _rows(9, 8, seed=2)
    found = _compare(image, text, image, text)
    assert found.image_to_text.top1 == found.image_to_text.top5 == Share(1.0, 0.0, 30)
    assert found.text_to_image.top1 == found.text_to_image.top5 == Share(1.0, 0.0, 9)


def test_the_standard_error_of_a_share_is_the_binomials() -> None:
    image, text = _rows(400, 16, seed=1), _rows(60, 16, seed=2)
    share = _compare(_noisy(image, 0.3, seed=3), text, image, text).image_to_text.top1
    assert 0.3 < share.value < 0.95
    assert share.error == pytest.approx(math.sqrt(share.value * (1 - share.value) / 400), rel=0.06)


def test_the_record_is_the_same_every_time_and_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    image, text = _rows(57, 16, seed=1), _rows(31, 16, seed=2)
    noisy = _noisy(image, 0.5, seed=3)
    wanted = _compare(noisy, text, image, text)
    assert _compare(noisy, text, image, text) == wanted
    for chunk in (1, 100, 700):
        monkeypatch.setattr(fidelity_module, "CHUNK", chunk)
        assert _compare(noisy, text, image, text) == wanted


@pytest.mark.parametrize("rows", [7, 16, 33, 100])
def test_equal_texts_tie_wherever_they_stand(rows: int) -> None:
    """A product's last bits depend on its place in the matrix; the lower index must win all the same."""
    text = np.repeat(_rows(3, 24, seed=5), rows, axis=0)
    for where, found in best(_rows(50, 24, seed=6), text, 5):
        assert where == slice(0, 50)
        assert set((found[:, 0] % rows).tolist()) == {0}
        assert (np.diff(found, axis=1) == 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_value_that_is_not_finite_is_no_agreement_and_no_exception(value: float, tower: str) -> None:
    image, text = _rows(10, 8, seed=1), _rows(6, 8, seed=2)
    broken = {"image": image.copy(), "text": text.copy()}
    broken[tower][2, 3] = value
    found = _compare(broken["image"], broken["text"], image, text)
    sick, well = (found.image, found.text) if tower == "image" else (found.text, found.image)
    assert all(math.isnan(figure) for figure in astuple(sick)[1:])
    assert well.cosine_min == 1.0
    for retrieval, n in ((found.image_to_text, 10), (found.text_to_image, 6)):
        assert retrieval.top1 == retrieval.top5 == Share(0.0, 0.0, n)


def test_what_cannot_be_compared() -> None:
    image, text = _rows(4, 8, seed=1), _rows(3, 8, seed=2)
    with pytest.raises(ValueError, match=r"cannot compare embeddings of shape \(3, 8\) with \(4, 8\)"):
        _compare(image[:3], text, image, text)
    with pytest.raises(ValueError, match="cannot compare images of shape"):
        _compare(image, text[:, :4], image, text[:, :4])
    with pytest.raises(ValueError, match="cannot compare embeddings"):
        _compare(image, text[:0], image, text[:0])
    with pytest.raises(ValueError, match="the reference embeddings hold NaN"):
        _compare(image, text, image, text * np.float32("nan"))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 2), st.integers(0, 1000))
def test_the_shares_are_in_range_and_do_not_depend_on_the_order_of_the_queries(
    images: int, texts: int, noise: float, seed: int
) -> None:
    image, text = _rows(images, 6, seed=seed), _rows(texts, 6, seed=seed + 1)
    other = _noisy(image, noise, seed=seed + 2)
    found = _compare(other, text, image, text)
    for retrieval in (found.image_to_text, found.text_to_image):
        for share in (retrieval.top1, retrieval.top5):
            assert 0 <= share.value <= 1
            assert 0 <= share.error <= 0.5
    order = np.random.default_rng(seed).permutation(images)
    assert _compare(other[order], text, image[order], text).image_to_text == found.image_to_text
