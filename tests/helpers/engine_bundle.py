"""One tiny bundle with the same towers in the formats of several engines: ONNX, TensorFlow Lite, MNN."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import onnx

import litert_towers
import mnn_models
import tiny_bundle
from edgekit.bundle.manifest import Manifest, TowerRecord, VariantRecord
from tiny_towers import save_image_tower, save_text_tower, weights

RUNTIMES = {"fp32": ("onnxruntime", "openvino"), "litert": ("litert",), "mnn": ("mnn",)}
"""Variants, and the runtimes that open them."""


def build(path: Path) -> Path:
    """Write the bundle."""
    words = weights(0, tiny_bundle.make_tokenizer().get_vocab_size())
    members = {
        "litert/image.tflite": litert_towers.image_tower(words),
        "litert/text.tflite": litert_towers.text_tower(words),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tower, save in (("image", save_image_tower), ("text", save_text_tower)):
            save(folder / f"{tower}.onnx", words)
            onnx.save(onnx.load(folder / f"{tower}.onnx"), folder / f"{tower}.whole.onnx")
            out = mnn_models.convert(folder / f"{tower}.whole.onnx", folder / f"{tower}.mnn")
            members[f"mnn/{tower}.mnn"] = out.read_bytes()
    extra = {f"variants/{name}": data for name, data in members.items()}
    return tiny_bundle.build(path, extra=extra, change=_with_engines)


def _with_engines(manifest: Manifest) -> Manifest:
    (first,) = manifest.variants
    return replace(manifest, variants=(first, _variant(first, "litert", "tflite"), _variant(first, "mnn", "mnn")))


def _variant(like: VariantRecord, kind: str, ending: str) -> VariantRecord:
    def tower(name: str, record: TowerRecord | None) -> TowerRecord:
        assert record is not None
        return replace(record, artifact=f"variants/{kind}/{name}.{ending}", sidecars=())

    image, text = tower("image", like.image), tower("text", like.text)
    return replace(like, id=kind, format=ending, image=image, text=text, toolchain={"engine_bundle": "1"})
