"""The usual script as a contender: its pixels, its variant, its embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgekit
import litert_towers
import tiny_bundle
from edgekit.benchmarks.versus import bare
from edgekit.benchmarks.versus.records import Contender
from edgekit.bundle.manifest import ImageSpec
from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError
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
