"""The fast path: when it is taken, that its error stays within the stated bound, and that nothing else changes."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from edgekit.preprocess import FAST_MAX_LEVELS, FAST_MEAN_LEVELS, FAST_RATIO, FAST_WORST_LEVELS, preprocess
from edgekit.preprocess.dct_scaling import dct_scale, request_scale

SIDE = 64


def _jpeg(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "JPEG")
    return Image.open(buffer)


def _error(data: bytes, spec) -> np.ndarray:
    return np.abs(preprocess(data, spec).astype(int) - preprocess(data, spec, decoding="exact").astype(int))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_scale_is_the_largest_that_keeps_the_ratio(scale, make_spec) -> None:
    spec = make_spec((SIDE, SIDE))
    enough = int(FAST_RATIO * SIDE * scale)
    image = _jpeg((16, 16))
    assert dct_scale(image, (enough, enough), spec) == scale
    assert dct_scale(image, (enough * 3, enough), spec) == scale
    below = {1: 1, 2: 1, 4: 2, 8: 4}[scale]
    assert dct_scale(image, (enough * 3, enough - 1), spec) == below


def test_squash_needs_both_sides_and_an_edge_counts(make_spec) -> None:
    image = _jpeg((16, 16))
    assert dct_scale(image, (10 * SIDE, 4 * SIDE), make_spec((SIDE, SIDE), "squash")) == 1
    assert dct_scale(image, (10 * SIDE, 6 * SIDE), make_spec((SIDE, SIDE), "squash")) == 2
    assert dct_scale(image, (6 * SIDE, 6 * SIDE), make_spec((SIDE, SIDE), edge=SIDE + 1)) == 1


def test_cmyk_is_never_scaled(make_spec) -> None:
    assert dct_scale(_jpeg((900, 900), "CMYK"), (900, 900), make_spec((8, 8))) == 1
    assert dct_scale(_jpeg((900, 900), "L"), (900, 900), make_spec((8, 8))) == 8


def test_the_photo_may_end_inside_the_last_pixel() -> None:
    image = _jpeg((1003, 601))
    assert request_scale(image, 8) == (0.0, 0.0, 125.375, 75.125)
    assert image.size == (126, 76)
    image = _jpeg((1003, 601))
    assert request_scale(image, 1) == (0.0, 0.0, 1003.0, 601.0)
    assert image.size == (1003, 601)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("options", [{"quality": 75}, {"quality": 95, "subsampling": 0}, {"progressive": True}])
def test_photos_stay_within_the_bound(scale, options, photo_paths, encode, make_spec) -> None:
    spec = make_spec((SIDE, SIDE))
    short = int(FAST_RATIO * SIDE * scale) + 3  # just large enough, and no multiple of the scale
    for path in photo_paths:
        with Image.open(path) as photo:
            ratio = short / min(photo.size)
            size = (max(short, int(photo.width * ratio)), max(short, int(photo.height * ratio)))
            error = _error(encode(photo.resize(size, Image.Resampling.BICUBIC), "JPEG", **options), spec)
        assert 0 < error.max() <= FAST_MAX_LEVELS, path.name  # not zero: the fast path was taken
        assert error.mean() <= FAST_MEAN_LEVELS, path.name


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "hamming"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_every_filter_and_mode_stays_within_the_bound(interpolation, mode, photo_paths, encode, make_spec) -> None:
    spec = make_spec((SIDE, SIDE), mode, interpolation=interpolation)
    with Image.open(photo_paths[-1]) as photo:
        data = encode(photo.resize((1027, 771), Image.Resampling.BICUBIC), "JPEG", quality=90)
    error = _error(data, spec)
    assert 0 < error.max() <= FAST_MAX_LEVELS
    assert error.mean() <= FAST_MEAN_LEVELS


def _patterns(size: int) -> dict[str, np.ndarray]:
    y, x = np.mgrid[:size, :size]
    patterns = {f"checker{n}": ((x // n + y // n) % 2) * 255.0 for n in (1, 2, 3, 5, 7, 11)}
    patterns["bars"] = ((x // 13) % 2) * 255.0
    patterns["zones"] = 127.5 + 127.5 * np.cos(((x - size / 2) ** 2 + (y - size / 2) ** 2) * np.pi / size)
    patterns["noise"] = np.random.default_rng(1).integers(0, 256, (size, size)).astype(float)
    patterns["letters"] = (
        np.kron(np.random.default_rng(2).integers(0, 2, (size // 4 + 1,) * 2), np.ones((4, 4)))[:size, :size] * 255.0
    )
    return patterns


@pytest.mark.parametrize("scale", [2, 4])
def test_hard_patterns_stay_within_the_worst_bound(scale, encode, make_spec) -> None:
    for name, pattern in _patterns(int(FAST_RATIO * SIDE * scale) + 1).items():
        data = encode(Image.fromarray(pattern.astype(np.uint8)).convert("RGB"), "JPEG", quality=92)
        assert _error(data, make_spec((SIDE, SIDE))).max() <= FAST_WORST_LEVELS, name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_not_shifted(orientation, photo_paths, encode, make_spec) -> None:
    # 1003 and 1001 leave 3/8 and 1/8 of a decoded pixel at two borders, which the turn moves to other borders.
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(photo_paths[0]) as photo:
        data = encode(photo.resize((1003, 785), Image.Resampling.BICUBIC), "JPEG", quality=92, exif=exif)
    spec = make_spec((32, 32), "squash")
    error = _error(data, spec)
    assert error.max() <= FAST_MAX_LEVELS
    assert error.mean() <= FAST_MEAN_LEVELS


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_other_formats_are_the_same_in_both(kind, photo_paths, encode, make_spec) -> None:
    with Image.open(photo_paths[1]) as photo:
        assert _error(encode(photo, kind), make_spec((16, 16))).max() == 0


@pytest.mark.parametrize("interpolation", ["nearest", "box"])
def test_filters_with_hard_edges_are_not_scaled(interpolation, photo_paths, make_spec) -> None:
    data = photo_paths[1].read_bytes()
    spec = make_spec((16, 16), interpolation=interpolation)
    assert dct_scale(_jpeg((16, 16)), (900, 900), spec) == 1
    assert _error(data, spec).max() == 0


def test_a_callers_pillow_image_stays_at_full_size(photo_paths, make_spec) -> None:
    spec = make_spec((16, 16))
    with Image.open(photo_paths[1]) as photo:
        size = photo.size
        got = preprocess(photo, spec)
        assert photo.size == size
    np.testing.assert_array_equal(got, preprocess(photo_paths[1], spec, decoding="exact"))


def test_an_unknown_decoding_is_refused(make_spec) -> None:
    with pytest.raises(ValueError, match="decoding is 'FAST'; give 'fast' or 'exact'"):
        preprocess(b"", dataclasses.replace(make_spec()), decoding="FAST")
