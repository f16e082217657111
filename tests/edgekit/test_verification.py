"""`verify` proves each part of a bundle, and names the one that fails."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
from edgekit import verification
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, ImageError, RuntimeUnavailableError
from edgekit.results import Candidate
from edgekit.verification import Verification, verify
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from pathlib import Path


def test_a_good_bundle_passes(tiny_bundle: Path) -> None:
    found = verify(open_bundle(tiny_bundle))
    assert found.passed
    assert (found.members, found.pixels_max, found.texts) == (len(tiny.contents(tiny_bundle)) - 1, 0, 4)
    (candidate,) = found.candidates
    assert candidate.milliseconds is not None
    assert candidate.milliseconds > 0
    assert len(candidate.checks) == 2


def test_every_variant_is_tried_on_every_runtime_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two, gone = SpyRuntime("two", offers=("npu", "cpu")), SpyRuntime("gone", absent="not installed")
    install(monkeypatch, two, gone)
    found = verify(open_bundle(tiny.build(tmp_path / "b.edge", variants=("fp32", "wrong"))))
    tried = [(c.variant, c.runtime, c.device, c.ran, c.accepted) for c in found.candidates]
    assert tried == [
        ("fp32", "two 9.9", "npu", True, True),
        ("fp32", "two 9.9", "cpu", True, True),
        ("wrong", "two 9.9", "npu", True, False),
        ("wrong", "two 9.9", "cpu", True, False),
    ]
    assert not found.passed
    assert not two.opened  # everything was closed again


def test_an_absent_runtime_fails_nothing(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("here"), SpyRuntime("gone", absent="not installed"))
    assert verify(open_bundle(tiny_bundle)).passed


def test_without_any_runtime_there_is_no_verdict(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime(absent="not installed"))
    with pytest.raises(RuntimeUnavailableError, match="not installed"):
        verify(open_bundle(tiny_bundle))


def test_something_must_have_run() -> None:
    absent = Candidate("fp32", "r", "cpu", False, False, "absent", None, ())
    good = Candidate("fp32", "r 1", "cpu", True, True, "", 1.0, ())
    bad = Candidate("fp32", "r 1", "cpu", True, False, "wrong", None, ())
    for candidates, passed in (((), False), ((absent,), False), ((good, absent), True), ((good, bad), False)):
        assert Verification(1, 0, 1, candidates).passed is passed


@pytest.mark.parametrize("member", ["card.md", "text/tokenizer.json", "golden/photo0.jpg", "variants/fp32/text.onnx"])
def test_a_flipped_byte_in_any_member_is_told(tiny_folder: Path, tmp_path: Path, member: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    data = bytearray((folder / member).read_bytes())
    data[len(data) // 2] ^= 4
    (folder / member).write_bytes(data)
    with pytest.raises(BundleError, match=f"{member}: the SHA-256"):
        verify(open_bundle(folder))


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("levels", [1, 2])
def test_pixels_may_differ_by_one_level(tmp_path: Path, levels: int) -> None:
    original = tiny.build(tmp_path / "a.edge")
    pixels = np.array(Image.open(io.BytesIO(tiny.contents(original)["golden/pixels0.png"])))
    pixels[3, 4, 1] += levels if pixels[3, 4, 1] < 128 else -levels
    bundle = open_bundle(tiny.build(tmp_path / "b.edge", extra={"golden/pixels0.png": png(pixels)}))
    if levels <= verification.PIXEL_LIMIT:
        assert verify(bundle).pixels_max == levels
        return
    with pytest.raises(BundleError, match=r"golden/photo0\.jpg: preprocessing here differs by 2 levels"):
        verify(bundle)


def test_a_golden_photo_that_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "b.edge", extra={"golden/photo1.jpg": b"\xff\xd8\xff\xe0 cut"})
    with pytest.raises(ImageError):
        verify(open_bundle(bundle))


def test_a_tokenizer_that_gives_other_ids_is_told(tmp_path: Path) -> None:
    from tokenizers import normalizers

    other = tiny.make_tokenizer()
    other.normalizer = normalizers.Replace("coffee", "water")
    bundle = tiny.build(tmp_path / "b.edge", extra={"text/tokenizer.json": other.to_str().encode()})
    with pytest.raises(BundleError, match="the tokenizer gives other ids here for 'a cup of coffee'"):
        verify(open_bundle(bundle))
