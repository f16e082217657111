"""``edgekit convert --target litert``: a second variant that verifies on its own engine and takes whole texts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import edgekit
import tiny_bundle as tiny
import tiny_source
from edgekit.bundle.manifest import Agreement, TensorSpec
from edgekit.bundle.reader import open_bundle
from edgekit.converters import check_inputs, convert, exchange
from edgekit.converters import cli as command
from edgekit.converters.litert import variant, work
from edgekit.converters.litert.compile import TowerShape
from edgekit.errors import ConversionError, InputError
from edgekit.verification import verify


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle with both variants, and the report of its conversion, through the command."""
    folder = tmp_path_factory.mktemp("variant")
    with pytest.MonkeyPatch.context() as patch:
        tiny_source.install(folder / "site", patch)
        arguments = ["tiny:good", "-o", str(folder / "tiny.edge"), "--target", "litert", "--json"]
        done = CliRunner().invoke(command.convert, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return folder / "tiny.edge", json.loads(done.stdout)


def test_the_bundle_has_a_litert_variant_beside_the_portable_one(bundle):
    path, report = bundle
    opened = open_bundle(path)
    portable, litert = opened.manifest.variants
    assert (portable.id, portable.format, portable.target) == ("fp32", "onnx", "any")
    assert (litert.id, litert.format, litert.target, litert.precision) == ("litert-fp32", "tflite", "litert", "fp32")
    assert litert.image.input == TensorSpec("pixels", "uint8", (1, 32, 32, 3))
    assert litert.text.input == TensorSpec("token_ids", "int32", (1, opened.manifest.text.context_length))
    assert litert.image.artifact == "variants/litert-fp32/image.tflite"
    assert litert.image.sidecars == ()
    assert {"litert-torch", "torch"} <= set(litert.toolchain)
    assert opened.manifest.provenance[0].details["version_litert-torch"] == litert.toolchain["litert-torch"]
    for tower, record in (("image", litert.image), ("text", litert.text)):
        assert report["litert"][tower]["size"] == len(opened.read(record.artifact))
        assert report["litert"][tower]["fidelity"]["n"] == record.fidelity.n
        assert record.fidelity.cosine_min > 0.99999
    assert litert.text.fidelity.n == len(check_inputs.TEXTS)


def test_both_variants_verify_on_their_engines(bundle):
    found = verify(open_bundle(bundle[0]))
    assert found.passed
    assert {candidate.variant: candidate.accepted for candidate in found.candidates if candidate.ran} == {
        "fp32": True,
        "litert-fp32": True,
    }


def test_short_texts_are_padded_for_the_static_variant(bundle):
    """The bundle says that padding may be cut, which is true of its portable variant only."""
    path, _ = bundle
    assert open_bundle(path).manifest.text.trim_padding
    texts = ["a cat", "", "a photo of the small red coffee cup in the temple"]
    with edgekit.load(path, variant="fp32") as portable, edgekit.load(path, variant="litert-fp32") as static:
        np.testing.assert_allclose(static.embed_texts(texts), portable.embed_texts(texts), atol=1e-5)
        photos = [tiny.PHOTOS / "cat.jpg", tiny.PHOTOS / "coffee.jpg"]
        np.testing.assert_allclose(static.embed_images(photos), portable.embed_images(photos), atol=1e-5)
        assert static._towers["text"].static_length == open_bundle(path).manifest.text.context_length
        assert portable._towers["text"].static_length is None
        assert portable._towers["image"].static_length is None


def test_the_table_of_a_report_has_both(bundle):
    tower = convert.TowerReport(2_000_000, Agreement(3, 0.0, 1.0, 1.0, 1.0, 1.0))
    seen = SimpleNamespace(pixels_max=0, pixels_equal=1.0, texts=3)
    report = convert.Report("b.edge", 1, "fp32", tower, tower, seen, True, 1.0)
    assert "LiteRT" not in command.table(report)
    both = convert.Report("b.edge", 1, "fp32", tower, tower, seen, True, 1.0, {"image": tower, "text": tower})
    lines = command.table(both).splitlines()
    assert [line[:13].strip() for line in lines[3:7]] == ["image", "text", "image, LiteRT", "text, LiteRT"]
    assert len({line.index("2.0") for line in lines[3:7]}) == 1


def test_an_unknown_target_is_told(tmp_path):
    with pytest.raises(InputError, match="target: 'toaster' is not one of any, litert"):
        convert.convert("tiny:good", tmp_path / "o.edge", convert.ConvertOptions(target="toaster"), lambda _: None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A work folder after the portable towers were checked, and what `compile_tower` was called with."""
    facts = SimpleNamespace(image=SimpleNamespace(height=4, width=6), context_length=5)
    monkeypatch.setattr(exchange, "read_facts", lambda _: facts)
    rows = np.eye(3, 8, dtype=np.float32)
    for name, values in (
        ("pixels", np.zeros((3, 4, 6, 3), np.uint8)),
        ("reference_token_ids", np.ones((3, 5), np.int32)),
        ("reference_image", rows),
        ("reference_text", rows),
    ):
        np.save(exchange.array(tmp_path, name), values)
    calls = []

    def compile_tower(master, out, tower, shape, decision, calibration, on_stage):
        calls.append((tower, shape, decision.methods, len(calibration)))
        on_stage("converting")
        given = TensorSpec("pixels", "uint8", shape.whole)
        return SimpleNamespace(embeddings=rows + noise[0], input=given, output=given, toolchain={f"{tower}-tool": "1"})

    noise = [np.float32(0)]
    monkeypatch.setattr(variant, "compile_tower", compile_tower)
    return tmp_path, calls, noise


def test_each_tower_is_stored_as_the_portable_one(folder):
    path, calls, _ = folder
    stages = []
    made = variant.make_variant(path, "mixed", {"image": "float32", "text": "int8"}, stages.append)
    assert calls == [
        ("image", TowerShape((4, 6, 3)), {}, 3),
        ("text", TowerShape((5,)), {work.EVERY_GROUP: "int8_weights"}, 3),
    ]
    assert (made.id, made.precision, made.toolchain) == ("litert-mixed", "mixed", {"image-tool": "1", "text-tool": "1"})
    assert stages == ["image tower: converting", "text tower: converting"]


def test_a_file_that_leaves_the_limit_of_its_storage_is_refused(folder):
    path, _, noise = folder
    noise[0] = np.float32(0.05)
    with pytest.raises(ConversionError, match=r"image tower as a LiteRT file stored as float32 disagrees.*no bundle"):
        variant.make_variant(path, "fp32", {"image": "float32", "text": "float32"}, lambda _: None)
