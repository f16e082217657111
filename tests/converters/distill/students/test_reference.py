"""What a student takes over from its first teacher: from the bundle, or from embeddings made elsewhere."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

import student_kit
import tiny_bundle
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data import teachers
from edgekit.converters.distill.recipe import DataSpec, ImageStudent, Recipe, StudentSpec, TeacherSpec, TextStudent
from edgekit.converters.distill.students import create
from edgekit.converters.distill.students import open as opening
from edgekit.converters.distill.students.reference import dimension_of, read_reference
from edgekit.errors import BundleError, InputError

CONV = ImageStudent("conv", width=8)
TRANSFORMER = TextStudent("transformer", width=16, heads=2, layers=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A teacher whose tokenizer can be cut."""
    return student_kit.bundle(tmp_path_factory.mktemp("reference") / "tiny.edge", pieces=True)


@pytest.fixture(scope="module")
def stored(bundle, tmp_path_factory):
    """The folder that another machine would hand over: facts and tokenizer of that teacher."""
    folder = tmp_path_factory.mktemp("stored")
    teachers.open_source(TeacherSpec(str(bundle)), bundle, folder)
    return folder


def recipe(tmp_path, stored, image=None, text=None, **changes):
    made = student_kit.recipe(tmp_path, image, text)
    return dataclasses.replace(made, teachers=(TeacherSpec(embeddings=str(stored)),), **changes)


def made(recipe, folder):
    create.create(recipe, None, folder)
    return opening.open_student(folder, trained=False)


def test_from_embeddings_a_student_sees_pictures_and_texts_as_from_the_bundle(tmp_path, bundle, stored):
    alone = read_reference(recipe(tmp_path, stored), None)
    whole = read_reference(student_kit.recipe(tmp_path), bundle)
    assert (alone.image, alone.dimension, alone.templates) == (whole.image, whole.dimension, whole.templates)
    assert alone.texts("student.text") == whole.texts("student.text")
    assert alone.manifest is None
    assert dimension_of(recipe(tmp_path, stored), alone) == tiny_bundle.DIMENSION


def test_a_student_of_embeddings_has_the_towers_that_the_bundle_gives(tmp_path, bundle, stored):
    own = made(recipe(tmp_path, stored, CONV, TRANSFORMER), tmp_path / "alone")
    create.create(student_kit.recipe(tmp_path, CONV, TRANSFORMER), bundle, tmp_path / "whole")
    other = opening.open_student(tmp_path / "whole", trained=False)
    assert own.image.spec == other.image.spec
    assert (own.text.tokenizer_json, own.text.context_length, own.text.pad_id) == (
        other.text.tokenizer_json,
        other.text.context_length,
        other.text.pad_id,
    )
    for tower in ("image", "text"):
        states = [getattr(student, tower).module.state_dict() for student in (own, other)]
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_static_tower_of_embeddings_starts_at_random_since_nobody_embeds_its_tokens(tmp_path, bundle, stored):
    own = made(recipe(tmp_path, stored, None, TextStudent("static", width=8)), tmp_path / "alone").text.module
    ids = torch.tensor([[5, 6, 0, 0]])
    assert bool(torch.isfinite(own(ids)).all())
    assert float(own.table.weight[1:].std()) == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize("given", ["bundle", "embeddings"])
def test_words_of_the_teachers_templates_are_in_the_vocabulary_that_classes_choose(tmp_path, bundle, stored, given):
    """What is trained on are prompts, so their words are as frequent as the class names, or more."""
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng(len(name) + 7 * i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{name}{i}.png")
    templates = open_bundle(bundle).text.templates
    words = {word for template in templates for word in template.replace("{}", " ").split() if len(word) > 1}
    assert words
    data = DataSpec(images=(str(tmp_path / "set"),), held_out=0.5)
    text = dataclasses.replace(TRANSFORMER, vocabulary=120)
    source = TeacherSpec(str(bundle)) if given == "bundle" else TeacherSpec(embeddings=str(stored))
    asked = Recipe((source,), data, StudentSpec(text=text))
    create.create(asked, bundle if given == "bundle" else None, tmp_path / "student")
    tokenizer = Tokenizer.from_str((tmp_path / "student" / "tokenizer.json").read_text())
    assert words <= set(tokenizer.get_vocab())


@pytest.mark.parametrize(
    ("image", "text", "field"),
    [
        (ImageStudent("teacher"), None, "student.image.arch teacher"),
        (ImageStudent("inherit"), None, "student.image.arch inherit"),
        (None, TextStudent("teacher"), "student.text.arch teacher"),
    ],
    ids=["image teacher", "image inherit", "text teacher"],
)
def test_what_needs_the_teacher_itself_is_refused_with_the_field(tmp_path, stored, image, text, field):
    with pytest.raises(InputError) as caught:
        made(recipe(tmp_path, stored, image, text), tmp_path / "student")
    assert field in str(caught.value)
    assert "not only its embeddings; give teachers.model" in str(caught.value)
    assert not (tmp_path / "student" / "student.json").exists()


def test_inheriting_texts_asks_for_the_source(tmp_path, stored):
    with pytest.raises(InputError, match=r"student\.text\.arch inherit: .*teachers\.model, such as open_clip:NAME"):
        made(recipe(tmp_path, stored, None, TextStudent("inherit")), tmp_path / "student")


def test_a_record_of_another_version_or_a_damaged_one_says_what_to_do(tmp_path, stored):
    for change, message in (
        ({"version": 99}, "is of version 99, this edgekit reads"),
        ({"dimension": "wide"}, "compute the embeddings again"),
    ):
        folder = tmp_path / str(len(message))
        folder.mkdir()
        (home,) = (path.parent for path in stored.glob(f"*/{teachers.TEACHER}"))
        plain = json.loads((home / teachers.TEACHER).read_text())
        (folder / teachers.TEACHER).write_text(json.dumps({**plain, **change}))
        with pytest.raises(InputError) as caught:
            read_reference(recipe(tmp_path, folder), None)
        assert str(folder / teachers.TEACHER) in str(caught.value)
        assert message in str(caught.value)


def test_a_bundle_that_is_damaged_is_told_before_anything_is_made(tmp_path, bundle):
    cut = tmp_path / "cut.edge"
    cut.write_bytes(bundle.read_bytes()[:-400])
    with pytest.raises(BundleError, match=r"cut\.edge"):
        create.create(student_kit.recipe(tmp_path, CONV), cut, tmp_path / "student")
    assert not (tmp_path / "student" / "student.json").exists()


def test_without_anything_known_texts_are_taken_as_they_are(tmp_path):
    asked = dataclasses.replace(student_kit.recipe(tmp_path), teachers=(TeacherSpec("somewhere"),))
    assert read_reference(asked, None).templates == ("{}",)
