"""Files that must be refused: each with its name, what is wrong and what to do, and nothing on stderr."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from edgekit.errors import ImageError, InputError
from edgekit.preprocess import DEFAULT_MAX_PIXELS, decode, preprocess
from edgekit.preprocess.tiff import directory_is_whole

ENCODINGS = {
    "jpeg": ("JPEG", {}),
    "jpeg-progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
# In these, nothing that follows the pixels can be missed.
MARKED_END = ("jpeg", "jpeg-progressive", "png", "webp", "webp-lossless")


def _cuts(length: int) -> list[int]:
    return sorted({*range(1, 40), *range(40, length, max(1, length // 60)), *range(length - 12, length)})


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_truncated_file_is_refused_or_whole(name, cat, encode) -> None:
    kind, options = ENCODINGS[name]
    data = encode(cat, kind, **options)
    whole = decode(data)
    for cut in _cuts(len(data)):
        try:
            pixels = decode(data[:cut])
        except ImageError as error:
            assert str(error).startswith("<bytes>: "), cut
        else:
            assert name not in MARKED_END, f"{name} cut at {cut} of {len(data)} was accepted"
            np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize(("mark", "big"), [(b"II*\0", False), (b"MM\0*", False), (b"II+\0", True), (b"MM\0+", True)])
def test_a_tiff_directory_must_lie_inside_the_file(mark, big) -> None:
    order, word = ("<" if mark[:2] == b"II" else ">"), ("Q" if big else "I")
    head = mark + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
    entry = struct.pack(order + "HH" + word + word, 270, 2, 40, 1000)  # 40 characters at 1000
    data = head + struct.pack(order + ("Q" if big else "H"), 1) + entry
    assert directory_is_whole(data.ljust(1040, b"."))
    for cut in (1039, 1000, len(data), len(data) - 1, len(head) + 1, len(head), 9, 4):
        assert not directory_is_whole(data.ljust(1040, b".")[:cut]), cut
    with pytest.raises(ImageError, match=r"^<bytes>: is truncated: .* the TIFF data is not complete"):
        decode(data)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "png", "webp"])
def test_truncation_is_refused_even_where_pillow_was_told_to_fill_in(name, cat, encode, monkeypatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    kind, options = ENCODINGS[name]
    data = encode(cat, kind, **options)
    for cut in _cuts(len(data)):
        with pytest.raises(ImageError):
            decode(data[:cut])


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo(cat, encode, monkeypatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    thumbnail = encode(cat.resize((16, 16)), "JPEG")
    data = encode(cat, "JPEG", comment=thumbnail)
    assert decode(data).shape == (67, 101, 3)
    with pytest.raises(
        ImageError, match=r"^<bytes>: is truncated: after [0-9,]+ bytes the JPEG data is not complete; copy"
    ):
        decode(data[:-40])


def test_bytes_after_the_end_do_no_harm(cat, encode) -> None:
    for kind, options in ENCODINGS.values():
        data = encode(cat, kind, **options)
        np.testing.assert_array_equal(decode(data + b"\0appended by a phone" * 9), decode(data))


def _tiff_with_directory_first(payload: bytes, stated: int, compression: int) -> bytes:
    """A grey 64 x 64 TIFF of one strip, whose data comes last, as scanners write them."""
    tags = [(256, 64), (257, 64), (258, 8), (259, compression), (262, 1), (273, 0), (277, 1), (278, 64), (279, stated)]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + b"\0\0\0\0" + payload


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_that_loses_its_last_strip(compression) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8).tobytes()
    payload = pixels if compression == 1 else zlib.compress(pixels)
    data = _tiff_with_directory_first(payload, len(payload), compression)
    assert decode(data)[..., 0].tobytes() == pixels
    for lost in (5, 100, 1000, len(payload) - 1, len(payload)):
        with pytest.raises(ImageError, match=r"^<bytes>: "):
            decode(data[:-lost])


def test_zero_bytes(tmp_path) -> None:
    with pytest.raises(ImageError, match=r"^<bytes>: is empty \(0 bytes\); give"):
        decode(b"")
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: is empty \(0 bytes\)"):
        decode(path)


@pytest.mark.parametrize("data", [b"hello", b"\xff\xd8", b"GIF89a" + bytes(40), b"%PDF-1.7", b"\x00" * 500, b"{}"])
def test_what_is_no_image(data, tmp_path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"is not a JPEG, PNG, WebP, BMP or TIFF image .*; convert it") as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(ImageError, match=r"^<bytes>: is not a JPEG"):
        decode(data)


def test_the_extension_means_nothing(cat, encode, tmp_path) -> None:
    for kind, name in (("PNG", "a.jpg"), ("JPEG", "b.tiff"), ("BMP", "c"), ("WEBP", "d.txt"), ("TIFF", "e.png")):
        (tmp_path / name).write_bytes(encode(cat, kind))
        assert decode(tmp_path / name).shape == (67, 101, 3)
        assert decode(str(tmp_path / name)).shape == (67, 101, 3)


def test_a_missing_path_and_a_directory(tmp_path) -> None:
    with pytest.raises(ImageError, match=r"no such file; check the path") as caught:
        decode(tmp_path / "none.jpg")
    assert str(caught.value).startswith(f"{tmp_path / 'none.jpg'}: ")
    with pytest.raises(ImageError, match=r": is a directory; give an image file"):
        decode(tmp_path)
    with pytest.raises(ImageError, match=r": cannot be read: .*; check the path"):
        decode(_file(tmp_path) / "inside.jpg")
    with pytest.raises(ImageError, match="not a usable path"):
        decode("nul\0byte.jpg")
    with pytest.raises(ImageError, match=": no such file"):
        decode("")


def _file(folder: Path) -> Path:
    path = folder / "file"
    path.write_text("x", encoding="utf-8")
    return path


def test_a_pipe_a_socket_and_a_device_do_not_block(tmp_path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match=r"pipe: is not a regular file but a pipe, socket or device"):
        decode(tmp_path / "pipe")
    with pytest.raises(ImageError, match=r"^/dev/zero: is not a regular file"):
        decode("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        server.bind("socket")
        with pytest.raises(ImageError, match=r"^socket: is not a regular file"):
            decode("socket")


@pytest.mark.parametrize("source", [None, 7, 3.5, ["a.jpg"], object()])
def test_what_is_not_even_a_source(source) -> None:
    with pytest.raises(ImageError, match=rf"^<{type(source).__name__}>: is not an image; give a path"):
        decode(source)


def _png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_from_its_header() -> None:
    bomb = _png_claiming(100_000, 100_000)
    with pytest.raises(ImageError, match=r"^<bytes>: 100000x100000 is 10,000,000,000 pixels, above .*raise max_pixels"):
        decode(bomb)
    assert DEFAULT_MAX_PIXELS == 178_956_970


def test_the_limit_is_the_callers(cat, encode, make_spec) -> None:
    for source in (encode(cat, "JPEG"), encode(cat, "WEBP"), encode(cat, "TIFF"), cat):
        assert decode(source, max_pixels=101 * 67).shape == (67, 101, 3)
        with pytest.raises(ImageError, match=r": 101x67 is 6,767 pixels, above the limit of 6,766"):
            preprocess(source, make_spec(), max_pixels=101 * 67 - 1)
    with pytest.raises(InputError, match="max_pixels is 0; give at least 1"):
        decode(cat, max_pixels=0)


def test_a_limit_above_pillows_own_is_honoured(monkeypatch, cat, encode) -> None:
    # Pillow's limit is process-wide; edgekit must neither raise it for others nor be bound by it.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("JPEG", "PNG", "BMP"):
        assert decode(encode(cat, kind)).shape == (67, 101, 3)


def test_a_damaged_body_names_the_file(cat, encode, tmp_path) -> None:
    data = bytearray(encode(cat, "PNG"))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path = tmp_path / "damaged.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"damaged\.png: the pixels cannot be decoded: .*; the file is damaged"):
        decode(path)


def test_a_pillow_image_that_cannot_be_decoded(cat, encode, tmp_path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(cat, "JPEG")[:1500])
    with pytest.raises(ImageError, match=r"cut\.jpg: the pixels cannot be decoded"):
        decode(Image.open(path))
    premultiplied = Image.new("La", (4, 4))
    with pytest.raises(ImageError, match=r"^<image>: mode La cannot be converted"):
        decode(premultiplied)


def test_nothing_reaches_stderr(cat, encode, tmp_path) -> None:
    # Damage inside compressed TIFF strips is left out: libtiff, inside Pillow, prints a line that Python cannot stop.
    names = [name for name in ENCODINGS if not name.startswith("tiff-")]
    for name in names:
        kind, options = ENCODINGS[name]
        data = encode(cat, kind, **options)
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 0xFF
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
        (tmp_path / f"{name}-flipped").write_bytes(flipped)
        (tmp_path / f"{name}-head").write_bytes(data[:40])
    program = (
        "import sys, pathlib\nfrom edgekit.preprocess import decode\nfrom edgekit.errors import ImageError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        decode(path)\n    except ImageError as error:\n        sys.stdout.write(f'{error}\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) >= 2 * len(names)
