"""The usual script as a contender: its pixels, its variant, its embeddings."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import edgekit
import litert_towers
import tiny_bundle
from edgekit.benchmarks.versus import bare
from edgekit.benchmarks.versus.records import Contender
from edgekit.bundle.manifest import ImageSpec
from edgekit.bundle.reader import open_bundle
from edgekit.errors import ImageError, InputError
from edgekit.preprocess import preprocess

SPEC = ImageSpec(32, 32, "shortest", 32, "bicubic", (9, 8, 7), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, shortest_edge=37, crop_rounding="floor"),
        replace(SPEC, shortest_edge=37),
        replace(SPEC, resize_mode="squash", shortest_edge=0, interpolation="bilinear"),
        replace(SPEC, resize_mode="squash", shortest_edge=40),
    ],
    ids=["shortest", "crop floor", "crop even", "squash", "squash crop"],
)
def test_pixels_are_those_of_the_exact_preprocessing(photos: list[Path], spec: ImageSpec) -> None:
    for photo in photos:
        assert np.array_equal(bare.pixels(str(photo), spec), preprocess(photo, spec, decoding="exact"))


def test_padding_has_the_colour(tmp_path: Path) -> None:
    Image.new("RGB", (64, 32), (200, 100, 50)).save(tmp_path / "wide.png")
    found = bare.pixels(str(tmp_path / "wide.png"), replace(SPEC, resize_mode="longest", shortest_edge=0))
    assert found.shape == (32, 32, 3)
    assert found[0, 0].tolist() == [9, 8, 7]
    assert found[16, 16].tolist() == [200, 100, 50]


def test_its_embeddings_are_the_bundles(tiny_bundle: Path, photos: list[Path]) -> None:
    paths = [str(photo) for photo in photos]
    found, embed = bare.opened(Contender("bare", "onnxruntime", str(tiny_bundle), threads=1), paths)
    with edgekit.load(tiny_bundle) as clip:
        expected = clip.embed_images(paths, decoding="exact")
    rows = np.stack([embed(i) for i in range(len(paths))])
    assert np.abs(rows - expected).max() < 1e-5
    assert (found.variant, found.precision, found.threads, found.device) == ("fp32", "fp32", 1, "cpu")
    assert found.model == "tiny 1, variants/fp32/image.onnx"
    assert found.engine.startswith("onnxruntime ")
    assert found.digest == open_bundle(tiny_bundle).digest


def test_a_float_variant_comes_first(tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle_with_a_quantized_one(tmp_path))
    assert bare.plain_variant(bundle, "").id == "fp32"
    assert bare.plain_variant(bundle, "wrong").id == "wrong"


def test_what_a_compiler_made_whole_numbers_of_is_no_float_variant(tmp_path: Path) -> None:
    def change(manifest: edgekit.bundle.manifest.Manifest) -> edgekit.bundle.manifest.Manifest:
        first, *rest = manifest.variants
        return replace(manifest, variants=(replace(first, precision="w8a8"), *rest))

    path = tiny_bundle.build(tmp_path / "two.edge", variants=("wrong", "fp32"), change=change)
    assert bare.plain_variant(open_bundle(path), "").id == "fp32"


def tiny_bundle_with_a_quantized_one(folder: Path) -> Path:
    def change(manifest: edgekit.bundle.manifest.Manifest) -> edgekit.bundle.manifest.Manifest:
        first, *rest = manifest.variants
        return replace(manifest, variants=(replace(first, quantization="decision.json"), *rest))

    return tiny_bundle.build(
        folder / "two.edge", variants=("wrong", "fp32"), change=change, extra={"decision.json": b"{}"}
    )


def test_other_formats_are_refused(tmp_path: Path) -> None:
    bundle = open_bundle(litert_towers.bundle(tmp_path / "lite.edge"))
    with pytest.raises(InputError, match=r"opens ONNX files; the bundle has fp32 \(onnx\), litert \(tflite\)"):
        bare.plain_variant(bundle, "litert")


SPECS = st.builds(
    lambda mode, width, height, edge, rounding, how: replace(
        SPEC,
        width=width,
        height=width if mode == "squash" else height,
        resize_mode=mode,
        shortest_edge=0 if mode == "longest" else edge,
        crop_rounding=rounding,
        interpolation=how,
    ),
    st.sampled_from(["shortest", "squash", "longest"]),
    st.integers(4, 40),
    st.integers(4, 40),
    st.just(0) | st.integers(4, 48),
    st.sampled_from(["floor", "half_even"]),
    st.sampled_from(["bicubic", "bilinear"]),
)
SIDES = st.integers(6, 90)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SPECS, st.integers(1, 8), st.sampled_from(["RGB", "L"]))
def test_pixels_of_any_photo_are_those_of_the_exact_preprocessing(
    width: int, height: int, spec: ImageSpec, orientation: int, mode: str
) -> None:
    """Turned by its camera or not, cropped or padded: else the usual script would be called another model."""
    shape = (height, width) if mode == "L" else (height, width, 3)
    image = Image.fromarray(np.random.default_rng(width).integers(0, 256, shape, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "a.png"
        image.save(photo, exif=exif)
        try:
            wanted = preprocess(photo, spec, decoding="exact")
        except ImageError as error:
            with pytest.raises(ImageError, match="too thin for this model"):
                bare.pixels(str(photo), spec)
            assert "too thin for this model" in str(error)
            return
        found = bare.pixels(str(photo), spec)
    assert found.shape == (spec.height, spec.width, 3)
    np.testing.assert_array_equal(found, wanted)


def test_a_strip_is_refused_as_the_sdk_refuses_it(tmp_path: Path) -> None:
    Image.new("RGB", (400, 1)).save(tmp_path / "strip.png")
    with pytest.raises(ImageError, match=r"strip\.png: an image of 400x1 pixels is too thin for this model"):
        bare.pixels(str(tmp_path / "strip.png"), replace(SPEC, resize_mode="longest", shortest_edge=0))
