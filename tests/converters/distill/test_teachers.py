"""What a recipe calls its teachers: bundles, sources that are converted once, or embeddings made elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import frozen_bundle
import tiny_bundle as tiny
import tiny_source
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill import teachers, work
from edgekit.converters.distill.data import teachers as stored_teachers
from edgekit.converters.distill.recipe import DataSpec, ImageStudent, Recipe, StudentSpec, TeacherSpec, TextStudent
from edgekit.errors import BundleError, ConversionError, InputError

BOTH = StudentSpec(image=ImageStudent(), text=TextStudent())


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Install the source ``tiny:``, as a third party's package does."""
    tiny_source.install(tmp_path / "site", monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def recipe(*specs, student=BOTH):
    found = (TeacherSpec(spec) if isinstance(spec, str) else spec for spec in specs)
    return Recipe(tuple(found), DataSpec(), student)


def test_a_source_is_converted_into_the_work_folder_once(tmp_path, sources):
    stages = []
    asked = recipe("tiny:good")
    (path,) = teachers.find(asked, tmp_path, stages.append)
    assert path == tmp_path / work.CONVERTED / "0.edge"
    assert stages
    assert all(stage.startswith("teacher 1: ") for stage in stages)
    bundle = open_bundle(path)
    # A teacher is asked for in float32: a tower that is kept, or adapted, needs it.
    assert [variant.precision for variant in bundle.manifest.variants] == ["fp32"]
    before, told = path.stat().st_mtime_ns, len(stages)
    assert teachers.find(asked, tmp_path, stages.append) == (path,)
    assert (path.stat().st_mtime_ns, len(stages)) == (before, told)
    assert teachers.digests(asked, (path,)) == (f"sha256:{bundle.digest}",)


def test_teachers_of_every_kind_keep_their_order(tmp_path, sources, tiny_bundle):
    stored_teachers.open_source(TeacherSpec(str(tiny_bundle)), tiny_bundle, tmp_path / "rows")
    asked = recipe(str(tiny_bundle), TeacherSpec(embeddings=str(tmp_path / "rows")), "tiny:good")
    found = teachers.find(asked, tmp_path, lambda stage: None)
    assert found == (tiny_bundle.absolute(), None, tmp_path / work.CONVERTED / "2.edge")
    digests = teachers.digests(asked, found)
    assert digests[0] == digests[1] == f"sha256:{open_bundle(tiny_bundle).digest}"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digests[2])
    assert digests[2] != digests[0]


def test_a_source_that_fails_leaves_no_bundle_that_would_be_taken_for_one(tmp_path, sources):
    with pytest.raises(ConversionError):
        teachers.find(recipe("tiny:disagree"), tmp_path, lambda stage: None)
    assert list((tmp_path / work.CONVERTED).glob("*.edge")) == []
    (path,) = teachers.find(recipe("tiny:good"), tmp_path, lambda stage: None)
    assert path.exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("none.edge", r"teachers\[1\]\.model: .*none\.edge: no such bundle"),
        ("elsewhere:model", r"teachers\[1\]\.model: elsewhere:model: neither a bundle nor a source; .*tiny"),
        ("starters", r"teachers\[1\]\.model: starters: no such bundle"),
    ],
    ids=["path", "source", "name"],
)
def test_what_is_no_teacher_is_named_by_its_place(tmp_path, sources, tiny_bundle, model, message):
    with pytest.raises(InputError, match=message):
        teachers.find(recipe(str(tiny_bundle), model), tmp_path, lambda stage: None)
    assert not (tmp_path / work.CONVERTED).exists()


def test_a_bundle_without_its_text_tower_teaches_nothing(tmp_path):
    frozen = frozen_bundle.freeze(tmp_path / "frozen.edge")
    with pytest.raises(InputError, match=r"teachers\[0\]\.model: .*frozen\.edge: has no text tower.*name the bundle"):
        teachers.find(recipe(str(frozen)), tmp_path, lambda stage: None)


@pytest.mark.parametrize(
    "student",
    [StudentSpec(image=ImageStudent()), StudentSpec(text=TextStudent())],
    ids=["the text tower is kept", "the image tower is kept"],
)
def test_a_kept_tower_must_be_there_in_a_portable_form_at_once(tmp_path, student):
    def elsewhere(manifest):
        return replace(manifest, variants=(replace(manifest.variants[0], target="x86-vnni"),))

    bundle = str(tiny.build(tmp_path / "t.edge", change=elsewhere))
    with pytest.raises(InputError, match=r"must be ONNX for any processor; convert the teacher again"):
        teachers.find(recipe(bundle, student=student), tmp_path, lambda stage: None)
    # Where both towers are new, any bundle that runs will do; and only the first teacher's tower is ever kept.
    assert teachers.find(recipe(bundle), tmp_path, lambda stage: None)
    sound = str(tiny.build(tmp_path / "sound.edge"))
    assert teachers.find(recipe(sound, bundle, student=student), tmp_path, lambda stage: None)


def test_a_damaged_bundle_is_told_before_anything_is_made_of_it(tmp_path):
    path = tiny.build(tmp_path / "t.edge")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BundleError, match=r"t\.edge"):
        teachers.find(recipe(str(path)), tmp_path, lambda stage: None)
