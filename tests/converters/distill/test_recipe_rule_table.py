"""Every rule of a recipe, in one table: the field that is named, and all that is said of it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgekit.converters.distill import recipe_losses, recipe_rules
from edgekit.converters.distill.losses.table import LOSSES
from edgekit.converters.distill.recipe import (
    Augmentation,
    DataSpec,
    ImageStudent,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TextStudent,
    Training,
)

GOOD = Recipe(
    teachers=(TeacherSpec("/models/big.edge"),),
    data=DataSpec(images=("/pictures",), texts=("/texts.txt",)),
    student=StudentSpec(image=ImageStudent(), text=TextStudent()),
    losses={"feature": 1.0},
    training=Training(steps=10),
)
IMAGE_ARCHS = "conv, hybrid, vit-tiny, vit-small, inherit, teacher, timm:NAME, open_clip:NAME"
TEXT_ARCHS = "static, transformer, inherit, teacher, open_clip:NAME"
MADE = "'edgekit distill RECIPE.yaml --embed-only FOLDER' makes one"


def teacher(**changes):
    return replace(GOOD, teachers=(replace(GOOD.teachers[0], **changes),))


def data(**changes):
    return replace(GOOD, data=replace(GOOD.data, **changes))


def views(**changes):
    return data(augmentation=Augmentation(**changes))


def student(**changes):
    return replace(GOOD, student=replace(GOOD.student, **changes))


def image(**changes):
    return student(image=ImageStudent(**changes))


def text(**changes):
    return student(text=TextStudent(**changes))


def training(**changes):
    return replace(GOOD, training=replace(GOOD.training, **changes))


TABLE = [
    (replace(GOOD, teachers=()), "teachers", "is empty; name a bundle, as in 'teacher: TEACHER.edge'"),
    (teacher(weight=0.0), "teachers[0].weight", "0.0 is not above 0; leave out a teacher that shall not teach"),
    (teacher(weight=-2.5), "teachers[0].weight", "-2.5 is not above 0; leave out a teacher that shall not teach"),
    (
        replace(GOOD, teachers=(*GOOD.teachers, TeacherSpec())),
        "teachers[1]",
        "has neither a model nor embeddings; give the path of a bundle as model",
    ),
    (teacher(embeddings="/none"), "teachers[0].embeddings", f"/none is no folder; {MADE}"),
    (teacher(embeddings=__file__), "teachers[0].embeddings", f"{__file__} is no folder; {MADE}"),
    (
        teacher(tokenizer="/none.json"),
        "teachers[0].tokenizer",
        "/none.json is missing, or the model is a bundle, which has its own",
    ),
    (
        teacher(model="hf:a/b", tokenizer="/none.json"),
        "teachers[0].tokenizer",
        "/none.json is missing, or the model is a bundle, which has its own",
    ),
    (
        student(image=None, text=None),
        "student",
        "both towers are kept, so that there is nothing to train; give image, text or both",
    ),
    (student(name="two\nlines"), "student.name", "holds a control character"),
    (student(dimension=-8), "student.dimension", "-8 is negative; 0 is the teacher's"),
    (
        student(dimension=8, image=None),
        "student.dimension",
        "must be left out where a tower is kept: both write into the teacher's space",
    ),
    (
        student(dimension=8, text=None),
        "student.dimension",
        "must be left out where a tower is kept: both write into the teacher's space",
    ),
    (
        student(space="teacher"),
        "student.space",
        "'teacher' needs the teacher's image tower: leave student.image out, or space",
    ),
    (image(arch="cnn"), "student.image.arch", f"'cnn' is not known; there are {IMAGE_ARCHS}"),
    (image(arch=""), "student.image.arch", f"'' is not known; there are {IMAGE_ARCHS}"),
    (image(arch="Conv"), "student.image.arch", f"'Conv' is not known; there are {IMAGE_ARCHS}"),
    (image(arch="open_clip:"), "student.image.arch", f"'open_clip:' is not known; there are {IMAGE_ARCHS}"),
    (image(arch="static"), "student.image.arch", f"'static' is not known; there are {IMAGE_ARCHS}"),
    (text(arch="conv"), "student.text.arch", f"'conv' is not known; there are {TEXT_ARCHS}"),
    (text(arch="timm:resnet18"), "student.text.arch", f"'timm:resnet18' is not known; there are {TEXT_ARCHS}"),
    (
        image(weights=__file__),
        "student.image.weights",
        "are for timm: and open_clip: only, the arch is conv; leave it out",
    ),
    (text(weights=__file__), "student.text.weights", "are for open_clip: only, the arch is static; leave it out"),
    (image(arch="timm:a", weights="/none.pt"), "student.image.weights", "/none.pt: no such file"),
    (text(arch="open_clip:a", weights="/"), "student.text.weights", "/: no such file"),
    *(
        (image(**{name: -1}), f"student.image.{name}", "-1 is negative; 0 is the default")
        for name in ("size", "patch", "width", "layers", "heads")
    ),
    *(
        (text(**{name: -1}), f"student.text.{name}", "-1 is negative; 0 is the default")
        for name in ("context_length", "vocabulary", "width", "layers", "heads")
    ),
    (image(rank=0), "student.image.rank", "0 is not at least 1"),
    (text(rank=-3), "student.text.rank", "-3 is not at least 1"),
    (
        image(train="probe"),
        "student.image.train",
        "'probe' adapts a trained tower, the weights of conv are random; write all",
    ),
    (
        text(arch="open_clip:a", train="lora"),
        "student.text.train",
        "'lora' adapts a trained tower, the weights of open_clip:a are random; write all",
    ),
    (
        replace(student(image=None), data=DataSpec()),
        "data",
        "has neither images nor texts; name at least one set",
    ),
    (
        data(images=()),
        "data.images",
        "is empty, but the image tower is to be trained; name a folder of pictures",
    ),
    (data(labelled=-0.1), "data.labelled", "-0.1 is not in 0..1; 0.1 uses the texts of a tenth of the images"),
    (data(labelled=1.01), "data.labelled", "1.01 is not in 0..1; 0.1 uses the texts of a tenth of the images"),
    *(
        (
            data(held_out=share),
            "data.held_out",
            f"{share} leaves nothing to train or to judge on; give a share such as 0.1",
        )
        for share in (0.0, 1.0, -0.5, 2.0)
    ),
    (
        replace(student(image=None), data=DataSpec(texts=("/t",), validation=("/v",))),
        "data.validation",
        "judges images, but data.images is empty; leave it out",
    ),
    *(
        (data(**{name: ("/some", "")}), f"data.{name}", "holds an empty name")
        for name in ("images", "texts", "validation")
    ),
    (data(views=0), "data.views", "0 is not at least 1"),
    (data(resolution=-224), "data.resolution", "-224 is negative; 0 takes the largest that a tower needs"),
    (data(memory=0.0), "data.memory", "0.0 is not above 0; it is in gigabytes"),
    *(
        (views(**{name: value}), f"data.augmentation.{name}", f"{value} is no probability; give 0..1")
        for name in ("flip", "grey", "erase")
        for value in (-0.1, 1.1)
    ),
    *(
        (views(**{name: value}), f"data.augmentation.{name}", f"{value} is not at least 0 and below 1")
        for name in ("zoom", "stretch", "shift", "brightness", "contrast")
        for value in (-0.1, 1.0)
    ),
    *((views(turn=value), "data.augmentation.turn", f"{value} is not in 0..180 degrees") for value in (-1.0, 180.5)),
    (training(steps=0), "training.steps", "give either steps or cpu_seconds, above 0, and not both"),
    (training(cpu_seconds=9.0), "training.steps", "give either steps or cpu_seconds, above 0, and not both"),
    *(
        (training(**{name: -1}), f"training.{name}", "-1 is negative")
        for name in ("cpu_seconds", "decay", "clip", "patience", "checkpoint")
    ),
    (training(steps=-1, cpu_seconds=9.0), "training.steps", "-1 is negative"),
    (training(batch=1), "training.batch", "1 is not at least 2"),
    (training(rate=0.0), "training.rate", "0.0 is not above 0"),
    (training(warmup=1.5), "training.warmup", "1.5 is not a share in 0..1"),
    (training(quantize=-0.1), "training.quantize", "-0.1 is not a share in 0..1"),
    (training(evaluate=0), "training.evaluate", "0 is not at least 1; the last one is at the end"),
    (
        replace(GOOD, losses={"feature": 1.0, "labels": -2.0}),
        "losses.labels",
        "-2.0 is negative; give 0 or more",
    ),
    (replace(GOOD, losses={}), "losses", "none has a weight above 0; 'feature: 1' is a good first one"),
    (replace(GOOD, losses={"feature": 0.0}), "losses", "none has a weight above 0; 'feature: 1' is a good first one"),
]


def case_id(case):
    return f"{case[1]}-{case[2].split(' ')[0]}"


@pytest.mark.parametrize(("recipe", "field", "problem"), TABLE, ids=[case_id(case) for case in TABLE])
def test_a_rule_that_is_broken_is_told_alone(recipe, field, problem):
    assert list(recipe_rules.problems(recipe)) == [(field, problem)]


def test_a_right_recipe_breaks_no_rule():
    assert list(recipe_rules.problems(GOOD)) == []
    assert list(recipe_losses.problems(GOOD)) == []


@pytest.mark.parametrize(
    "recipe",
    [
        teacher(weight=1e-6),
        teacher(embeddings=str(Path(__file__).parent)),
        teacher(model="onnx:/x", tokenizer=__file__),
        image(arch="timm:resnet18", weights=__file__, train="lora"),
        image(arch="inherit", train="probe"),
        image(arch="teacher", train="lora", rank=1),
        text(arch="transformer"),
        student(dimension=8),
        student(space="teacher", image=None),
        student(name="Ünïcode name"),
        data(labelled=0.0),
        data(validation=("/v",), held_out=0.0),
        data(images=("/p",), held_out=0.999),
        views(flip=1.0, grey=0.0, erase=1.0, zoom=0.999, turn=180.0),
        training(steps=0, cpu_seconds=0.1),
        training(batch=2, warmup=0.0, quantize=1.0, evaluate=1, clip=0.0, decay=0.0, patience=0, checkpoint=0.0),
        training(warmup=1.0, quantize=0.0),
        replace(GOOD, losses={"feature": 0.0, "labels": 1e-9}),
    ],
    ids=lambda recipe: "",
)
def test_what_lies_just_within_a_rule_passes(recipe):
    assert list(recipe_rules.problems(recipe)) == []


def test_every_problem_names_a_field_that_recipes_have():
    names = {field.name for kind in KINDS for field in fields(kind)} | set(LOSSES)
    for _, path, _ in TABLE:
        assert set(path.replace("[0]", "").replace("[1]", "").split(".")) <= names


KINDS = (Recipe, TeacherSpec, DataSpec, Augmentation, StudentSpec, ImageStudent, TextStudent, Training)


def test_several_problems_are_all_found_in_the_order_of_the_fields():
    broken = replace(
        GOOD,
        teachers=(TeacherSpec("a.edge", weight=0.0),),
        student=replace(GOOD.student, image=ImageStudent(arch="x", rank=0)),
        data=replace(GOOD.data, views=0),
        training=Training(steps=1, batch=0),
        losses={"feature": -1.0, "labels": 1.0},
    )
    assert [field for field, _ in recipe_rules.problems(broken)] == [
        "teachers[0].weight",
        "student.image.arch",
        "student.image.rank",
        "data.views",
        "training.batch",
        "losses.feature",
    ]


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("arch", ["inherit", "teacher", None], ids=str)
def test_embeddings_alone_leave_no_weights_to_start_from(tmp_path, tower, arch):
    made = {"image": ImageStudent, "text": TextStudent}[tower](arch) if arch else None
    recipe = replace(student(**{tower: made}), teachers=(TeacherSpec(embeddings=str(tmp_path)),))
    (field, problem), *rest = recipe_rules.problems(recipe)
    assert rest == []
    assert field == f"student.{tower}{'.arch' if arch else ''}"
    assert "the first teacher" in problem


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_works_on_labelled_images_and_texts(name):
    assert list(recipe_losses.problems(replace(GOOD, losses={name: 1.0, "feature": 1.0}))) == []


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.teacher])
def test_labels_need_labels(name):
    recipe = replace(GOOD, losses={name: 1.0, "feature": 1.0}, data=replace(GOOD.data, labelled=0.0))
    ((field, problem),) = recipe_losses.problems(recipe)
    assert field == f"losses.{name}"
    assert "has nothing to work on: the recipe has images with no texts (labelled is 0)" in problem
    assert problem.endswith("give data.labelled above 0, or other losses")


def test_a_tower_that_no_loss_trains_is_named_with_what_would():
    recipe = replace(GOOD, data=DataSpec(images=("/p",)), losses={"feature": 1.0})
    ((field, problem),) = recipe_losses.problems(recipe)
    assert field == "losses"
    assert problem.startswith("none trains the text tower: the recipe has images with texts and no data.texts")
    assert problem.endswith("trains image and text; give data.texts, or other losses")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("featuer", "did you mean 'feature'?"),
        ("Labels", "did you mean 'labels'?"),
        ("zzz", f"there are {', '.join(LOSSES)}"),
    ],
    ids=["swapped", "upper-case", "nothing-near"],
)
def test_an_unknown_loss_is_told_before_what_losses_need(name, hint):
    recipe = replace(GOOD, losses={name: 1.0, "labels": 1.0}, data=replace(GOOD.data, labelled=0.0))
    assert list(recipe_losses.problems(recipe)) == [(f"losses.{name}", f"there is no such loss; {hint}")]
