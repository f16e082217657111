"""Arrays: the channel order is what the caller says, and any other layout is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import ImageError, InputError
from edgekit.preprocess import decode, preprocess

FRAME = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_rgb_and_bgr_are_as_stated() -> None:
    np.testing.assert_array_equal(decode(FRAME), FRAME)
    np.testing.assert_array_equal(decode(FRAME, channel_order="bgr"), FRAME[..., ::-1])


def test_preprocess_follows_the_order(make_spec, reference) -> None:
    spec = make_spec((16, 16))
    expected = reference(Image.fromarray(FRAME), spec)
    np.testing.assert_array_equal(preprocess(FRAME, spec), expected)
    bgr = np.ascontiguousarray(FRAME[..., ::-1])
    np.testing.assert_array_equal(preprocess(bgr, spec, channel_order="bgr"), expected)
    assert not np.array_equal(preprocess(bgr, spec), expected)


def test_views_of_any_stride(make_spec) -> None:
    for view in (FRAME[::2, ::3], FRAME[::-1], FRAME[..., ::-1], np.asfortranarray(FRAME), FRAME[5:9, 7:8]):
        np.testing.assert_array_equal(decode(view), view)


def test_grey_is_repeated(make_spec, reference) -> None:
    grey = FRAME[..., 0]
    for order in ("rgb", "bgr"):
        np.testing.assert_array_equal(decode(grey, channel_order=order), np.repeat(grey[..., None], 3, axis=2))
    spec = make_spec((16, 16))
    np.testing.assert_array_equal(preprocess(grey, spec), reference(Image.fromarray(grey), spec))


def test_the_result_is_the_callers_own() -> None:
    before = FRAME.copy()
    for source in (FRAME, FRAME[..., 0]):
        result = decode(source)
        result[:] = 0
    np.testing.assert_array_equal(FRAME, before)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int64, np.bool_])
def test_another_dtype_is_refused(dtype) -> None:
    with pytest.raises(ImageError, match=rf"^<array>: dtype is {np.dtype(dtype).name}, not uint8; convert"):
        decode(FRAME.astype(dtype))


@pytest.mark.parametrize("shape", [(3,), (30, 40, 4), (30, 40, 1), (3, 30, 40), (2, 30, 40, 3), ()])
def test_another_shape_is_refused(shape) -> None:
    with pytest.raises(ImageError, match=r"^<array>: shape is .*; give one image as \(H, W, 3\)"):
        decode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (0, 0)])
def test_no_pixels_are_refused(shape) -> None:
    with pytest.raises(ImageError, match=r"^<array>: shape is .* holds no pixel"):
        decode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("order", ["RGB", "gbr", "", None])
def test_an_unknown_order_is_refused_for_every_source(order, make_spec) -> None:
    for source in (FRAME, "nowhere.jpg", Image.new("L", (2, 2))):
        with pytest.raises(InputError, match=r"channel_order is .*; give 'rgb' or 'bgr'"):
            preprocess(source, make_spec(), channel_order=order)
