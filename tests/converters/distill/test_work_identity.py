"""A work folder belongs to one distillation: whatever differs is refused by its name, and left as it was."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import pytest

from edgekit.bundle import schema
from edgekit.converters.distill import jobs, recipe_file, work
from edgekit.converters.distill.recipe import (
    DataSpec,
    ImageStudent,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TextStudent,
    Training,
)
from edgekit.converters.distill.work import Identity
from edgekit.errors import InputError

RECIPE = Recipe(
    teachers=(TeacherSpec("a.edge"), TeacherSpec("b.edge")),
    data=DataSpec(images=("pictures",), texts=("words",), validation=("held",), templates=("a {}",)),
    student=StudentSpec(image=ImageStudent(), text=TextStudent()),
    losses={"feature": 1.0},
    training=Training(steps=3),
)
IDENTITY = Identity("1.0", "r" * 64, ("sha256:a", "sha256:b"), "i" * 64, "v" * 64, "t" * 64)
NAMES = {
    "edgekit": "version of edgekit",
    "recipe": "recipe",
    "teachers": "teacher",
    "images": "set of training images",
    "validation": "validation set",
    "texts": "set of texts",
}


def other(value):
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return (*value, "x") if not value or isinstance(value[0], str) else value[:-1]
    if isinstance(value, dict):
        return {**value, "x": 1.0}
    return value + 1


def leaves(record, where=""):
    """Yield the path of every field, and the record with that one changed."""
    for field in fields(record):
        value, path = getattr(record, field.name), f"{where}{field.name}"
        if is_dataclass(value):
            for inner, changed in leaves(value, f"{path}."):
                yield inner, replace(record, **{field.name: changed})
            continue
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            for inner, changed in leaves(value[0], f"{path}[0]."):
                yield inner, replace(record, **{field.name: (changed, *value[1:])})
        yield path, replace(record, **{field.name: other(value)})


CHANGED = dict(leaves(RECIPE))
# Where embeddings lie on this machine changes nothing of the result.
PLACES = {"data.store"}


def test_every_field_of_every_record_is_tried():
    assert {"teachers", "teachers[0].weight", "data.augmentation.turn", "student.image.rank", "losses"} <= set(CHANGED)
    assert len(CHANGED) > 60


@pytest.mark.parametrize("path", CHANGED)
def test_each_field_of_a_recipe_is_part_of_its_digest(path):
    same = recipe_file.digest(CHANGED[path]) == recipe_file.digest(RECIPE)
    assert same == (path in PLACES)


@pytest.mark.parametrize("path", CHANGED)
def test_each_field_survives_the_work_folder(tmp_path, path):
    work.write(tmp_path, work.RECIPE, CHANGED[path])
    if path == "student.space" or path.endswith((".train", ".importance", ".precision")):
        with pytest.raises(InputError, match=r"recipe\.json.* expected one of"):
            work.read_recipe(tmp_path)
    else:
        assert work.read_recipe(tmp_path) == CHANGED[path]


def test_an_absent_tower_is_another_recipe():
    towers = [replace(RECIPE.student, image=None), replace(RECIPE.student, text=None), RECIPE.student]
    assert len({recipe_file.digest(replace(RECIPE, student=one)) for one in towers}) == 3


def test_the_order_of_teachers_sets_and_losses_counts():
    turned = [
        replace(RECIPE, teachers=RECIPE.teachers[::-1]),
        replace(RECIPE, data=replace(RECIPE.data, images=("b", "a"))),
        replace(RECIPE, data=replace(RECIPE.data, images=("a", "b"))),
    ]
    assert len({recipe_file.digest(one) for one in [RECIPE, *turned]}) == 4


def test_the_names_cover_every_field():
    assert set(NAMES) == {field.name for field in fields(Identity)}


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_differs_is_refused_by_name(tmp_path, name):
    work.write(tmp_path, work.IDENTITY, replace(IDENTITY, **{name: other(getattr(IDENTITY, name))}))
    before = (tmp_path / work.IDENTITY).read_bytes()
    with pytest.raises(InputError) as caught:
        jobs._recognize(tmp_path, IDENTITY)
    assert str(caught.value) == (
        f"{tmp_path}: was begun with another {NAMES[name]}; give another output, or --restart to delete what is there "
        "and begin anew"
    )
    assert (tmp_path / work.IDENTITY).read_bytes() == before


@pytest.mark.parametrize("teachers", [("sha256:a",), ("sha256:b", "sha256:a"), ()], ids=["fewer", "turned", "none"])
def test_other_teachers_are_refused(tmp_path, teachers):
    work.write(tmp_path, work.IDENTITY, IDENTITY)
    with pytest.raises(InputError, match="another teacher;"):
        jobs._recognize(tmp_path, replace(IDENTITY, teachers=teachers))


def test_the_same_distillation_goes_on(tmp_path):
    jobs._recognize(tmp_path, IDENTITY)
    work.write(tmp_path, work.IDENTITY, IDENTITY)
    jobs._recognize(tmp_path, replace(IDENTITY))
    assert work.read(tmp_path, work.IDENTITY, Identity) == IDENTITY


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"edgekit": 1}'], ids=repr)
def test_an_identity_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / work.IDENTITY).write_text(content)
    with pytest.raises(InputError, match=r"identity\.json"):
        jobs._recognize(tmp_path, IDENTITY)


def test_what_is_large_goes_and_the_rest_stays(tmp_path):
    for name in (work.DATA, work.CHECKPOINTS, work.TREE, work.CONVERTED, work.STUDENT):
        (tmp_path / name / "inner").mkdir(parents=True)
    for name in (work.DRAFT, work.METRICS, work.PICTURE, work.REPORT, work.IDENTITY, work.RECIPE):
        (tmp_path / name).write_text("x")
    jobs.tidy(tmp_path)
    jobs.tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(work.STUDENT, work.METRICS, work.PICTURE, work.REPORT, work.IDENTITY, work.RECIPE)
    }


def test_of_a_folder_on_another_disk_only_the_link_goes(tmp_path):
    """Who has little room links the data, or the checkpoints, to where there is some."""
    folder, other = tmp_path / "s.distill", tmp_path / "disk"
    for place in (folder, other):
        place.mkdir()
    (other / "precious").write_text("mine")
    for clean in (jobs.tidy, jobs._empty):
        (folder / work.DATA).symlink_to(other, target_is_directory=True)
        (folder / work.DRAFT).symlink_to(tmp_path / "nowhere")
        clean(folder)
        assert list(folder.iterdir()) == []
        assert (other / "precious").read_text() == "mine"


@pytest.mark.parametrize("content", [None, "", "{", '{"teachers": 5}'], ids=["missing", "empty", "torn", "type"])
def test_a_record_that_cannot_be_read_names_its_file_and_the_way_out(tmp_path, content):
    if content is not None:
        (tmp_path / work.TEACHERS).write_text(content)
    with pytest.raises(InputError, match=r"teachers\.json.*: .*; give --restart to begin anew") as caught:
        work.read(tmp_path, work.TEACHERS, work.Paths)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["photo.jpg", "student", "data", "identity.json.tmp", ".git"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is in the way, and is no work folder of a distillation; move it, or choose"):
        jobs._check(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path):
    (tmp_path / "s.distill").write_text("mine")
    with pytest.raises(InputError, match="is in the way"):
        jobs._check(tmp_path / "s.distill")


EARLY = [(), ("lock",), ("lock", "recipe.json", ".teachers.json.1f.tmp"), ("teachers",)]


@pytest.mark.parametrize("names", EARLY, ids=str)
def test_a_folder_that_was_hardly_begun_is_taken_up(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("")
    jobs._check(tmp_path)
    jobs._check(tmp_path / "none")


def test_two_commands_do_not_work_in_one_folder(tmp_path):
    with work.locked(tmp_path):
        with (
            pytest.raises(InputError, match="another process is at work there; wait for it, or end it"),
            work.locked(tmp_path),
        ):
            pytest.fail("both were let in")
        with work.locked(tmp_path, work.TRAINING):
            pass
    with work.locked(tmp_path):
        pass


@pytest.mark.parametrize(("out", "name"), [("s.edge", "s.distill"), ("a.b.edge", "a.b.distill"), ("s", "s.distill")])
def test_the_work_folder_lies_beside_the_output(tmp_path, out, name):
    assert work.folder_of(tmp_path / out) == tmp_path / name


def test_a_folder_without_a_recipe_says_what_makes_one(tmp_path):
    with pytest.raises(InputError, match="is no work folder of a distillation; 'edgekit distill … --prepare-only'"):
        work.read_recipe(tmp_path)


def test_paths_of_teachers_may_be_absent(tmp_path):
    paths = work.Paths(("/a.edge", ""))
    assert [str(path) if path else None for path in paths.bundles] == ["/a.edge", None]
    work.write(tmp_path, work.TEACHERS, paths)
    assert work.read(tmp_path, work.TEACHERS, work.Paths) == paths
    assert schema.dumps(paths) == (tmp_path / work.TEACHERS).read_text()
