"""A student's folder with a file missing or damaged: the file is named, and nothing else comes of it."""

from __future__ import annotations

import json

import pytest

import student_kit
from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import create, weights
from edgekit.converters.distill.students import open as opening
from edgekit.converters.distill.students.finish import finish
from edgekit.errors import EdgekitError, InputError

STUDENTS = {
    "made anew": (ImageStudent("conv", width=8), TextStudent("transformer", width=16, heads=2, layers=1)),
    "the teacher's": (ImageStudent("teacher"), TextStudent("teacher")),
}
FILES = ("student.json", "tokenizer.json", "initial-image.safetensors", "initial-text.safetensors")
GRAPHS = ("image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data")
DAMAGES = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "of something else": lambda data: b"<html>404</html>" * 9,
}


@pytest.fixture(scope="module")
def folders(teacher, tmp_path_factory):
    made = {}
    for kind, towers in STUDENTS.items():
        place = tmp_path_factory.mktemp("student")
        create.create(student_kit.recipe(place, *towers), teacher, place / "student")
        made[kind] = place / "student"
    return made


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of a student's folder, to be damaged."""

    def make(kind):
        out = tmp_path / "student"
        out.mkdir()
        for path in folders[kind].iterdir():
            (out / path.name).write_bytes(path.read_bytes())
        return out

    return make


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("made anew", name) for name in FILES), *(("the teacher's", name) for name in GRAPHS)],
    ids=lambda value: value,
)
def test_a_file_that_is_damaged_is_named(copy, kind, name, damage):
    folder = copy(kind)
    data = DAMAGES[damage]((folder / name).read_bytes())
    if data is None:
        (folder / name).unlink()
    elif (folder / name).suffix != ".data" or len(data) < 200:
        (folder / name).write_bytes(data)
    else:
        (folder / name).write_bytes(data[:100])
    with pytest.raises(EdgekitError) as caught:
        opening.open_student(folder, trained=False)
    assert str(folder / name.removesuffix(".data")) in str(caught.value)


def test_what_the_training_left_is_needed_only_for_what_was_trained(copy):
    folder = copy("made anew")
    student = opening.open_student(folder, trained=False)
    with pytest.raises(InputError, match=r"trained-image\.safetensors: no such file of weights"):
        opening.open_student(folder, trained=True)
    weights.save(finish(student.image.module), weights.trained(folder, "image"))
    with pytest.raises(InputError, match=r"trained-text\.safetensors: no such file of weights"):
        opening.open_student(folder, trained=True)


def test_a_field_that_a_record_does_not_have_is_refused(copy):
    folder = copy("made anew")
    plain = json.loads((folder / "student.json").read_text())
    (folder / "student.json").write_text(json.dumps({**plain, "colour": "red"}))
    with pytest.raises(EdgekitError, match=r"student\.json.*colour"):
        opening.open_student(folder, trained=False)
