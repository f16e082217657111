"""The source ``student:``: trained modules beside a kept tower, with the facts that the distillation left."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance, schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill import adoption, handover
from edgekit.converters.distill.handover import Handover
from edgekit.converters.distill.recipe import (
    DataSpec,
    ImageStudent,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TextStudent,
    Training,
)
from edgekit.converters.distill.students.create import create
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources.student import load
from edgekit.errors import InputError
from edgekit.preprocess import preprocess

NONE = SourceOptions()


def make(folder: Path, bundle: Path, *, image=None, text=None, **facts) -> Path:
    """A student whose trained weights are its first ones."""
    (folder / "t.txt").parent.mkdir(parents=True, exist_ok=True)
    (folder / "t.txt").write_text("a red cat\na blue dog\n")
    recipe = Recipe(
        (TeacherSpec(str(bundle)),),
        DataSpec(texts=(str(folder / "t.txt"),)),
        StudentSpec(image=image, text=text),
        {"feature": 1.0},
        Training(steps=1),
    )
    home = folder / "student"
    create(recipe, bundle, home)
    for path in home.glob("initial-*"):
        shutil.copy(path, home / path.name.replace("initial", "trained"))
    (home / "recipe.json").write_text("{}")
    given = Handover(
        name="small",
        license="MIT",
        description="For tests.",
        teacher=str(bundle),
        dimension=open_bundle(bundle).manifest.embedding.dimension,
        logit_scale=12.5,
        logit_bias=-1.0,
        scores="sigmoid",
        templates=("one {}",),
        space="",
        history=provenance.extend((), "distill", {"steps": "1"}),
        attachments={"distill/recipe.json": "recipe.json"},
    )
    write_bytes(home / handover.FILE, schema.dumps(replace(given, **facts)).encode())
    return home


CONV = ImageStudent("conv", size=16, width=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_bundle):
    return make(tmp_path_factory.mktemp("image"), tiny_bundle, image=CONV)


def test_the_facts_are_taken_over(folder):
    model = load(str(folder), NONE)
    assert (model.name, model.license, model.description) == ("small", "MIT", "For tests.")
    assert (model.logit_scale, model.logit_bias, model.scores) == (12.5, -1.0, "sigmoid")
    assert (model.templates, model.space, model.dimension) == (("one {}",), "", tiny.DIMENSION)
    assert [step.action for step in model.history] == ["distill"]
    assert model.attachments["distill/recipe.json"].read_text() == "{}"
    assert "torch" in model.toolchain


def test_the_new_tower_is_exported_as_it_computes(folder, tmp_path, check_tower):
    model = load(str(folder), NONE)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    assert check_tower(model.image_tower, tmp_path / "image.onnx", pixels) == ["N", 16, 16, 3]


def test_the_kept_tower_is_the_teachers(folder, tmp_path, run_graph, tiny_bundle):
    model, teacher = load(str(folder), NONE), open_bundle(tiny_bundle)
    encoded = model.text.reference(tiny.TEXTS)
    expected = np.load(_member(teacher, teacher.manifest.golden.text_embeddings, tmp_path))
    np.testing.assert_allclose(model.text_tower.reference(encoded), expected, atol=1e-6)
    model.text_tower.export(tmp_path / "text.onnx")
    _, (found,) = run_graph(tmp_path / "text.onnx", encoded)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert model.text.context_length == tiny.CONTEXT_LENGTH


def test_pixels_are_those_of_the_students_preprocessing(folder):
    model = load(str(folder), NONE)
    photo = tiny.PHOTOS / "cat.jpg"
    found = model.image_reference(Image.open(photo).convert("RGB"))
    wanted = preprocess(photo, model.image, decoding="exact")
    assert found.shape == (16, 16, 3)
    assert np.abs(found.astype(int) - wanted).max() == 0


def test_the_digest_follows_the_weights_and_the_kept_tower(folder, tmp_path, tiny_bundle):
    digest = load(str(folder), NONE).weights_sha256
    assert digest == load(str(folder), NONE).weights_sha256
    other = tiny.build(tmp_path / "other.edge", seed=3)
    assert load(str(make(tmp_path / "a", other, image=CONV)), NONE).weights_sha256 != digest
    wider = replace(CONV, width=8)
    assert load(str(make(tmp_path / "b", tiny_bundle, image=wider)), NONE).weights_sha256 != digest
    both = load(str(make(tmp_path / "c", tiny_bundle, image=CONV, text=TextStudent("static", width=4))), NONE)
    assert both.weights_sha256 not in {digest, ""}


def test_a_new_text_tower_stands_beside_the_kept_image_tower(tmp_path, tiny_bundle, check_tower, run_graph):
    home = make(tmp_path, tiny_bundle, text=TextStudent("static", width=4), space="tiny-0")
    model, teacher = load(str(home), NONE), open_bundle(tiny_bundle)
    assert model.space == "tiny-0"
    assert model.image == teacher.manifest.image
    ids = model.text.reference(["a red cat", "", "two dogs", "the sky", "a photo of a car"])
    check_tower(model.text_tower, tmp_path / "text.onnx", ids)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    model.image_tower.export(tmp_path / "image.onnx")
    _, (found,) = run_graph(tmp_path / "image.onnx", pixels)
    np.testing.assert_allclose(found, model.image_tower.reference(pixels), atol=1e-6)


def test_what_is_no_student_is_refused(tmp_path, folder):
    with pytest.raises(InputError, match=r"holds no source.json; it is no folder of a student"):
        load(str(tmp_path), NONE)
    with pytest.raises(InputError, match="a student has its own tokenizer; leave the option out"):
        load(str(folder), SourceOptions(tmp_path / "t.json"))


def test_a_kept_tower_needs_its_teacher(tmp_path, tiny_bundle):
    home = make(tmp_path, tiny_bundle, image=CONV, teacher="")
    with pytest.raises(InputError, match="keeps its teacher's text tower, but names no bundle"):
        load(str(home), NONE)


@pytest.mark.parametrize("kept", ["image", "text"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_kept_tower_is_adopted_with_all_that_was_measured(tmp_path, kept, precision):
    def changed(manifest):
        (variant,) = manifest.variants
        record = variant.towers[kept]
        worse = replace(record, fidelity=replace(record.fidelity, centred_min=0.97))
        return replace(manifest, variants=(replace(variant, precision=precision, **{kept: worse}),))

    teacher = open_bundle(tiny.build(tmp_path / "teacher.edge", change=changed))
    tree = tmp_path / "tree"
    student = tiny.tree(tree, seed=9)
    found = adoption.adopt(student, tree, teacher, kept)
    (variant,) = found.variants
    (theirs,) = teacher.manifest.variants
    other = "text" if kept == "image" else "image"
    assert variant.precision == variant.id == ("fp32" if precision == "fp32" else "mixed")
    assert variant.towers[kept].fidelity == theirs.towers[kept].fidelity
    assert (tree / variant.towers[kept].artifact).read_bytes() == bytes(teacher.read(theirs.towers[kept].artifact))
    assert variant.towers[other].fidelity == student.variants[0].towers[other].fidelity
    rows = {"image": found.golden.image_embeddings, "text": found.golden.text_embeddings}
    wanted = {"image": teacher.manifest.golden.image_embeddings, "text": teacher.manifest.golden.text_embeddings}
    assert (tree / rows[kept]).read_bytes() == bytes(teacher.read(wanted[kept]))
    assert (tree / rows[other]).read_bytes() != bytes(teacher.read(wanted[other]))
    used = {variant.image.artifact, *variant.image.sidecars, variant.text.artifact, *variant.text.sidecars}
    assert {path.relative_to(tree).as_posix() for path in (tree / "variants").rglob("*") if path.is_file()} == used


def _member(bundle, path, folder):
    target = folder / "rows.npy"
    target.write_bytes(bundle.read(path))
    return target
