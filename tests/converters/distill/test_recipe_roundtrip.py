"""Recipes as YAML: what is written is read again, and whatever else stands in a file gives one clear error."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgekit.bundle import schema
from edgekit.converters.distill import recipe_file
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
from edgekit.errors import InputError

# Nothing here depends on what another example has left in the folder.
QUICK = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORD = st.text("abcxyz059-_ é中😀'\"#:,[]{}&*!|>%@`", min_size=1, max_size=10)
PATH = WORD.map(lambda word: f"/{word.strip() or 'x'}")
SHARE = st.floats(0.0, 1.0, allow_subnormal=False)
BELOW = st.floats(0.0, 0.999, allow_subnormal=False)
SOME = st.floats(1e-6, 1e6)
TEACHERS = st.builds(TeacherSpec, model=PATH, weight=SOME)
AUGMENTATIONS = st.builds(
    Augmentation,
    flip=SHARE,
    zoom=BELOW,
    stretch=BELOW,
    shift=BELOW,
    turn=st.floats(0, 180),
    brightness=BELOW,
    contrast=BELOW,
    grey=SHARE,
    erase=SHARE,
)
DATA = st.builds(
    DataSpec,
    images=st.lists(PATH, min_size=1, max_size=3).map(tuple),
    texts=st.lists(PATH, min_size=1, max_size=2).map(tuple),
    labelled=st.floats(0.001, 1.0),
    validation=st.lists(PATH, max_size=2).map(tuple),
    held_out=st.floats(0.01, 0.99),
    templates=st.lists(WORD.map(lambda word: word.replace("{", "").replace("}", "") + "{}"), max_size=2).map(tuple),
    views=st.integers(1, 99),
    resolution=st.integers(0, 512),
    augmentation=AUGMENTATIONS,
    store=PATH | st.just(""),
    memory=SOME,
    seed=st.integers(-(10**9), 10**9),
)
STUDENTS = st.builds(
    StudentSpec,
    name=WORD,
    image=st.builds(ImageStudent, arch=st.sampled_from(["conv", "timm:x", "teacher"]), size=st.integers(0, 99)),
    text=st.builds(TextStudent, arch=st.sampled_from(["static", "inherit"]), vocabulary=st.integers(0, 99)),
    dimension=st.integers(0, 512),
)
TRAININGS = st.builds(
    Training,
    steps=st.integers(1, 10**9),
    batch=st.integers(2, 4096),
    rate=SOME,
    warmup=SHARE,
    quantize=SHARE,
    precision=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
    seed=st.integers(0, 2**31),
    evaluate=st.integers(1, 99),
)
LOSSES = st.fixed_dictionaries({"feature": SOME}, optional={"labels": SOME, "relation": SOME})
RECIPES = st.builds(
    Recipe,
    teachers=st.lists(TEACHERS, min_size=1, max_size=2).map(tuple),
    data=DATA,
    student=STUDENTS,
    losses=LOSSES,
    training=TRAININGS,
)


def stored(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def as_yaml(recipe, flow):
    return yaml.safe_dump(schema.to_plain(recipe), default_flow_style=flow, allow_unicode=True, width=40)


@QUICK
@given(recipe=RECIPES, flow=st.sampled_from([True, False, None]))
def test_a_recipe_in_yaml_is_read_as_it_was(tmp_path, recipe, flow):
    assert recipe_file.read(stored(tmp_path / "r.yaml", as_yaml(recipe, flow))) == recipe


@QUICK
@given(recipe=RECIPES)
def test_a_recipe_in_json_is_read_as_it_was(tmp_path, recipe):
    assert recipe_file.read(stored(tmp_path / "r.yaml", schema.dumps(recipe))) == recipe
    assert schema.loads(Recipe, schema.dumps(recipe), "again") == recipe


@QUICK
@given(recipe=RECIPES)
def test_what_is_left_at_its_default_may_be_left_out(tmp_path, recipe):
    short = json.dumps(without_defaults(recipe))
    assert recipe_file.read(stored(tmp_path / "r.yaml", short)) == recipe


def without_defaults(record):
    if isinstance(record, tuple):
        return [without_defaults(one) for one in record]
    if not is_dataclass(record):
        return record
    return {
        field.name: without_defaults(value)
        for field in fields(record)
        if (value := getattr(record, field.name)) != field.default
    }


@QUICK
@given(recipe=RECIPES)
def test_a_portable_recipe_is_portable_already(recipe):
    portable = recipe_file.portable(recipe)
    assert recipe_file.portable(portable) == portable
    assert recipe_file.digest(portable) == recipe_file.digest(recipe)
    assert portable.losses == recipe.losses
    assert portable.training == recipe.training


GOOD = b"teacher: /big.edge\ndata:\n  images: /p\nstudent:\n  image: conv\nlosses: feature\ntraining:\n  steps: 3\n"
# What YAML gives a meaning, and what file systems stumble over.
PIECES = st.sampled_from(
    [
        *(b": ", b"- ", b"\n", b"\n  ", b"[", b"]", b"{", b"}", b"'", b'"', b"#", b"&a", b"*a", b"!!int ", b"|", b">"),
        *(b"teacher", b"teachers", b"data", b"images", b"student", b"image", b"losses", b"training", b"steps"),
        *(b"null", b"~", b"~nobody/x", b"true", b"no", b"1", b"-1", b"1e999", b".nan", b"0x1", b"\t", b"\x00"),
        *(b'"\\0"', b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"a" * 300, b"../" * 40, b"---", b"..."),
    ]
)


def read_or_refused(path):
    """Read a file; return the message of an `InputError`, and let every other error pass."""
    try:
        recipe_file.read(path)
    except InputError as error:
        return str(error)
    return ""


@settings(QUICK, max_examples=40)
@given(pieces=st.lists(PIECES, max_size=14))
def test_junk_is_refused_in_one_way(tmp_path, pieces):
    path = stored(tmp_path / "junk.yaml", b"".join(pieces))
    assert read_or_refused(path).startswith(f"{path}: ")


@settings(QUICK, max_examples=40)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_way(tmp_path, data):
    path = stored(tmp_path / "junk.yaml", data)
    assert read_or_refused(path).startswith(f"{path}: ")


@settings(QUICK, max_examples=40)
@given(place=st.integers(0, len(GOOD)), piece=PIECES, skip=st.integers(0, 6))
def test_a_recipe_with_an_error_in_it_is_read_or_refused(tmp_path, place, piece, skip):
    path = stored(tmp_path / "typo.yaml", GOOD[:place] + piece + GOOD[place + skip :])
    told = read_or_refused(path)
    assert told == "" or told.startswith(f"{path}: ")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9)
    | st.sampled_from(["", "conv", "a" * 300, "~x/y"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["arch", "model", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
PLACES = [
    *(
        ["teacher"],
        ["teachers"],
        ["data"],
        ["student"],
        ["losses"],
        ["training"],
        ["data", "images"],
        ["data", "texts"],
    ),
    *(["data", "store"], ["data", "augmentation"], ["data", "validation"], ["student", "image"], ["student", "text"]),
    *(["student", "name"], ["losses", "feature"], ["training", "steps"], ["training", "precision"]),
]


@settings(QUICK, max_examples=40)
@given(place=st.sampled_from(PLACES), value=VALUES)
@example(place=["data", "images"], value="~nobody-of-this-name/x")
@example(place=["data", "store"], value="~nobody-of-this-name/x")
@example(place=["teacher"], value="~nobody-of-this-name/x.edge")
@example(place=["teacher"], value="onnx:~nobody-of-this-name/x")
@example(place=["teacher"], value="a" * 300)
@example(place=["data", "texts"], value="a" * 300)
@example(place=["student", "image"], value={"arch": "timm:x", "weights": "a" * 300})
@example(place=["teachers"], value=[{"model": "b", "embeddings": "a" * 300}])
@example(place=["student", "image"], value={"arch": "timm:x", "weights": "a\0b"})
@example(place=["teachers"], value=[{"model": "hf:b", "tokenizer": "a\0b"}])
def test_any_value_in_any_place_is_read_or_refused(tmp_path, place, value):
    plain = {**yaml.safe_load(GOOD), "losses": {"feature": 1}}
    inner = plain
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    if place == ["teachers"]:
        del plain["teacher"]
    path = stored(tmp_path / "value.yaml", json.dumps(plain))
    told = read_or_refused(path)
    assert told == "" or told.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "kind", [TeacherSpec, DataSpec, Augmentation, StudentSpec, ImageStudent, TextStudent, Training]
)
def test_every_field_is_documented_and_has_a_default(kind):
    assert kind() == replace(kind())
    for field in fields(kind):
        assert f"{field.name}:" in kind.__doc__


def test_the_line_of_each_problem_is_told(tmp_path):
    lines = GOOD.decode().splitlines()
    for number, old, new, told in (
        (1, "/big.edge", "''", "teachers[0]: "),
        (3, "/p", "''", "data.images: "),
        (5, "conv", "cnn", "student.image.arch: "),
        (6, "feature", "featur", "losses.featur: "),
        (8, "3", "0", "training.steps: "),
    ):
        wrong = [line.replace(old, new) if i == number else line for i, line in enumerate(lines, 1)]
        message = read_or_refused(stored(tmp_path / "r.yaml", "\n".join(wrong)))
        assert told in message
        assert message.endswith(f"(line {number})"), message
