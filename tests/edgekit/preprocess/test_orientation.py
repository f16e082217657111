"""All eight EXIF orientations, in each format that can carry one, against Pillow's own transposition."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edgekit.preprocess import decode, preprocess
from edgekit.preprocess.orientation import _TURNS, apply_turn, turn_of, upright_box, upright_size

FORMATS = (
    ("JPEG", {"quality": 95}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
)


def _with_orientation(image: Image.Image, value: int) -> Image.Exif:
    exif = image.getexif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), FORMATS)
def test_orientation_is_honoured(kind, options, orientation, cat, encode, make_spec, reference) -> None:
    data = encode(cat, kind, exif=_with_orientation(cat.copy(), orientation), **options)
    opened = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(decode(data), np.asarray(ImageOps.exif_transpose(opened).convert("RGB")))
    expected_size = (101, 67) if orientation >= 5 else (67, 101)
    assert decode(data).shape[:2] == expected_size
    for spec in (make_spec((24, 24)), make_spec((20, 32)), make_spec((24, 24), "longest")):
        expected = reference(Image.open(io.BytesIO(data)), spec)
        np.testing.assert_array_equal(preprocess(data, spec, decoding="exact"), expected)
        assert np.abs(preprocess(data, spec).astype(int) - expected.astype(int)).max() <= 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_from_xmp_as_pillow_reads_it(orientation, cat, encode) -> None:
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    data = encode(cat, "JPEG", xmp=xmp)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(data), np.asarray(expected))


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_a_meaningless_orientation_is_upright(orientation, cat, encode) -> None:
    data = encode(cat, "PNG", exif=_with_orientation(cat.copy(), orientation))
    np.testing.assert_array_equal(decode(data), np.asarray(cat))


def test_damaged_exif_on_a_sound_photo_is_upright(cat, encode) -> None:
    data = encode(cat, "JPEG", exif=b"Exif\x00\x00garbage that is no TIFF header")
    assert decode(data).shape == (67, 101, 3)


def test_a_pillow_image_is_turned_by_its_own_exif_and_not_changed(cat, encode) -> None:
    opened = Image.open(io.BytesIO(encode(cat, "PNG", exif=_with_orientation(cat.copy(), 6))))
    assert decode(opened).shape == (101, 67, 3)
    assert opened.size == (101, 67)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_marked_region_lands_where_the_box_says(orientation) -> None:
    turn = _TURNS[orientation]
    pixels = np.zeros((7, 11), np.uint8)
    pixels[1:3, 4:9] = 255
    turned = np.asarray(apply_turn(Image.fromarray(pixels), turn))
    assert turned.shape[::-1] == upright_size((11, 7), turn)
    left, top, right, bottom = upright_box((4, 1, 9, 3), (11, 7), turn)
    rows, columns = np.nonzero(turned)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


@given(orientation=st.integers(1, 8))
def test_the_tag_is_read(orientation) -> None:
    image = Image.new("L", (3, 2))
    _with_orientation(image, orientation)
    assert turn_of(image) == _TURNS[orientation]
