"""Every pixel mode a file can hold, decoded and preprocessed as the reference does."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from edgekit.preprocess import decode, preprocess

RNG = np.random.default_rng(11)


def _rgba(cat: Image.Image) -> Image.Image:
    alpha = Image.fromarray(RNG.integers(0, 256, (cat.height, cat.width), dtype=np.uint8))
    image = cat.convert("RGBA")
    image.putalpha(alpha)
    return image


def _palette_with_transparency(cat: Image.Image) -> Image.Image:
    image = cat.quantize(64)
    image.info["transparency"] = bytes(range(64))
    return image


def _sixteen(cat: Image.Image) -> Image.Image:
    # Values on both sides of 255, where Pillow's conversion saturates.
    return Image.fromarray(np.asarray(cat.convert("L")).astype(np.uint16) * 3)


CASES = {
    "grey": (lambda c: c.convert("L"), ("PNG", "JPEG", "BMP", "TIFF")),
    "grey-alpha": (lambda c: _rgba(c).convert("LA"), ("PNG", "TIFF")),
    "rgb": (lambda c: c, ("PNG", "JPEG", "BMP", "TIFF", "WEBP")),
    "rgba": (_rgba, ("PNG", "TIFF", "WEBP", "BMP")),
    "palette": (lambda c: c.quantize(32), ("PNG", "BMP", "TIFF")),
    "palette-transparent": (_palette_with_transparency, ("PNG",)),
    "one-bit": (lambda c: c.convert("1"), ("PNG", "BMP", "TIFF")),
    "cmyk": (lambda c: c.convert("CMYK"), ("JPEG", "TIFF")),
    "ycbcr": (lambda c: c.convert("YCbCr"), ("JPEG", "TIFF")),
    "sixteen": (_sixteen, ("PNG", "TIFF")),
    "float": (lambda c: c.convert("F"), ("TIFF",)),
    "int32": (lambda c: c.convert("I"), ("TIFF",)),
}
FLAT = [(name, kind) for name, (_, kinds) in CASES.items() for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), FLAT)
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_every_mode_agrees_with_the_reference(name, kind, mode, cat, encode, make_spec, reference) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(CASES[name][0](cat), kind, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the reference's own, about palettes
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        spec = make_spec((32, 32), mode)
        expected = reference(Image.open(io.BytesIO(data)), spec)
    np.testing.assert_array_equal(decode(data), pixels)
    np.testing.assert_array_equal(preprocess(data, spec, decoding="exact"), expected)


def test_sixteen_bit_rgb_png() -> None:
    # Pillow cannot write one, so it is put together by hand: each row is filter 0 and big-endian samples.
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    np.testing.assert_array_equal(decode(data), (pixels >> 8).astype(np.uint8))


def test_transparent_pixels_do_not_bleed(make_spec, encode) -> None:
    # The hidden red of the transparent half must not reach the opaque green, as converting first would let it.
    pixels = np.zeros((8, 64, 4), np.uint8)
    pixels[:, ::2] = (255, 0, 0, 0)
    pixels[:, 1::2] = (0, 255, 0, 255)
    got = preprocess(encode(Image.fromarray(pixels), "PNG"), make_spec((4, 16), "squash", interpolation="bilinear"))
    assert got[..., 0].max() == 0
    assert got[..., 1].min() >= 254


def test_a_transparent_palette_does_not_warn(cat, encode) -> None:
    data = encode(_palette_with_transparency(cat), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(data)


def test_the_first_of_several_pages_is_taken(cat, encode) -> None:
    other = Image.new("RGB", (9, 9), "red")
    for kind in ("TIFF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(cat, kind, save_all=True, append_images=[other.resize(cat.size)], **options)
        np.testing.assert_array_equal(decode(data), np.asarray(cat))


def test_padding_has_the_fill_colour_in_every_mode(cat, encode, make_spec) -> None:
    for name, (make, kinds) in CASES.items():
        got = preprocess(encode(make(cat), kinds[0]), make_spec((32, 32), "longest", fill=(1, 2, 3)))
        assert (got[0] == (1, 2, 3)).all(), name
        assert (got[-1] == (1, 2, 3)).all(), name


def test_a_progressive_jpeg_and_other_subsamplings(cat, encode, make_spec, reference) -> None:
    for options in ({"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}):
        data = encode(cat, "JPEG", **options)
        np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))
