"""Batches: order, threads, and which photo is to blame."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgekit.errors import ImageError, InputError
from edgekit.preprocess import preprocess, preprocess_batch


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_the_order_is_kept(threads, photo_paths, make_spec) -> None:
    spec = make_spec((32, 32))
    mixed = [*photo_paths, photo_paths[0].read_bytes(), np.full((9, 9, 3), 7, np.uint8)]
    batch = preprocess_batch(mixed, spec, threads=threads)
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch, np.stack([preprocess(source, spec) for source in mixed]))


def test_an_empty_batch_has_no_rows(make_spec) -> None:
    assert preprocess_batch([], make_spec((12, 34))).shape == (0, 12, 34, 3)


def test_an_iterator_will_do(photo_paths, make_spec) -> None:
    assert preprocess_batch(iter(photo_paths[:2]), make_spec((8, 8))).shape == (2, 8, 8, 3)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_broken_photo_is_named(threads, photo_paths, make_spec, tmp_path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo_paths[0].read_bytes()[:900])
    sources = [photo_paths[0], broken, b"also broken", photo_paths[1]]
    with pytest.raises(ImageError, match=r"^.*broken\.jpg: [^()]*$") as caught:
        preprocess_batch(sources, make_spec(), threads=threads)
    assert str(caught.value).startswith(str(broken))


@pytest.mark.parametrize("threads", [1, 4])
def test_bytes_are_named_by_their_position(threads, photo_paths, make_spec) -> None:
    with pytest.raises(ImageError, match=r"^<bytes>: .* \(image 41\)$"):
        preprocess_batch([photo_paths[0], b"broken"], make_spec(), threads=threads, first=40)


def test_no_thread_is_left_behind(photo_paths, make_spec) -> None:
    before = threading.active_count()
    with pytest.raises(ImageError):
        preprocess_batch([b"", *photo_paths], make_spec(), threads=3)
    assert threading.active_count() == before


def test_settings_reach_every_photo(photo_paths, make_spec) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    spec = make_spec((8, 8))
    bgr = preprocess_batch([frame], spec, channel_order="bgr")
    np.testing.assert_array_equal(bgr[0], preprocess(frame[..., ::-1], spec))
    with pytest.raises(ImageError, match="above the limit of 10 "):
        preprocess_batch(photo_paths, spec, max_pixels=10)


def test_unusable_settings_are_refused_even_for_no_photo(make_spec) -> None:
    with pytest.raises(InputError, match="threads is 0; give at least 1"):
        preprocess_batch([], make_spec(), threads=0)
    with pytest.raises(InputError, match="decoding is 'quick'; give 'fast' or 'exact'"):
        preprocess_batch([], make_spec(), decoding="quick")
    with pytest.raises(InputError, match="channel_order is 'cmyk'"):
        preprocess_batch([], make_spec(), channel_order="cmyk")
