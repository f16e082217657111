"""What a distillation hands to the conversion: facts, provenance after the teacher's, and the members of the bundle."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest

import tiny_bundle as tiny
from edgekit import __version__
from edgekit.bundle import provenance, schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill import handover, packing, recipe_file, work
from edgekit.converters.distill.handover import Handover
from edgekit.converters.distill.jobs import Job
from edgekit.converters.distill.kept import kept_record, kept_variant
from edgekit.converters.distill.recipe import (
    DataSpec,
    ImageStudent,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TextStudent,
    Training,
)
from edgekit.converters.distill.training.records import Outcome
from edgekit.errors import InputError

OUTCOME = Outcome(
    identity="0" * 64,
    steps=30,
    wall_seconds=1.0,
    cpu_seconds=1.0,
    images_per_second=5.0,
    ended="plateau",
    delivered="best",
    delivered_step=20,
    reason="later ones were worse",
    evaluations=(),
    teacher=(),
    logit_scale=12.5,
    logit_bias=-2.0,
    processes=2,
    precision="bfloat16",
    device="cpu",
)

CONV = ImageStudent("conv")


@pytest.fixture
def make(tmp_path, tiny_bundle):
    """A job of the tiny teacher; arguments are of the student, or parts of the recipe."""

    def job(*, losses=None, data=None, image=CONV, text=None, **student):
        recipe = Recipe(
            teachers=(TeacherSpec(str(tiny_bundle)),),
            data=data or DataSpec(images=("/home/me/pictures",)),
            student=StudentSpec(image=image, text=text, **student),
            losses=losses or {"feature": 1.0},
            training=Training(steps=30, batch=8, seed=4),
        )
        digest = f"sha256:{open_bundle(tiny_bundle).digest}"
        identity = work.Identity(__version__, recipe_file.digest(recipe), (digest,), "i" * 64, "v" * 64, "")
        return Job(recipe, tmp_path, (tiny_bundle,), None, identity)

    return job


def test_the_facts_are_the_teachers_where_the_recipe_says_nothing(make, tiny_bundle):
    teacher = open_bundle(tiny_bundle).manifest
    found = packing._handover(make(), OUTCOME, "small")
    assert (found.name, found.license, found.teacher) == ("small", teacher.license, str(tiny_bundle))
    assert found.dimension == teacher.embedding.dimension
    assert found.templates == teacher.text.templates
    assert found.scores == teacher.embedding.scores
    assert (found.logit_scale, found.logit_bias, found.space) == (12.5, -2.0, "")
    assert found.description == f"Distilled from {teacher.name}: image tower conv"
    assert found.attachments == {"distill/recipe.json": "recipe.json"}


def test_the_recipe_comes_before_the_teacher(make):
    data = DataSpec(images=("/p",), templates=("one {}", "two {}"))
    job = make(data=data, image=ImageStudent("vit-tiny"), text=TextStudent("static"), dimension=5)
    found = packing._handover(job, OUTCOME, "n")
    assert (found.dimension, found.templates) == (5, ("one {}", "two {}"))
    assert found.description.endswith(": image tower vit-tiny, text tower static")


@pytest.mark.parametrize("space", ["new", "teacher"])
def test_the_space_is_the_teachers_only_where_it_is_asked_for(make, tiny_bundle, space):
    job = make(image=None, text=TextStudent("static"), space=space)
    wanted = open_bundle(tiny_bundle).manifest.embedding.space if space == "teacher" else ""
    assert packing._handover(job, OUTCOME, "n").space == wanted


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        ({"feature": 1.0}, "softmax"),
        ({"feature": 1.0, "sigmoid": 0.5}, "sigmoid"),
        ({"sigmoid": 1.0, "labels": 0.1}, "softmax"),
        ({"sigmoid": 1.0, "contrastive": 0.0}, "sigmoid"),
        ({"sigmoid": 0.0, "feature": 1.0}, "softmax"),
        ({"contrastive": 1.0}, "softmax"),
    ],
    ids=["teacher", "sigmoid", "both", "sigmoid-alone", "sigmoid-of-weight-0", "contrastive"],
)
def test_scores_are_read_as_they_were_trained(make, losses, wanted):
    assert packing._scores(make(losses=losses).recipe, "softmax") == wanted


def test_a_teachers_own_way_stays_where_no_loss_trains_another(make):
    assert packing._scores(make(losses={"relation": 1.0}).recipe, "sigmoid") == "sigmoid"
    assert packing._scores(make(losses={"labels": 1.0}).recipe, "sigmoid") == "softmax"


def test_the_history_follows_the_teachers_own(make, tiny_bundle):
    before = open_bundle(tiny_bundle).manifest.provenance
    found = packing._handover(make(), OUTCOME, "n").history
    assert found[:-1] == before
    assert found[-1].action == "distill"
    assert found[-1].previous == before[-1].digest
    assert provenance.problem(found) == ""


def test_a_history_that_is_altered_is_noticed(make):
    *before, last = packing._handover(make(), OUTCOME, "n").history
    altered = replace(last, details={**last.details, "steps": "31"})
    assert provenance.problem((*before, altered)) == f"step {len(before)} (distill) was altered"
    assert "does not follow" in provenance.problem((last,))


def test_the_details_tell_all_that_the_result_depends_on_and_no_folder(make):
    job = make(losses={"feature": 1.0, "labels": 0.25, "bank": 0.0})
    found = packing.details(job, OUTCOME)
    assert found == {
        "recipe": job.identity.recipe,
        "teacher_0": job.identity.teachers[0],
        "images": "i" * 64,
        "validation": "v" * 64,
        "losses": "feature 1, labels 0.25",
        "steps": "30",
        "batch": "8",
        "seed": "4",
        "weights": "best, step 20",
        "processes": "2",
        "precision": "bfloat16",
        "device": "cpu",
        "version_edgekit": __version__,
    }
    assert "/" not in "".join(found.values()).replace("sha256:", "")


def test_each_teacher_is_in_the_details(make):
    job = make()
    several = replace(job, identity=replace(job.identity, teachers=("sha256:a", "sha256:b"), images="", texts="t"))
    found = packing.details(several, OUTCOME)
    assert (found["teacher_0"], found["teacher_1"], found["texts"]) == ("sha256:a", "sha256:b", "t")
    assert "images" not in found


FACTS = Handover("n", "MIT", "d", "", 3, 1.0, 0.0, "softmax", ("{}",), "", (), {})


def test_facts_are_read_as_they_were_written(tmp_path):
    work.write(tmp_path, handover.FILE, FACTS)
    assert handover.read(tmp_path) == FACTS


@pytest.mark.parametrize("name", [field.name for field in fields(Handover)])
def test_a_fact_that_is_missing_is_named(tmp_path, name):
    plain = schema.to_plain(FACTS)
    del plain[name]
    (tmp_path / handover.FILE).write_text(json.dumps(plain))
    with pytest.raises(InputError, match=rf"source\.json: the field '{name}' is missing"):
        handover.read(tmp_path)


def test_unpacked_members_are_those_of_the_bundle_and_older_ones_go(tmp_path, tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    (tmp_path / "tree" / "old").mkdir(parents=True)
    manifest = packing._unpack(bundle, tmp_path / "tree")
    found = {
        path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*") if path.is_file()
    }
    assert found == {record.path for record in manifest.files}
    assert not (tmp_path / "tree" / "old").exists()
    assert all((tmp_path / "tree" / path).read_bytes() == bytes(bundle.read(path)) for path in found)


@pytest.mark.parametrize(("image", "text", "kept"), [(None, True, "image"), (True, None, "text"), (True, True, None)])
def test_the_kept_tower_is_the_one_that_is_not_new(make, image, text, kept):
    towers = {"image": ImageStudent() if image else None, "text": TextStudent() if text else None}
    assert packing._kept(make(**towers).recipe) == kept


@pytest.fixture
def variants(tmp_path):
    """A teacher whose variants have other formats, precisions and targets; by their ids."""

    def build(*given):
        def change(manifest):
            (variant,) = manifest.variants
            made = tuple(
                replace(variant, id=f"v{i}", precision=precision, target=target)
                for i, (precision, target) in enumerate(given)
            )
            return replace(manifest, variants=made)

        return open_bundle(tiny.build(tmp_path / "t.edge", change=change))

    return build


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([("fp32", "any")], "v0"),
        ([("int8", "any"), ("fp32", "any")], "v1"),
        ([("int8", "any"), ("int4", "any")], "v0"),
        ([("fp32", "x86_64"), ("int8", "any")], "v1"),
    ],
    ids=["float", "float-second", "first-of-two", "for-any-processor"],
)
def test_a_kept_tower_is_float_where_there_is_one_for_any_processor(variants, given, wanted):
    bundle = variants(*given)
    assert kept_variant(bundle).id == wanted
    assert kept_record(bundle, "text") == next(one for one in bundle.manifest.variants if one.id == wanted).text


def test_a_teacher_without_a_portable_tower_is_refused_with_what_it_holds(variants):
    bundle = variants(("fp32", "x86_64"))
    with pytest.raises(InputError, match=r"holds v0 \(onnx, fp32, x86_64\); .*convert the teacher again") as caught:
        kept_variant(bundle)
    assert re.search(r"edgekit convert \S+ -o TEACHER\.edge$", str(caught.value))
