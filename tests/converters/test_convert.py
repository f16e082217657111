"""From a source to a bundle that was proven to agree with it, and nothing at all when it does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
import tiny_source
from edgekit.bundle.reader import open_bundle
from edgekit.converters import check_inputs, verdict
from edgekit.converters.convert import ConvertOptions, Report, convert
from edgekit.errors import ConversionError, EdgekitError, ImageError, InputError, UnsupportedModelError
from edgekit.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = ConvertOptions()


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_source.install(tmp_path / "site", monkeypatch)
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "tiny.edge"


def run(source: str, out: Path, options: ConvertOptions = NONE) -> tuple[Report, list[str]]:
    stages: list[str] = []
    return convert(source, out, options, stages.append), stages


def nothing_left(out: Path) -> bool:
    return not list(out.parent.iterdir())


def test_a_source_becomes_a_bundle(out: Path) -> None:
    report, stages = run("tiny:good", out)
    assert stages == [
        "loading the source",
        "exporting the image tower",
        "exporting the text tower",
        "computing references",
        "checking float32 towers",
        "packing",
    ]
    assert list(out.parent.iterdir()) == [out]  # and no work folder
    assert (report.bundle, report.size, report.variant) == (str(out), out.stat().st_size, "fp32")
    assert report.trim_padding
    assert report.preprocessing.pixels_max == 0
    assert report.preprocessing.texts == len(check_inputs.TEXTS)
    assert report.image.fidelity.cosine_min > 0.99999
    assert report.text.fidelity.n == len(check_inputs.TEXTS)
    assert report.seconds > 0


def test_the_bundle_is_complete_and_works(out: Path) -> None:
    run("tiny:good", out)
    bundle = open_bundle(out)
    manifest = bundle.manifest
    assert (manifest.name, manifest.license, manifest.source.uri) == ("tiny", "Apache-2.0", "tiny:good")
    assert manifest.embedding.space == f"sha256:{'ab' * 16}"
    assert manifest.text.trim_padding
    (variant,) = manifest.variants
    assert (variant.id, variant.format, variant.target, variant.precision) == ("fp32", "onnx", "any", "fp32")
    assert variant.image.sidecars == ("variants/fp32/image.onnx.data",)
    assert variant.image.input.shape == ("N", 32, 32, 3)
    assert variant.text.input.shape == ("N", "L")
    assert {"edgekit", "onnxruntime", "tiny"} <= set(variant.toolchain)
    (step,) = manifest.provenance
    assert (step.action, step.details["source"], step.details["image_storage"]) == ("convert", "tiny:good", "float32")
    assert len(manifest.golden.images) == check_inputs.GOLDEN_PHOTOS
    assert [text.text for text in manifest.golden.texts] == list(check_inputs.TEXTS[: check_inputs.GOLDEN_TEXTS])
    card = bytes(bundle.read("card.md")).decode()
    assert card.startswith("# tiny\n")
    assert "| image |" in card
    assert "Token ids: equal on all" in card
    assert verify(bundle).passed
    with edgekit.load(out) as clip:
        assert clip.classify(tiny.PHOTOS / "cat.jpg", ["cat", "dog"]).best.score > 0.5


def test_the_options_are_followed(out: Path, tmp_path: Path) -> None:
    photos = tmp_path / "own photos"
    photos.mkdir()
    for name in ("cat", "coffee", "rocket"):
        shutil.copy(tiny.PHOTOS / f"{name}.jpg", photos / f"{name}.JPG")
    (photos / "notes.txt").write_text("no photo")
    (tmp_path / "own.json").write_text("{}")
    options = ConvertOptions(
        tokenizer=tmp_path / "own.json",
        photos=photos,
        name="mine",
        license="MIT",
        templates=("one {}", "two {}"),
    )
    run("tiny:bare", out, options)
    manifest = open_bundle(out).manifest
    assert (manifest.name, manifest.license, manifest.text.templates) == ("mine", "MIT", ("one {}", "two {}"))
    assert manifest.description == "For tests; tokenizer own.json."
    assert [image.photo for image in manifest.golden.images] == [f"golden/photo{i}.jpg" for i in range(3)]


def test_without_options_the_source_decides(out: Path) -> None:
    run("tiny:bare", out)
    manifest = open_bundle(out).manifest
    assert (manifest.license, manifest.text.templates) == ("unknown", ("a photo of {}",))


@pytest.mark.parametrize(
    ("source", "weights", "precision", "storage"),
    [
        ("tiny:good", "float16", "fp16-weights", {"image": "float16", "text": "float16"}),
        ("tiny:good", "int8", "int8", {"image": "int8", "text": "int8"}),
        ("tiny:int8", None, "mixed", {"image": "int8", "text": "float32"}),
        ("tiny:int8", "float32", "fp32", {"image": "float32", "text": "float32"}),
    ],
)
def test_weights_are_stored_as_asked_or_as_the_source_suggests(
    out: Path, source: str, weights: str | None, precision: str, storage: dict[str, str]
) -> None:
    report, stages = run(source, out, ConvertOptions(weights=weights))
    manifest = open_bundle(out).manifest
    assert report.variant == manifest.variants[0].precision == precision
    details = manifest.provenance[0].details
    assert {tower: details[f"{tower}_storage"] for tower in storage} == storage
    assert ("storing the image tower as int8" in stages) == (storage["image"] == "int8")
    assert report.image.fidelity.centred_min >= verdict.LIMITS[storage["image"]].centred_min
    assert verify(open_bundle(out)).passed


def test_an_old_bundle_is_replaced_only_by_a_whole_one(out: Path) -> None:
    out.write_bytes(b"old")
    with pytest.raises(ConversionError):
        run("tiny:crash", out)
    assert out.read_bytes() == b"old"
    assert list(out.parent.iterdir()) == [out]
    run("tiny:good", out)
    assert open_bundle(out).manifest.name == "tiny"


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("tiny:segfault", ConversionError, r"export_worker was ended by SIGSEGV; its last lines:\n  about to go wrong"),
        ("tiny:killed", ConversionError, r"ended by SIGKILL .*memory"),
        ("tiny:crash", ConversionError, r"exit code 1; its last lines:\n(.|\n)*ZeroDivisionError"),
        ("tiny:exit", ConversionError, r"exit code 7"),
        ("tiny:refused", UnsupportedModelError, r"^tiny: the layer Frobnicate is not supported$"),
        ("tiny:refused_noisily", UnsupportedModelError, r"^tiny: no$"),
        ("tiny:full", ConversionError, r"^weights\.bin: No space left on device"),
        ("tiny:memory", ConversionError, r"out of memory"),
        ("tiny:nothing", InputError, r"the source 'tiny' returned str, not a SourceModel"),
        ("tiny:malformed", EdgekitError, r"image\.onnx: .*(well-formed|refused)"),
        ("tiny:nan", ConversionError, r"the image tower stored as float32 disagrees .*cosine nan"),
        ("tiny:disagree", ConversionError, r"the image tower stored as float32 disagrees with its source: max error"),
        ("tiny:disagree_text", ConversionError, r"the text tower stored as float32 disagrees"),
        ("tiny:pixels", ConversionError, r"preprocessing differs from the checkpoint's own transform by \d+ levels"),
        ("tiny:ids", ConversionError, r"tokenizer disagrees with the checkpoint's own on 18 of 18 texts"),
        ("abacus:x", InputError, r"abacus:x: there is no source 'abacus'; a source starts with one of .*tiny"),
        ("", InputError, r"there is no source ''"),
    ],
)
def test_what_goes_wrong_is_one_error_and_leaves_nothing(
    out: Path, source: str, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        run(source, out)
    assert nothing_left(out)
    assert "Traceback" not in str(caught.value).partition("its last lines")[0]


def test_a_noisy_source_is_no_problem(out: Path) -> None:
    report, stages = run("tiny:noise", out)
    assert report.size
    assert "exporting the image tower" in stages


def test_the_pixel_limit_can_be_widened(out: Path) -> None:
    run("tiny:pixels", out, ConvertOptions(pixel_limit=255))
    assert open_bundle(out)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda out, _: (out.with_suffix(".zip"), NONE), r"ends in \.edge"),
        (lambda out, tmp: (_make_folder(out), NONE), r"is a folder"),
        (lambda out, tmp: (tmp / "missing" / "x.edge", NONE), r"does not exist; create it first"),
        (lambda out, _: (out, ConvertOptions(weights="int3")), r"weights: 'int3' is not one of float32"),
        (lambda out, tmp: (out, ConvertOptions(tokenizer=tmp / "no.json")), r"no\.json: no such tokenizer"),
        (lambda out, tmp: (out, ConvertOptions(photos=tmp / "none")), r"none: no such folder of photos"),
        (lambda out, tmp: (out, ConvertOptions(photos=tmp / "out")), r"holds 0 photos; .* at least two"),
        (lambda out, _: (out, ConvertOptions(templates=("a photo",))), r"exactly one"),
    ],
)
def test_wrong_use_is_told_before_anything_starts(
    out: Path, tmp_path: Path, wrong: Callable[[Path, Path], tuple[Path, ConvertOptions]], told: str
) -> None:
    target, options = wrong(out, tmp_path)
    with pytest.raises(InputError, match=told):
        convert("tiny:good", target, options, lambda stage: pytest.fail(f"{stage} was begun"))


def _make_folder(out: Path) -> Path:
    out.mkdir()
    return out


def test_a_broken_photo_is_named(out: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(tiny.PHOTOS / "cat.jpg", photos)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        run("tiny:good", out, ConvertOptions(photos=photos))
    assert nothing_left(out)


def test_names_that_are_not_utf8(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        run(os.fsdecode(b"tiny:caf\xe9"), out)
    assert nothing_left(out)
    # The output's own name is nobody's business but the caller's.
    odd = out.parent / os.fsdecode(b"caf\xe9.edge")
    run("tiny:good", odd)
    assert open_bundle(odd).manifest.name == "tiny"


def test_a_folder_that_vanishes_is_told(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(stage: str) -> None:
        if stage == "packing":
            for folder in out.parent.glob(".tiny.edge.*"):
                shutil.rmtree(folder)

    with pytest.raises(ConversionError, match="No such file or directory; nothing was written"):
        convert("tiny:good", out, NONE, vanish)


def test_the_check_inputs_are_what_they_say() -> None:
    photos = check_inputs.photos(None)
    assert len(photos) >= check_inputs.GOLDEN_PHOTOS
    assert all(photo.is_file() for photo in photos)
    assert len(set(check_inputs.TEXTS)) == len(check_inputs.TEXTS) >= check_inputs.GOLDEN_TEXTS
    assert "" in check_inputs.TEXTS
    assert np.isfinite(verdict.LIMITS["int8"].centred_min)
