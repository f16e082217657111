"""Recipes: short forms, paths, and an error for each rule that names the field and the fix."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgekit.bundle import schema
from edgekit.converters.distill import recipe_file
from edgekit.converters.distill.example import EXAMPLE
from edgekit.converters.distill.recipe import ImageStudent, Recipe, TeacherSpec, TextStudent
from edgekit.errors import InputError

BASE = {
    "teacher": "big.edge",
    "data": {"images": "pictures", "texts": "./texts.txt"},
    "student": {"image": "conv"},
    "losses": {"feature": 1},
    "training": {"steps": 10},
}


def changed(**fields):
    """The base with fields by their path, `__` for a dot; None removes one."""
    made = json.loads(json.dumps(BASE))
    for path, value in fields.items():
        *inner, last = path.split("__")
        place = made
        for name in inner:
            place = place.setdefault(name, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return made


@pytest.fixture
def read(tmp_path):
    def run(content):
        path = tmp_path / "recipe.yaml"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return recipe_file.read(path)

    return run


def test_a_small_recipe_is_read_and_completed(read, tmp_path):
    found = read(BASE)
    assert found.teachers == (TeacherSpec(str(tmp_path / "big.edge")),)
    assert found.student.image == ImageStudent("conv")
    assert found.student.text is None
    assert found.losses == {"feature": 1.0}
    assert (found.training.steps, found.training.batch) == (10, 64)


def test_short_forms_are_the_long_ones(read):
    long = read(
        {
            "teachers": [{"model": "big.edge"}],
            "data": {"images": ["pictures"], "texts": ["./texts.txt"], "templates": ["a {}"]},
            "student": {"image": {"arch": "conv"}, "text": {"arch": "static"}},
            "losses": {"feature": 1.0, "interactive": 1.0},
            "training": {"steps": 10},
        }
    )
    short = read(changed(student__text="static", data__templates="a {}") | {"losses": ["feature", "interactive"]})
    assert short == long
    assert read(changed() | {"losses": "feature"}).losses == {"feature": 1.0}
    assert read(changed(teacher=None) | {"teachers": ["a.edge", "b.edge"]}).teachers[1].model.endswith("/b.edge")


def test_paths_are_relative_to_the_recipe_and_names_stay(read, tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "exported").mkdir()
    found = read(
        changed(
            teacher=None,
            data__images=["stamps", "near", "shards/{000..003}.tar", "/abs/olute"],
            data__texts=["emoji-names", "words.csv:english"],
            data__store="kept",
        )
        | {"teachers": ["starter", "onnx:./exported", "open_clip:RN50:openai", "hf:owner/name"]}
    )
    home = str(tmp_path)
    assert found.data.images == ("stamps", f"{home}/near", f"{home}/shards/{{000..003}}.tar", "/abs/olute")
    assert found.data.texts == ("emoji-names", f"{home}/words.csv:english")
    assert found.data.store == f"{home}/kept"
    models = [teacher.model for teacher in found.teachers]
    assert models == ["starter", f"onnx:{home}/exported", "open_clip:RN50:openai", "hf:owner/name"]


def test_a_portable_recipe_names_no_folder_of_this_machine(read, tmp_path):
    (tmp_path / "exported").mkdir()
    found = read(
        changed(teacher=None, student__text={"arch": "static"}, data__validation="held/", data__store="kept")
        | {"teachers": ["onnx:./exported", "hf:owner/name"]}
    )
    plain = schema.dumps(recipe_file.portable(found))
    assert str(tmp_path) not in plain
    assert [one.model for one in recipe_file.portable(found).teachers] == ["onnx:exported", "hf:owner/name"]
    assert recipe_file.portable(found).data.validation == ("held",)


def test_the_digest_follows_what_is_done_and_not_where(read):
    found = read(BASE)
    digest = recipe_file.digest(found)
    assert len(digest) == 64
    elsewhere = replace(found, data=replace(found.data, images=("/elsewhere/pictures",)))
    assert recipe_file.digest(elsewhere) == digest
    assert recipe_file.digest(replace(found, losses={"feature": 2.0})) != digest


def test_the_example_is_a_recipe_and_its_comments_are_true(read):
    found = read(EXAMPLE)
    assert isinstance(found, Recipe)
    assert found.teachers[0].model == "starter"
    assert found.student.text is not None
    assert found.student.space == "teacher"
    assert len(EXAMPLE.splitlines()) < 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n- b\n", "holds no fields; 'edgekit distill --example'"),
        (changed(student__image={"arhc": "conv"}), r"student.image.arhc: there is no such field; did you mean 'arch'"),
        (changed(zzz=1), r"zzz: there is no such field; there are teachers, data"),
        (changed(training__step=1), r"training.step: there is no such field; did you mean 'steps'\? \(line 1\)"),
        (changed(training__steps="many"), r"training.steps: expected int, got 'many' \(line 1\)"),
        (changed(training__steps=1.5), r"training.steps: expected int, got 1.5"),
        (changed(student__image=3), r"student.image: expected an object, got 3"),
        (changed(data__images=[1]), r"data.images\[0\]: expected str, got 1"),
        (changed(student__space="mine"), r"student.space: expected one of 'new', 'teacher', got 'mine'"),
        (changed(losses=None), r"the field 'losses' is missing"),
        (changed(data=None), r"the field 'data' is missing"),
        (changed(teachers=["a.edge"]), "teacher: is given beside teachers"),
        (changed(teacher=None) | {"teachers": []}, "teachers: is empty; name a bundle"),
        (changed(teacher={}), r"teachers\[0\]: has neither a model nor embeddings"),
        (changed(teacher={"model": "a.edge", "weight": 0}), r"teachers\[0\].weight: 0.0 is not above 0"),
        (changed(teacher={"model": "a.edge", "weigth": 1}), r"teachers\[0\].weigth: .*did you mean 'weight'"),
        (
            changed(teacher={"model": "a.edge", "embeddings": "none"}),
            r"embeddings: .*none is no folder; .*--embed-only",
        ),
        (changed(teacher={"model": "a.edge", "tokenizer": "t.json"}), r"tokenizer: .* which has its own"),
        (changed(student={}), "student: both towers are kept, so that there is nothing to train"),
        (changed(student__dimension=8), "student.dimension: must be left out where a tower is kept"),
        (changed(student__dimension=-1), "student.dimension: -1 is negative"),
        (changed(student__space="teacher"), "student.space: 'teacher' needs the teacher's image tower"),
        (changed(student__name="a\tb"), "student.name: holds a control character"),
        (changed(student__image="convv"), r"student.image.arch: 'convv' is not known; there are conv, hybrid"),
        (changed(student__image="timm:"), r"student.image.arch: 'timm:' is not known"),
        (changed(student__text="timm:x"), r"student.text.arch: 'timm:x' is not known; there are static"),
        (changed(student__image={"arch": "conv", "weights": "w"}), "weights: are for timm:"),
        (changed(student__image={"arch": "timm:a", "weights": "none.pt"}), "none.pt: no such file"),
        (changed(student__image={"arch": "conv", "size": -1}), "student.image.size: -1 is negative"),
        (changed(student__image={"arch": "conv", "layers": -1}), "student.image.layers: -1 is negative"),
        (changed(student__text={"vocabulary": -1}), "student.text.vocabulary: -1 is negative"),
        (changed(student__image={"arch": "teacher", "rank": 0}), "student.image.rank: 0 is not at least 1"),
        (changed(student__image={"arch": "conv", "train": "lora"}), "the weights of conv are random; write all"),
        (changed(data={}), "data: has neither images nor texts"),
        (changed(data={"texts": "t.txt"}), "data.images: is empty, but the image tower is to be trained"),
        (changed(data__images=[""]), "data.images: holds an empty name"),
        (changed(data__labelled=1.5), "data.labelled: 1.5 is not in 0..1"),
        (changed(data__held_out=0), "data.held_out: 0.0 leaves nothing to train or to judge on"),
        (
            changed(data={"texts": "a.txt", "validation": "x"}, student={"text": "static"}),
            "data.validation: judges images",
        ),
        (changed(data__templates="no place"), "data.templates: "),
        (changed(data__views=0), "data.views: 0 is not at least 1"),
        (changed(data__resolution=-1), "data.resolution: -1 is negative"),
        (changed(data__memory=0), "data.memory: 0.0 is not above 0"),
        (changed(data__augmentation={"flip": 2}), "data.augmentation.flip: 2.0 is no probability"),
        (changed(data__augmentation={"zoom": 1}), "data.augmentation.zoom: 1.0 is not at least 0 and below 1"),
        (changed(data__augmentation={"turn": 200}), "data.augmentation.turn: 200.0 is not in 0..180"),
        (changed(training={}), "training.steps: give either steps or cpu_seconds"),
        (changed(training={"steps": 5, "cpu_seconds": 5}), "training.steps: give either steps or cpu_seconds"),
        (changed(training__batch=1), "training.batch: 1 is not at least 2"),
        (changed(training__rate=0), "training.rate: 0.0 is not above 0"),
        (changed(training__decay=-1), "training.decay: -1.0 is negative"),
        (changed(training__warmup=2), "training.warmup: 2.0 is not a share"),
        (changed(training__quantize=-0.5), "training.quantize: -0.5 is not a share"),
        (changed(training__evaluate=0), "training.evaluate: 0 is not at least 1"),
        (changed(losses={"feature": -1}), "losses.feature: -1.0 is negative"),
        (changed(losses={"feature": 0}), "losses: none has a weight above 0"),
        (changed(losses={}), "losses: none has a weight above 0"),
        (changed(losses={"featur": 1}), r"losses.featur: there is no such loss; did you mean 'feature'"),
        (changed(losses={"xyz": 1}), r"losses.xyz: there is no such loss; there are .*labels"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_each_rule_names_the_field_and_the_fix(read, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read(content)
    assert "recipe.yaml: " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            changed(losses={"labels": 1, "feature": 1}, data__labelled=0),
            r"losses.labels: has nothing to work on: .*labelled",
        ),
        (
            changed(student__text="static", data={"images": "p"}),
            "losses: none trains the text tower: .* give data.texts",
        ),
        (changed(student={"text": "static"}, data={"images": "p"}), "losses.feature: has nothing to work on"),
        (
            changed(student={"text": "static"}, data={"texts": "t.txt"}, losses={"labels": 1}),
            "losses.labels: has nothing",
        ),
    ],
    ids=["labels-without-labels", "text-without-texts", "feature-without-texts", "labels-without-images"],
)
def test_losses_that_cannot_work_are_refused_before_anything_runs(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        changed(student={"text": "static"}, data={"texts": "t.txt"}),
        changed(student={"text": "static"}, data={"images": "p", "labelled": 0.5}, losses={"labels": 1}),
        changed(student={"image": "conv", "text": "static"}),
        changed(losses={"labels": 1}),
        changed(losses={"feature": 1, "labels": 0}, data__labelled=0),
    ],
    ids=["text-alone", "text-by-labels", "both", "labels-alone", "weight-0"],
)
def test_losses_that_can_work_pass(read, content):
    assert read(content).losses


def test_a_teacher_without_a_model_leaves_nothing_to_keep_or_inherit(read, tmp_path):
    (tmp_path / "rows").mkdir()
    teacher = {"embeddings": "rows"}
    with pytest.raises(InputError, match=r"student.text: is kept from the first teacher, which has no model"):
        read(changed(teacher=teacher))
    with pytest.raises(InputError, match=r"student.text.arch: inherit takes the first teacher's weights"):
        read(changed(teacher=teacher, student__text="inherit"))
    assert read(changed(teacher=teacher, student__text="static")).student.text == TextStudent("static")
