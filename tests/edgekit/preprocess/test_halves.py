"""`preprocess` in its two halves, and the threads that share the photos."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from edgekit.bundle.manifest import ImageSpec
from edgekit.errors import ImageError, InputError
from edgekit.preprocess import decode_for, fit, preprocess
from edgekit.preprocess.parallel import in_parallel

SPEC = ImageSpec(32, 32, "shortest", 32, "bicubic", (0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("decoding", ["fast", "exact"])
def test_the_halves_are_the_whole(photos, decoding):
    for path in photos:
        halves = fit(decode_for(path, SPEC, decoding=decoding), SPEC)
        np.testing.assert_array_equal(halves, preprocess(path, SPEC, decoding=decoding))


def test_the_first_half_has_decoded_everything(photos, tmp_path):
    """Nothing is left for the second half to read: the time of decoding is the first half's."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos[0].read_bytes())
    half = decode_for(path, SPEC)
    path.unlink()
    assert half.name == str(path)
    np.testing.assert_array_equal(fit(half, SPEC), preprocess(photos[0], SPEC))
    assert half.size == Image.open(photos[0]).size


def test_the_halves_refuse_what_the_whole_refuses():
    with pytest.raises(InputError, match="decoding is 'slow'"):
        decode_for(np.zeros((4, 4, 3), np.uint8), SPEC, decoding="slow")
    with pytest.raises(ImageError):
        decode_for(b"nothing", SPEC)


@pytest.mark.parametrize("threads", [None, 1, 2, 50])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_each_number_is_done_once(threads, count):
    done = []
    in_parallel(done.append, count, threads)
    assert sorted(done) == list(range(count))


def test_one_thread_is_the_callers():
    seen = set()
    in_parallel(lambda number: seen.add(threading.get_ident()), 5, 1)
    assert seen == {threading.get_ident()}


def test_the_first_error_by_number_comes_out():
    def work(number):
        if number in (3, 5):
            raise ImageError(f"number {number}")

    with pytest.raises(ImageError, match="number 3"):
        in_parallel(work, 10, 4)
