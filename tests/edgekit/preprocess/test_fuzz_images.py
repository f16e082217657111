"""Arbitrary and mutated bytes: pixels of the right shape, or an ImageError that names them, and nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.errors import ImageError
from edgekit.preprocess import preprocess

FORMATS = (
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
)
SIGNATURES = (
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x20\0\0\0WEBPVP8 ",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
)
LIMIT = 200_000
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _check(data: bytes, spec, decoding: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damaged metadata
        try:
            pixels = preprocess(data, spec, decoding=decoding, max_pixels=LIMIT)
        except ImageError as error:
            assert str(error).startswith("<bytes>: ")
            return False
    assert pixels.dtype == np.uint8
    assert pixels.shape == (spec.height, spec.width, 3)
    return True


@QUIET
@given(signature=st.sampled_from(SIGNATURES), body=st.binary(max_size=400), decoding=st.sampled_from(["fast", "exact"]))
def test_arbitrary_bytes(signature, body, decoding, make_spec) -> None:
    _check(signature + body, make_spec((8, 8)), decoding)


@QUIET
@given(data=st.data(), choice=st.sampled_from(FORMATS), mode=st.sampled_from(["shortest", "longest", "squash"]))
def test_mutated_files(data, choice, mode, cat, encode, make_spec) -> None:
    kind, options = choice
    exif = Image.Exif()
    exif[0x0112] = 6
    mutated = bytearray(encode(cat.resize((40, 27)), kind, exif=exif, **options))
    for _ in range(data.draw(st.integers(1, 6), label="edits")):
        # The headers are short, and most of what can go wrong is in them.
        at = data.draw(st.integers(0, 90) | st.integers(0, len(mutated) - 1), label="at") % len(mutated)
        match data.draw(st.sampled_from(["set", "insert", "delete", "repeat"]), label="edit"):
            case "set":
                mutated[at] = data.draw(st.integers(0, 255), label="byte")
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=9), label="bytes")
            case "delete":
                del mutated[at : at + data.draw(st.integers(1, 40), label="count")]
            case _:
                mutated[at:at] = mutated[at : at + 30]
        if not mutated:
            break
    _check(bytes(mutated), make_spec((8, 8), mode), "fast")


def test_the_unmutated_files_pass(cat, encode, make_spec) -> None:
    for kind, options in FORMATS:
        assert _check(encode(cat, kind, **options), make_spec((8, 8)), "fast")


def test_every_single_byte_of_a_header_may_be_anything(photo_paths: list[Path], make_spec) -> None:
    data = min((path.read_bytes() for path in photo_paths), key=len)
    spec = make_spec((8, 8))
    for at in range(4, 200, 3):
        for value in (0x00, 0x7F, 0xFF):
            _check(data[:at] + bytes([value]) + data[at + 1 :], spec, "fast")
