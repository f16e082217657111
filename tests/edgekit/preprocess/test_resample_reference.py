"""Every resize mode, filter and size, bit for bit against resizing the whole image with Pillow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.preprocess import preprocess
from edgekit.preprocess import resample as resample_module

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
MODES = ("shortest", "longest", "squash")
SIZES = ((32, 32), (24, 40), (40, 24), (131, 131))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_every_mode_and_filter_is_bit_exact(mode, interpolation, size, cat, make_spec, reference) -> None:
    spec = make_spec(size, mode, interpolation=interpolation, fill=(7, 80, 200))
    for image in (cat, cat.transpose(Image.Transpose.TRANSPOSE)):
        for decoding in ("fast", "exact"):
            got = preprocess(image, spec, decoding=decoding)
            assert got.dtype == np.uint8
            assert got.shape == (*size, 3)
            np.testing.assert_array_equal(got, reference(image, spec))


@pytest.mark.parametrize("edge", [36, 48, 55])
def test_an_edge_other_than_the_crop_is_bit_exact(edge, cat, make_spec, reference) -> None:
    spec = make_spec((48, 48), edge=edge, fill=(9, 9, 9))
    np.testing.assert_array_equal(preprocess(cat, spec), reference(cat, spec))


def test_every_sample_photo_is_bit_exact_when_exact(photo_paths, make_spec, reference) -> None:
    for path, (mode, size) in itertools.product(photo_paths, (("shortest", (224, 224)), ("squash", (256, 192)))):
        spec = make_spec(size, mode)
        with Image.open(path) as image:
            np.testing.assert_array_equal(preprocess(path, spec, decoding="exact"), reference(image, spec))


def test_jpegs_too_small_to_scale_are_bit_exact_when_fast(photo_paths, make_spec, reference) -> None:
    for path in photo_paths:
        spec = make_spec((224, 224))
        with Image.open(path) as image:
            np.testing.assert_array_equal(preprocess(path, spec, decoding="fast"), reference(image, spec))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    mode=st.sampled_from(["shortest", "squash"]),
    interpolation=st.sampled_from(FILTERS),
    seed=st.integers(0, 2**31),
)
def test_any_size_agrees(width, height, target, mode, interpolation, seed, make_spec, reference) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    spec = make_spec(target, mode, interpolation=interpolation)
    np.testing.assert_array_equal(preprocess(pixels, spec, decoding="exact"), reference(Image.fromarray(pixels), spec))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (1, 2000), (2000, 1)])
def test_tiny_and_thin_images_agree(size, make_spec, reference, encode) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    for spec in (make_spec((16, 16)), make_spec((16, 16), "squash"), make_spec((12, 20))):
        np.testing.assert_array_equal(preprocess(encode(image, "PNG"), spec), reference(image, spec))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "hamming"])
def test_computing_only_the_crop_is_within_two_levels(interpolation, cat, make_spec, reference, monkeypatch) -> None:
    monkeypatch.setattr(resample_module, "_WHOLE_LIMIT", 0)
    for mode, size in (("shortest", (31, 31)), ("longest", (40, 24)), ("shortest", (24, 40)), ("squash", (9, 70))):
        spec = make_spec(size, mode, interpolation=interpolation)
        for image in (cat, cat.transpose(Image.Transpose.TRANSPOSE)):
            error = np.abs(preprocess(image, spec).astype(int) - reference(image, spec).astype(int))
            assert error.max() <= 2
            assert error.mean() < 0.3


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1)])
def test_a_strip_costs_no_more_than_its_crop(size, make_spec, encode) -> None:
    # Resized whole, it would be 224 x 2,240,000 pixels. The middle pixels decide; make them known.
    ramp = np.linspace(0, 255, 10_000).astype(np.uint8)
    image = Image.fromarray(ramp.reshape(size[1], size[0]))
    got = preprocess(encode(image, "PNG"), make_spec((224, 224)))
    assert np.abs(got.astype(int) - int(ramp[5000])).max() <= 1
