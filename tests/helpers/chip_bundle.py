"""A bundle of the saturating fixture: a float variant, and a static int8 one that some processors compute wrongly."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from edgekit.bundle import provenance
from edgekit.bundle.manifest import (
    SCHEMA_VERSION,
    Agreement,
    EmbeddingSpec,
    GoldenImage,
    GoldenSpec,
    GoldenText,
    ImageSpec,
    Manifest,
    SourceRecord,
    TensorSpec,
    TextSpec,
    TowerRecord,
    VariantRecord,
)
from edgekit.bundle.writer import write_bundle
from edgekit.converters.verdict import tolerance

FIXTURE = Path(__file__).parents[1] / "fixtures" / "saturating"
SIZE, DIMENSION = 64, 24
# What the int8 file scores where it is computed right: measured with graph optimisations off, see the README there.
_MEASURED = {"fp32": Agreement(8, 1e-6, 1.0, 1.0, 1.0, 1.0), "int8": Agreement(8, 0.05, 0.993, 0.996, 0.995, 0.996)}


def build(path: Path, variants: tuple[str, ...]) -> Path:
    """Write the bundle with the variants named; return `path`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = tuple(_photo(folder, photo) for photo in sorted(FIXTURE.glob("*_?.png")))
        for member in ("image_embeddings.npy", "text_embeddings.npy"):
            shutil.copy(FIXTURE / member, folder / "golden" / member)
        (folder / "text").mkdir()
        shutil.copy(FIXTURE / "tokenizer.json", folder / "text" / "tokenizer.json")
        vocabulary = json.loads((FIXTURE / "tokenizer.json").read_text())
        words = sorted(("astronaut", "cat", "coffee", "rocket"))
        golden = GoldenSpec(
            images,
            tuple(GoldenText(word, (vocabulary["model"]["vocab"][word],)) for word in words),
            "golden/image_embeddings.npy",
            "golden/text_embeddings.npy",
        )
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name="saturating",
            version="1",
            license="Apache-2.0",
            description="First blocks of EfficientNet-Lite0.",
            source=SourceRecord("tests:saturating", "0" * 64),
            embedding=EmbeddingSpec("saturating", DIMENSION, 20.0, 0.0, "softmax"),
            image=ImageSpec(SIZE, SIZE, "shortest", SIZE, "bicubic", (0, 0, 0), (0.498,) * 3, (0.502,) * 3),
            text=TextSpec("text/tokenizer.json", vocabulary["truncation"]["max_length"], 0, "none", False, ("{}",)),
            variants=tuple(_variant(folder, variant) for variant in variants),
            golden=golden,
            provenance=provenance.extend((), "quantize", {"tool": "onnxruntime.quantization.quantize_static"}),
            files=(),
        )
        write_bundle(path, manifest, folder)
    return path


def _photo(folder: Path, photo: Path) -> GoldenImage:
    (folder / "golden").mkdir(exist_ok=True)
    Image.open(photo).save(folder / "golden" / f"pixels_{photo.name}")
    shutil.copy(photo, folder / "golden" / photo.name)
    return GoldenImage(f"golden/{photo.name}", f"golden/pixels_{photo.name}")


def _variant(folder: Path, precision: str) -> VariantRecord:
    home = folder / "variants" / precision
    home.mkdir(parents=True)
    shutil.copy(FIXTURE / f"image_{precision}.onnx", home / "image.onnx")
    shutil.copy(FIXTURE / "text.onnx", home / "text.onnx")
    output = TensorSpec("embedding", "float32", ("N", DIMENSION))

    def tower(name: str, given: TensorSpec, found: Agreement) -> TowerRecord:
        return TowerRecord(f"variants/{precision}/{name}.onnx", (), given, output, found, tolerance(found))

    image = tower("image", TensorSpec("pixels", "uint8", ("N", SIZE, SIZE, 3)), _MEASURED[precision])
    text = tower("text", TensorSpec("token_ids", "int32", ("N", "L")), _MEASURED["fp32"])
    return VariantRecord(precision, "onnx", "any", precision, image, text, {})
