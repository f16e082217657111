"""Whole distillations: killed at any point, in two processes, from embeddings alone, to a bundle that works."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch  # noqa: F401  # first, so that its threads are set by the environment of this process alone

import distill_kit as kit
import edgekit
import tiny_bundle as tiny
from cli_runner import run as cli
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill import work
from edgekit.verification import verify


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a teacher, pictures and texts."""
    folder = tmp_path_factory.mktemp("distill")
    tiny.build(folder / "teacher.edge", change=_quantized)
    kit.pictures(folder / "pictures")
    lines = [
        f"a {size} {colour} {thing}"
        for size in ("small", "large")
        for colour in ("red", "blue", "green")
        for thing in ("cat", "dog", "car", "flower", "temple")
    ]
    (folder / "texts.txt").write_text("\n".join(lines))
    return folder


def test_killed_while_preparing_and_training_and_stopped_the_same_command_finishes(place):
    training = {"steps": 60, "batch": 8, "evaluate": 3, "checkpoint": 0}
    recipe = kit.write(place / "kill.yaml", kit.recipe("teacher.edge", "pictures", training=training))
    out, folder = place / "kill.edge", place / "kill.distill"
    arguments = (recipe, "-o", out, "--device", "cpu")

    process = kit.command(*arguments)
    kit.signalled_when(process, (folder / "student" / "student.json").exists)
    kit.finished(process, code=-signal.SIGKILL)
    assert not (folder / work.METRICS).exists()
    kit.nobody_writes(folder)

    process = kit.command(*arguments)
    kit.signalled_when(process, lambda: _newest(folder) >= 5)
    kit.finished(process, code=-signal.SIGKILL)
    kit.nobody_writes(folder)
    killed = _newest(folder)
    assert 5 <= killed < 60

    process = kit.command(*arguments)
    kit.signalled_when(process, lambda: _newest(folder) > killed, signal.SIGINT)
    _, err = kit.finished(process, code=1)
    assert "stopped after a checkpoint; the same command continues" in err
    assert killed < _newest(folder) < 60
    assert not out.exists()

    text, _ = kit.finished(kit.command(*arguments))
    assert "60 steps" in text
    assert "note: the text tower is the teacher's, int8 as it is" in text
    steps = [json.loads(line)["step"] for line in (folder / work.METRICS).read_text().splitlines()]
    assert steps == sorted(steps)
    _check_bundle(out, place)
    _check_folder(folder, place)

    # Once more: nothing is trained again, and the same weights come out.
    before = open_bundle(out).manifest.source.sha256
    report = json.loads(kit.finished(kit.command(*arguments, "--json"))[0])
    assert open_bundle(out).manifest.source.sha256 == before
    assert report["training"]["steps"] == 60


def _check_bundle(out, place):
    bundle, teacher = open_bundle(out), open_bundle(place / "teacher.edge")
    manifest = bundle.manifest
    assert verify(bundle).passed
    assert (manifest.name, manifest.license, manifest.source.uri) == ("small", "Apache-2.0", "student:small")
    assert [step.action for step in manifest.provenance] == ["convert", "distill", "convert"]
    details = manifest.provenance[1].details
    assert details["teacher_0"] == f"sha256:{teacher.digest}"
    assert (details["losses"], details["steps"], details["seed"]) == ("feature 1, labels 0.5", "60", "0")
    assert manifest.embedding.space not in {teacher.manifest.embedding.space, ""}
    (variant,) = manifest.variants
    theirs = teacher.manifest.variants[0].text
    assert (variant.id, variant.precision) == ("mixed", "mixed")
    assert (variant.text.fidelity, variant.text.tolerance) == (theirs.fidelity, theirs.tolerance)
    assert bytes(bundle.read(variant.text.artifact)) == bytes(teacher.read(theirs.artifact))
    assert manifest.golden.texts == teacher.manifest.golden.texts
    card = bytes(bundle.read("card.md")).decode()
    assert "## Distilled" in card
    assert "| recall@1 |" in card
    assert bytes(bundle.read("card/curves.png")).startswith(b"\x89PNG")
    # Nothing tells where it was made.
    assert str(place) not in "".join(
        bytes(bundle.read(record.path)).decode() for record in manifest.files if record.path.endswith((".md", ".json"))
    )
    assert str(place) not in repr(manifest)
    assert json.loads(bytes(bundle.read("distill/recipe.json")))["teachers"][0]["model"] == "teacher.edge"
    photo = place / "pictures" / "red cup" / "0.png"
    assert "red cup" in cli("classify", out, photo, "--label", "red cup", "--label", "blue car").output


def _check_folder(folder, place):
    kept = {path.name for path in folder.iterdir()}
    assert {"report.json", "curves.png", "metrics.jsonl", "recipe.json", "outcome.json", "student"} <= kept
    assert not kept & set(work.HEAVY)
    report = json.loads((folder / "report.json").read_text())
    assert report["size"] == (place / "kill.edge").stat().st_size
    assert report["scores"][0]["name"] == "recall@1"
    assert report["image"]["parameters"] < report["image"]["teacher_parameters"] * 10
    assert report["text"]["kept"]
    assert report["text"]["parameters"] == report["text"]["teacher_parameters"] > 0
    assert report["embedding"]["items"] > 30


def test_from_embeddings_made_elsewhere_in_two_processes_to_both_towers(place):
    student = {"image": {"arch": "conv", "size": 16, "width": 4}, "text": {"arch": "static", "width": 8}}
    data = {"images": "pictures", "texts": "texts.txt", "labelled": 0, "held_out": 0.4, "views": 2}
    there = kit.recipe("teacher.edge", "pictures", data=data, student=student, losses={"feature": 1})
    recipe = kit.write(place / "there.yaml", there)
    text, _ = kit.finished(kit.command(recipe, "--embed-only", place / "rows"))
    assert "rows" in text
    assert {path.name for path in place.iterdir() if path.suffix == ".distill"} <= {"kill.distill"}

    here = kit.write(place / "here.yaml", {**there, "teacher": {"embeddings": "rows"}})
    out = place / "here.edge"
    arguments = (here, "-o", out, "--processes", 2, "--device", "cpu", "--json")
    report = json.loads(kit.finished(kit.command(*arguments))[0])
    assert report["training"]["processes"] == 2
    assert report["training"]["ended"] == "finished"
    assert report["teacher_digests"] == [f"sha256:{open_bundle(place / 'teacher.edge').digest}"]
    assert not report["image"]["kept"]
    assert not report["text"]["kept"]
    assert report["image"]["teacher_parameters"] is None
    manifest = open_bundle(out).manifest
    assert (manifest.license, manifest.name) == ("Apache-2.0", "here")
    assert manifest.text.templates == ("a photo of {}",)
    assert verify(open_bundle(out)).passed
    with edgekit.load(out) as clip:
        rows = clip.embed_texts(["a small red cat", "a large blue car"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def _newest(folder):
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(path.stem[5:]) for path in (folder / "checkpoints").glob("step-*.checkpoint")), default=0)


def _quantized(manifest):
    """The manifest of a teacher whose text tower lost something to int8."""
    (variant,) = manifest.variants
    worse = replace(variant.text.fidelity, cosine_min=0.991, centred_min=0.97)
    lenient = replace(variant.text.tolerance, cosine_min=0.97, centred_min=0.9)
    text = replace(variant.text, fidelity=worse, tolerance=lenient)
    return replace(manifest, variants=(replace(variant, precision="int8", text=text),))
