"""What is written into the new bundle, LiteRT files of the same decision among it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.bundle.manifest import Agreement, TensorSpec
from edgekit.bundle.reader import open_bundle
from edgekit.converters.card import with_section
from edgekit.converters.litert.compile import Compiled
from edgekit.converters.quantize import lite, packing, run, work
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.quantize.methods.records import Decision, Group, TowerDecision
from edgekit.converters.quantize.work import MethodFacts, Survey
from edgekit.errors import UnsupportedModelError

METHODS = {
    "eight": MethodFacts("int8", "float32", False, ("mlp",), ""),
    "blocks": MethodFacts("int8 blocks", "float32", False, ("mlp",), ""),
    "seven": MethodFacts("int7", "uint8", True, ("mlp",), ""),
    "four": MethodFacts("int4 blocks", "float32", False, ("mlp",), ""),
}
SURVEY = Survey((Group("big", "mlp", ("a",), 900), Group("small", "mlp", ("b",), 100)), METHODS, ())


@pytest.mark.parametrize(
    ("image", "text", "name"),
    [
        ({"big": "eight", "small": "eight"}, {"big": "eight", "small": "eight"}, "int8"),
        ({"big": "eight"}, {"big": "blocks", "small": "seven"}, "int8"),
        ({"big": "four", "small": "four"}, {"big": "four"}, "int4"),
        ({"big": "four"}, {"big": "eight"}, "mixed"),
        ({"big": "eight"}, {}, "mixed"),
        ({}, {}, "mixed"),
    ],
    ids=["all", "stem-float", "int4", "both", "text-float", "nothing"],
)
def test_a_variant_is_named_after_what_holds_its_weights(image, text, name):
    decision = Decision(TowerDecision(image), TowerDecision(text))
    assert packing.variant_id(decision, {"image": SURVEY, "text": SURVEY}) == name


def test_a_variant_with_a_tower_that_may_not_change_is_mixed():
    decision = Decision(TowerDecision({"big": "eight", "small": "eight"}), TowerDecision({}))
    assert packing.variant_id(decision, {"image": SURVEY}) == "mixed"


def test_a_section_of_the_card_takes_the_place_of_the_older_one():
    card = "# m\n\ntext\n\n## Measured\n\nfigures\n"
    once = with_section(card, "Quantization", "first\n\n### inside\n\nmore")
    assert once.startswith(card)
    twice = with_section(once, "Quantization", "second")
    assert twice == with_section(card, "Quantization", "second")
    assert twice.count("## Quantization") == 1
    assert "first" not in twice
    assert "inside" not in twice
    assert with_section(twice, "Other", "x").count("## ") == 3


@pytest.fixture
def litert(quick, bundle_path, pictures, tmp_path):
    """Run a search that is asked for LiteRT too; returns its report and the new bundle."""

    def search():
        out = tmp_path / "out.edge"
        settings = quick("half", towers=("image",), formats=("onnx", "litert"))
        report, _ = run.quantize(str(bundle_path), out, settings, data_set=str(pictures))
        return report, open_bundle(out)

    return search


def doubles(monkeypatch, damage=0.0):
    """Stand in for the LiteRT tools: the file is a few bytes, its rows those of ONNX Runtime, damaged or not."""
    stages = []

    def compiled(job, tower, path, on_stage):
        on_stage(f"{tower}")
        stages.append(tower)
        path.write_bytes(b"TFL3")
        floats = job.floats.image if tower == "image" else job.floats.text
        given = TensorSpec(floats.input.name, floats.input.dtype, (1, *floats.input.shape[1:]))
        if tower == "text":
            given = dataclasses.replace(given, shape=(1, job.bundle.manifest.text.context_length))
        output = TensorSpec("embedding", "float32", (1, floats.output.shape[1]))
        return Compiled(given, output, Agreement(2, 0, 1, 1, 1, 1), np.zeros((1, 1)), (), {}, {"tool": "1"}, 4, 1.0, 1)

    def rows(job, tower, path, on_stage):
        found = {p: np.load(work.rows(job.folder, job.outcome.tasks[tower], p)) for p in (HELD_OUT, GOLDEN)}
        noise = np.random.default_rng(0).normal(size=found[HELD_OUT].shape)
        return {**found, HELD_OUT: (found[HELD_OUT] + damage * noise).astype(np.float32)}

    monkeypatch.setattr(lite, "_compile", compiled)
    monkeypatch.setattr(lite, "_run", rows)
    return stages


def test_litert_files_that_keep_the_promise_are_a_variant_of_their_own(litert, monkeypatch):
    stages = doubles(monkeypatch)
    report, bundle = litert()
    assert stages == ["image", "text"]
    assert report.litert == ""
    first, second = bundle.manifest.variants
    assert (second.id, second.format, second.target) == (f"litert-{first.id}", "tflite", "litert")
    assert second.quantization == first.quantization
    assert second.fidelity.image_to_text == first.fidelity.image_to_text
    assert second.toolchain == {"tool": "1"}
    assert bytes(bundle.read(second.image.artifact)) == b"TFL3"
    assert f"The same as `{second.id}`" in bytes(bundle.read("card.md")).decode()


def test_litert_files_below_the_promise_are_not_delivered(litert, monkeypatch):
    doubles(monkeypatch, damage=3.0)
    report, bundle = litert()
    assert report.delivered
    assert "top-1 agreement image to text" in report.litert
    assert [v.format for v in bundle.manifest.variants] == ["onnx"]


def test_why_there_is_no_litert_file_is_told(litert, monkeypatch):
    error = UnsupportedModelError("operator 'Einsum' has no\nLiteRT form")

    def fails(*_):
        raise error

    monkeypatch.setattr(lite, "_compile", fails)
    report, bundle = litert()
    assert report.delivered
    assert report.litert == " ".join(str(error).split())
    assert len(bundle.manifest.variants) == 1


def test_what_describes_another_variant_stays_beside_the_new_one(quick, pictures, tmp_path):
    """A bundle that was quantized before: one of its variants shares the new one's name but for the format."""

    def quantized_before(manifest):
        first, second = manifest.variants
        older = dataclasses.replace(second, id="older", precision="int8", quantization="quantization/mixed.json")
        return dataclasses.replace(manifest, variants=(first, older))

    extra = {"quantization/mixed.json": b'{"of": "older"}'}
    bundle = tiny.build(tmp_path / "in.edge", variants=("fp32", "static"), change=quantized_before, extra=extra)
    out = tmp_path / "out.edge"
    report, _ = run.quantize(str(bundle), out, quick("half", towers=("image",)), data_set=str(pictures))
    assert (report.delivered, report.variant) == (True, "mixed")
    made = open_bundle(out)
    found = {variant.id: variant for variant in made.manifest.variants}
    assert sorted(found) == ["mixed", "older"]
    assert bytes(made.read(found["older"].quantization)) == extra["quantization/mixed.json"]
    assert found["mixed"].quantization == "quantization/mixed.2.json"
    described = json.loads(bytes(made.read(found["mixed"].quantization)))
    assert set(described["decision"]["image"]["methods"].values()) == {"half"}
