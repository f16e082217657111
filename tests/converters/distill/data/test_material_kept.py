"""What was made is not made again: work folders, the store, embeddings made elsewhere, and after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data import store
from edgekit.converters.distill.data.material import open_material
from edgekit.converters.distill.data.prepare import read_made
from edgekit.converters.distill.data.sets import collect
from edgekit.converters.distill.data.teachers import Towers
from edgekit.converters.distill.recipe import Augmentation, TeacherSpec
from edgekit.converters.distill.students.records import Student
from edgekit.errors import InputError
from made_material import TEXTS, make, material, same

# Computing once


def forbidden(*_):
    raise AssertionError("the teacher was asked again")


def test_a_complete_work_folder_is_left_as_it_is(recipe, student, tmp_path, monkeypatch):
    first = make(recipe, student, tmp_path / "work")
    assert [stage for stage in first if stage.startswith("teacher tiny: training images")]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")}
    monkeypatch.setattr(Towers, "_tower", forbidden)
    assert make(recipe, student, tmp_path / "work") == ["reading the data"]
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")}


def test_another_work_folder_takes_what_the_store_has(recipe, student, tmp_path, monkeypatch):
    one = material(recipe, student, tmp_path / "a")
    monkeypatch.setattr(Towers, "_tower", forbidden)
    two = material(recipe, student, tmp_path / "b")
    assert same(one.images(0, 0, 1), two.images(0, 0, 1))
    assert same(one.texts(0, 0, 1), two.texts(0, 0, 1))


def test_the_share_of_labels_costs_the_teacher_nothing(tmp_path, make_recipe, make_captions, student, monkeypatch):
    folder = make_captions(tmp_path / "set", range(15))
    make(make_recipe(images=(str(folder),), held_out=0.4), student, tmp_path / "a")
    monkeypatch.setattr(Towers, "_tower", forbidden)
    found = material(make_recipe(images=(str(folder),), held_out=0.4, labelled=0.5), student, tmp_path / "b")
    assert found.bank.texts


def test_embeddings_made_elsewhere_need_no_bundle(recipe, student, tmp_path, monkeypatch):
    one = material(recipe, student, tmp_path / "a")
    # Another machine: the store and the pictures lie elsewhere, under other names.
    shutil.copytree(recipe.data.store, tmp_path / "copied")
    shutil.rmtree(recipe.data.store)
    for path in sorted((tmp_path / "set").rglob("*.png")):
        target = tmp_path / "moved" / path.parent.name / f"z{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    monkeypatch.setattr(Towers, "_tower", forbidden)
    data = replace(recipe.data, images=(str(tmp_path / "moved"),), store=str(tmp_path / "none"))
    given = replace(recipe, teachers=(TeacherSpec(embeddings=str(tmp_path / "copied")),), data=data)
    two = material(given, student, tmp_path / "b")
    assert same(one.images(3, 0, 1), two.images(3, 0, 1))
    assert two.teachers[0].digest == one.teachers[0].digest
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": 3}, "training images|images do not fit the recipe: views is 2 there, 3 here"),
        ({"seed": 4}, r"images do not fit the recipe: .*there"),
        ({"augmentation": Augmentation(flip=0.1)}, "augmentation is Augmentation.* there"),
        ({"resolution": 40}, r"pixels is ImageSpec\(height=32.* there, ImageSpec\(height=40"),
        ({"templates": ("one {}",)}, r"labels do not fit the recipe: templates is \('a photo of \{\}',\) there"),
    ],
    ids=["views", "seed", "augmentation", "resolution", "templates"],
)
def test_embeddings_of_something_else_are_refused(recipe, student, tmp_path, changes, message):
    make(recipe, student, tmp_path / "a")
    teacher = replace(recipe.teachers[0], embeddings=recipe.data.store)
    given = replace(recipe, teachers=(teacher,), data=replace(recipe.data, **changes))
    with pytest.raises(InputError, match=message):
        make(given, student, tmp_path / "b")


def test_embeddings_of_other_pictures_are_refused(recipe, student, tmp_path, make_classes):
    make(recipe, student, tmp_path / "a")
    folder = make_classes(tmp_path / "more", range(16))
    teacher = replace(recipe.teachers[0], embeddings=recipe.data.store)
    given = replace(recipe, teachers=(teacher,), data=replace(recipe.data, images=(str(folder),)))
    with pytest.raises(InputError, match=r"images do not fit the recipe: count is .* there, .* here; data is"):
        make(given, student, tmp_path / "b")


def test_a_damaged_shard_is_named(recipe, student, tmp_path):
    make(recipe, student, tmp_path / "a")
    (path, *_) = sorted(Path(recipe.data.store).rglob("rows-*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InputError, match=r"rows-00000000\.npy: its SHA-256 is not the index's"):
        make(recipe, student, tmp_path / "b")


def test_changed_data_is_made_anew(recipe, student, tmp_path, make_classes):
    make(recipe, student, tmp_path / "work")
    more = replace(recipe, data=replace(recipe.data, images=(str(make_classes(tmp_path / "set", range(18))),)))
    found = material(more, student, tmp_path / "work")
    assert read_made(tmp_path / "work").plan.images.count == len(collect(more.data).train.items)
    assert found.images(0, 0, 1).planes.shape == (4, 3, 24, 24)


def test_the_cost_of_the_teacher_is_told(recipe, student, tmp_path):
    make(recipe, student, tmp_path / "work")
    made = read_made(tmp_path / "work")
    (cost,) = made.costs
    # 14 images in all, the learned ones under two views; three labels, which both sets share; five texts.
    assert cost.items == 14 + made.plan.images.count + 3 + len(TEXTS)
    assert cost.size == sum(path.stat().st_size for path in Path(recipe.data.store).rglob("*-*.npy"))
    assert cost.cpu_seconds >= 0


# Opening


def test_an_incomplete_folder_is_refused(recipe, student, tmp_path):
    make(recipe, student, tmp_path / "work")
    (tmp_path / "work" / "data" / "material.json").unlink()
    with pytest.raises(InputError, match="its data is not complete; run the distillation again"):
        open_material(recipe, student, tmp_path / "work")


@pytest.mark.parametrize("part", ["image", "text"])
def test_another_student_is_refused(recipe, student, tmp_path, part):
    make(recipe, student, tmp_path / "work")
    with pytest.raises(InputError, match=f"its data is for another {part} student"):
        open_material(recipe, replace(student, **{part: None}), tmp_path / "work")


def test_other_teachers_are_refused(recipe, student, tmp_path):
    make(recipe, student, tmp_path / "work")
    given = replace(recipe, teachers=recipe.teachers * 2)
    with pytest.raises(InputError, match="its data is of 1 teachers"):
        open_material(given, student, tmp_path / "work")
    with pytest.raises(InputError, match="the recipe names 2, 1 are here"):
        make(given, student, tmp_path / "b", [Path(recipe.teachers[0].model)])


# Killed

_CHILD = """
import os, signal, sys
from pathlib import Path
from torch import nn
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data import store
from edgekit.converters.distill.data.material import prepare
from edgekit.converters.distill.recipe import DataSpec, Recipe, StudentSpec, TeacherSpec
from edgekit.converters.distill.students.records import ImageTower, Student

bundle, images, shelf, work, shards = sys.argv[1:]
store.SHARD_ITEMS = 16
finished = []
whole = store.write_bytes
def counted(path, data):
    whole(path, data)
    finished.append(path)
    if len(finished) == int(shards):
        os.kill(os.getpid(), signal.SIGKILL)
store.write_bytes = counted
student = Student(ImageTower(nn.Identity(), open_bundle(bundle).manifest.image), None)
recipe = Recipe((TeacherSpec(bundle),), DataSpec((images,), views=2, held_out=0.2, store=shelf), StudentSpec())
prepare(recipe, [Path(bundle)], student, Path(work), lambda name: None, lambda done, total: None)
"""


def test_after_a_kill_finished_shards_are_kept(tmp_path, tiny_bundle, make_plain, student, make_recipe, monkeypatch):
    folder = make_plain(tmp_path / "set", range(50))
    arguments = [str(tiny_bundle), str(folder), str(tmp_path / "store"), str(tmp_path / "work"), "2"]
    ended = subprocess.run([sys.executable, "-c", _CHILD, *arguments], check=False, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*-*.npy")}
    assert len(kept) == 4
    monkeypatch.setattr(store, "SHARD_ITEMS", 16)
    given = Student(replace(student.image, spec=open_bundle(tiny_bundle).manifest.image), None)
    recipe = make_recipe(images=(str(folder),), held_out=0.2)
    resumed = material(recipe, given, tmp_path / "work")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    whole = replace(recipe, data=replace(recipe.data, store=str(tmp_path / "fresh")))
    assert same(resumed.images(5, 0, 1), material(whole, given, tmp_path / "other").images(5, 0, 1))
