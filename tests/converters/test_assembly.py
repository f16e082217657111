"""What the steps found becomes a bundle that opens and proves itself, with every fact in its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import work_folder
from edgekit import __version__
from edgekit.bundle import provenance
from edgekit.bundle.manifest import Agreement, Manifest, VariantRecord
from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.bundle.writer import write_bundle
from edgekit.converters import assembly, engine_worker
from edgekit.converters.assembly import Identity, build_tree, precision_of
from edgekit.converters.check_inputs import GOLDEN_PHOTOS, GOLDEN_TEXTS
from edgekit.errors import BundleError
from edgekit.verification import verify
from tiny_towers import embed_ids, embed_pixels
from work_folder import Work

NOBODY = Identity(None, None, ())
FOUND = Agreement(9, 2e-4, 0.9991, 0.9995, 0.9987, 0.999)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return made(tmp_path / "work")


def made(folder: Path, **facts: object) -> Work:
    work = work_folder.make(folder, **facts)
    engine_worker.main(folder, "float32")
    return work


def packed(work: Work, out: Path, identity: Identity = NOBODY, **changes: object) -> Bundle:
    manifest, _ = build_tree(work.folder, work.result(**changes), identity)
    write_bundle(out, manifest, work.folder / assembly.TREE)
    return open_bundle(out)


def test_the_tree_becomes_a_bundle_that_proves_itself(work: Work, tmp_path: Path) -> None:
    bundle = packed(work, tmp_path / "out.edge")
    assert verify(bundle).passed
    manifest = bundle.manifest
    assert (manifest.name, manifest.license, manifest.embedding.space) == ("tiny", "MIT", "space-of-tests")
    (variant,) = manifest.variants
    assert variant.toolchain["edgekit"] == __version__
    assert {"tiny", "onnxruntime"} <= set(variant.toolchain)
    assert manifest.text is not None
    assert (manifest.text.trim_padding, manifest.text.tokenizer) == (True, "text/tokenizer.json")


def test_sizes_are_those_of_graph_and_weights(work: Work) -> None:
    graph, data, text = (
        (work.folder / "float32" / name).stat().st_size for name in ("image.onnx", "image.onnx.data", "text.onnx")
    )
    _, sizes = build_tree(work.folder, work.result(), NOBODY)
    assert sizes == {"image": graph + data, "text": text}


def test_what_the_user_chose_comes_before_what_the_source_says(work: Work, tmp_path: Path) -> None:
    bundle = packed(work, tmp_path / "out.edge", Identity("mine", "CC0-1.0", ("one {}", "two {}")))
    assert (bundle.manifest.name, bundle.manifest.license) == ("mine", "CC0-1.0")
    assert bundle.manifest.text is not None
    assert bundle.manifest.text.templates == ("one {}", "two {}")
    assert bytes(bundle.read("card.md")).decode().startswith("# mine\n")


def test_an_empty_choice_is_none(work: Work) -> None:
    manifest, _ = build_tree(work.folder, work.result(), Identity("", "", ()))
    assert (manifest.name, manifest.license) == ("tiny", "MIT")


def test_golden_vectors_are_the_first_photos_and_texts(work: Work, tmp_path: Path) -> None:
    bundle = packed(work, tmp_path / "out.edge")
    golden = bundle.manifest.golden
    assert (len(golden.images), len(golden.texts)) == (GOLDEN_PHOTOS, GOLDEN_TEXTS)
    for index, (record, photo) in enumerate(zip(golden.images, work.photos, strict=False)):
        assert bytes(bundle.read(record.photo)) == photo.read_bytes()
        with Image.open(work.folder / assembly.TREE / record.pixels) as lossless:
            np.testing.assert_array_equal(np.asarray(lossless), work.pixels[index])
    for record, text, row in zip(golden.texts, work_folder.TEXTS, work.ids, strict=False):
        assert record.text == text
        used = int((row != 0).sum())
        assert record.token_ids == tuple(row[:used].tolist())  # without the padding, which the record states once
    tree = work.folder / assembly.TREE
    images, texts = np.load(tree / golden.image_embeddings), np.load(tree / golden.text_embeddings)
    assert images.dtype == texts.dtype == np.dtype("<f4")
    np.testing.assert_allclose(images, embed_pixels(work.weights, work.pixels[:GOLDEN_PHOTOS]), atol=1e-6)
    np.testing.assert_allclose(texts, embed_ids(work.weights, work.ids[:GOLDEN_TEXTS]), atol=1e-6)


def test_fewer_photos_than_golden_ones_are_all_golden(work: Work) -> None:
    manifest, _ = build_tree(work.folder, work.result(photos=work.photos[:2]), NOBODY)
    assert len(manifest.golden.images) == 2
    assert np.load(work.folder / assembly.TREE / manifest.golden.image_embeddings).shape[0] == 2


def test_the_history_of_the_source_is_continued(tmp_path: Path) -> None:
    trained = provenance.extend((), "distill", {"teacher": "big"})
    manifest, _ = build_tree((work := made(tmp_path / "work", history=trained)).folder, work.result(), NOBODY)
    assert [step.action for step in manifest.provenance] == ["distill", "convert"]
    assert provenance.problem(manifest.provenance) == ""
    details = manifest.provenance[-1].details
    assert (details["source"], details["weights_sha256"]) == ("tiny:work", "cd" * 32)
    assert (details["image_storage"], details["version_tiny"]) == ("float32", "1")


def test_sections_and_attachments_of_the_source_are_packed(tmp_path: Path) -> None:
    curve = tmp_path / "curve.svg"
    curve.write_bytes(b"<svg/>")
    sections = {"Training": "It took a while.", "Limits": "Many."}
    work = made(tmp_path / "work", sections=sections, attachments={"report/curve.svg": str(curve)})
    bundle = packed(work, tmp_path / "out.edge")
    page = bytes(bundle.read("card.md")).decode()
    assert page.index("## Measured") < page.index("## Training\n\nIt took") < page.index("## Limits\n\nMany.")
    assert bytes(bundle.read("report/curve.svg")) == b"<svg/>"


def test_each_tower_has_its_own_figures_and_tolerance(work: Work) -> None:
    fidelity = {"image": FOUND, "text": work_folder.PERFECT}
    manifest, _ = build_tree(work.folder, work.result(fidelity=fidelity), NOBODY)
    variant = manifest.variants[0]
    assert variant.image is not None
    assert variant.text is not None
    assert (variant.image.fidelity, variant.text.fidelity) == (FOUND, work_folder.PERFECT)
    # Three times the measured loss for the one; for the other the least that a device may add.
    assert variant.image.tolerance.cosine_min == pytest.approx(1 - 3 * (1 - 0.9991), abs=1e-6)
    assert variant.text.tolerance.cosine_min == pytest.approx(1 - 1e-4)


@pytest.mark.parametrize(
    ("image", "text", "precision"),
    [
        ("float32", "float32", "fp32"),
        ("float16", "float16", "fp16-weights"),
        ("int8", "int8", "int8"),
        ("float16", "int8", "mixed"),
        ("int8", "float32", "mixed"),
    ],
)
def test_a_variant_is_named_by_how_its_weights_are_stored(image: str, text: str, precision: str) -> None:
    assert precision_of({"image": image, "text": text}) == precision


def litert(manifest: Manifest) -> VariantRecord:
    """A second variant, as the LiteRT step leaves it in the work folder."""
    variant = manifest.variants[0]
    assert variant.image is not None
    assert variant.text is not None
    towers = {
        name: replace(tower, artifact=f"variants/litert-fp32/{name}.tflite", sidecars=())
        for name, tower in (("image", variant.image), ("text", variant.text))
    }
    return replace(variant, id="litert-fp32", format="tflite", toolchain={"litert": "2"}, **towers)


def test_a_variant_beside_it_is_moved_in_and_named_in_the_history(work: Work, tmp_path: Path) -> None:
    plain, _ = build_tree((twin := made(tmp_path / "twin")).folder, twin.result(), NOBODY)
    (work.folder / "litert").mkdir()
    for tower in ("image", "text"):
        (work.folder / "litert" / f"{tower}.tflite").write_bytes(tower.encode())
    manifest, _ = build_tree(work.folder, work.result(litert=litert(plain)), NOBODY)
    assert [variant.id for variant in manifest.variants] == ["fp32", "litert-fp32"]
    assert (work.folder / assembly.TREE / "variants/litert-fp32/text.tflite").read_bytes() == b"text"
    assert manifest.provenance[-1].details["version_litert"] == "2"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"dimension": 17}, "17"),
        ({"templates": ("no place for a label",)}, "template"),
        ({"space": ""}, "space"),
    ],
)
def test_facts_that_make_no_bundle_are_refused_and_nothing_is_written(
    tmp_path: Path, facts: dict[str, object], told: str
) -> None:
    work = made(tmp_path / "work", **facts)
    with pytest.raises(BundleError, match=told):
        packed(work, tmp_path / "out.edge")
    assert not (tmp_path / "out.edge").exists()
