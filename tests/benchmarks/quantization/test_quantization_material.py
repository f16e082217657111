"""What contenders are given: batches, captions or templated labels, and files out of quantized bundles."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.benchmarks.quantization import contenders, harness, material
from edgekit.benchmarks.quantization.material import Inputs
from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset, split
from edgekit.preprocess import preprocess
from edgekit.text import TextEncoder
from small_sets import picture

IMAGES = 24
WORDS = ("cat", "dog", "cup", "rocket")


def _set(folder: Path, column: str) -> Path:
    folder.mkdir()
    rows = [("path", column)]
    for number in range(IMAGES):
        (folder / f"{number:02}.png").write_bytes(picture(number))
        rows.append((f"{number:02}.png", WORDS[number % 4] if column == "label" else f"a {WORDS[number % 4]} {number}"))
    with (folder / "set.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def _texts(path: Path, texts: list[str]) -> list[list[int]]:
    opened = open_bundle(path)
    encoder = TextEncoder(bytes(opened.read(opened.manifest.text.tokenizer)), opened.manifest.text)
    return [encoder.encode([text])[0].tolist() for text in texts]


@pytest.mark.parametrize("column", ["label", "caption"])
def test_labels_are_put_into_the_first_template_and_captions_are_not(
    tiny_bundle: Path, tmp_path: Path, column: str
) -> None:
    data = _set(tmp_path / "data", column)
    found = material.prepare(tiny_bundle, data, tmp_path / "m", calibrate=3, limit=100)
    _, held_out = split(open_dataset(data), material._PARTS, material._SPLIT_SEED)
    texts = [f"a photo of {text}" if column == "label" else text for text in held_out.texts]
    assert [batch[0].tolist() for batch in found.held_out.padded] == _texts(tiny_bundle, texts)
    assert found.targets == held_out.targets
    assert found.data == (held_out.name, held_out.digest)
    assert (found.name, sorted(found.masters)) == ("tiny", ["image", "text"])


def test_a_limit_keeps_the_first_images_with_their_targets_and_every_text(tiny_bundle: Path, tmp_path: Path) -> None:
    data = _set(tmp_path / "data", "caption")
    whole = material.prepare(tiny_bundle, data, tmp_path / "a", calibrate=2, limit=100)
    part = material.prepare(tiny_bundle, data, tmp_path / "b", calibrate=1, limit=5)
    assert (len(part.held_out.pixels), len(part.targets), len(part.calibration.pixels)) == (5, 5, 1)
    assert part.targets == whole.targets[:5]
    for one, other in zip(part.held_out.pixels, whole.held_out.pixels[:5], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(part.held_out.ids) == len(whole.held_out.ids)
    assert len(part.calibration.ids) == len(whole.calibration.ids) > 2


def test_pixels_and_ids_are_those_of_the_sdk(tiny_bundle: Path, tmp_path: Path) -> None:
    data = _set(tmp_path / "data", "caption")
    found = material.prepare(tiny_bundle, data, tmp_path / "m", calibrate=1, limit=3)
    _, held_out = split(open_dataset(data), material._PARTS, material._SPLIT_SEED)
    spec = open_bundle(tiny_bundle).manifest.image
    np.testing.assert_array_equal(found.held_out.pixels[2][0], preprocess(held_out.items[2].read(), spec))
    for ids, padded in zip(found.held_out.ids, found.held_out.padded, strict=True):
        assert ids.ndim == padded.ndim == 2
        assert ids.dtype == padded.dtype == np.int32
        length = ids.shape[1]
        assert length <= padded.shape[1] == tiny.CONTEXT_LENGTH
        np.testing.assert_array_equal(padded[0, :length], ids[0])
        assert (padded[0, length:] == tiny.PAD_ID).all()


def test_the_towers_are_unpacked_with_their_weights(tiny_bundle: Path, tmp_path: Path) -> None:
    found = material.prepare(tiny_bundle, _set(tmp_path / "data", "label"), tmp_path / "m", calibrate=1, limit=1)
    members = tiny.contents(tiny_bundle)
    for tower, path in found.masters.items():
        assert path.read_bytes() == members[f"variants/fp32/{tower}.onnx"]
    assert (tmp_path / "m" / "image" / "image.onnx.data").read_bytes() == members["variants/fp32/image.onnx.data"]


def test_a_set_too_small_to_be_split_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1))
    (tmp_path / "1.txt").write_text("one")
    with pytest.raises(InputError, match="gets none of the 1 images"):
        material.prepare(tiny_bundle, tmp_path, tmp_path / "m", calibrate=1, limit=1)


# files out of bundles


def _quantized(path: Path, *kinds: str, formats: dict[str, str] | None = None) -> Path:
    def change(manifest: tiny.Manifest) -> tiny.Manifest:
        variants = tuple(
            replace(
                variant,
                precision="int8",
                quantization="quantization/x.json",
                format=(formats or {}).get(variant.id, "onnx"),
            )
            if variant.id in kinds
            else variant
            for variant in manifest.variants
        )
        return replace(manifest, variants=variants)

    return tiny.build(path, variants=("fp32", "static", "wrong"), change=change, extra={"quantization/x.json": b"{}"})


def test_the_one_quantized_variant_bears_the_name_that_was_given(tmp_path: Path) -> None:
    (found,) = contenders.from_bundle("ours", _quantized(tmp_path / "a.edge", "wrong"))
    assert (found.name, found.runtime, found.format) == ("ours", "onnxruntime", "onnx")


def test_several_variants_keep_names_of_their_own(tmp_path: Path) -> None:
    found = contenders.from_bundle("ours", _quantized(tmp_path / "a.edge", "wrong", "static"))
    assert [one.name for one in found] == ["ours (static)", "ours (wrong)"]


def test_a_variant_of_another_format_runs_on_its_runtime(tmp_path: Path) -> None:
    path = _quantized(tmp_path / "a.edge", "wrong", "static", formats={"wrong": "tflite"})
    found = contenders.from_bundle("ours", path)
    assert [(one.name, one.runtime, one.format) for one in found] == [
        ("ours", "onnxruntime", "onnx"),
        ("ours (tflite)", "litert", "tflite"),
    ]


def test_files_are_copied_out_as_they_are_and_open(tmp_path: Path) -> None:
    path = _quantized(tmp_path / "a.edge", "wrong")
    (found,) = contenders.from_bundle("ours", path)
    members, empty = tiny.contents(path), Inputs((), (), ())
    for tower in ("image", "text"):
        found.build(tmp_path / "unused", tmp_path / f"{tower}.onnx", tower, empty)
        assert (tmp_path / f"{tower}.onnx").read_bytes() == members[f"variants/wrong/{tower}.onnx"]
    session = harness.open_file(tmp_path / "image.onnx", found.runtime, found.format, 1)
    size = open_bundle(path).manifest.image.height
    rows = harness.embed(session, [np.zeros((1, size, size, 3), np.uint8)] * 2)
    session.close()
    assert rows.shape == (2, tiny.DIMENSION)
    assert harness.size(tmp_path / "image.onnx") == sum(
        len(members[f"variants/wrong/image.onnx{suffix}"]) for suffix in ("", ".data")
    )


def test_each_tower_is_calibrated_on_its_own_inputs() -> None:
    one, two, three = (np.full((1, 2), number) for number in range(3))
    inputs = Inputs((one,), (two,), (three,))
    assert contenders.calibration("image", inputs) == (one,)
    assert contenders.calibration("text", inputs) == (three,)


def test_an_unknown_method_is_an_error(tmp_path: Path, tiny_bundle: Path) -> None:
    made = material.prepare(tiny_bundle, _set(tmp_path / "data", "label"), tmp_path / "m", calibrate=1, limit=1)
    with pytest.raises(KeyError, match="int3"):
        contenders.uniform("int3")(made.masters["text"], tmp_path / "t.onnx", "text", made.calibration)
    assert not (tmp_path / "t.onnx").exists()
