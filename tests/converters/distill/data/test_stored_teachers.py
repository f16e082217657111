"""Teachers: facts from bundles and from folders of embeddings, and which variant computes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data import subjects, teachers
from edgekit.converters.distill.data.parameters import NONE
from edgekit.converters.distill.recipe import DataSpec, TeacherSpec
from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.judging import Times
from edgekit.locations import cache_dir
from edgekit.tower import DeviceTower


@pytest.fixture
def other(tmp_path):
    return tiny.build(tmp_path / "other.edge", seed=5)


def opened(bundle, store, **spec):
    return teachers.open_source(TeacherSpec(str(bundle), **spec), bundle, store)


def test_the_facts_are_the_manifests(tiny_bundle, tmp_path):
    source = opened(tiny_bundle, tmp_path)
    bundle = open_bundle(tiny_bundle)
    record, manifest = source.record, bundle.manifest
    assert record.digest == f"sha256:{bundle.digest}"
    assert (record.name, record.license, record.space) == (manifest.name, manifest.license, manifest.embedding.space)
    assert (record.image, record.text, record.dimension) == (manifest.image, manifest.text, 16)
    assert (record.logit_scale, record.logit_bias, record.scores) == (20.0, 0.0, "softmax")
    assert not source.given


def test_a_store_tells_the_teacher_without_its_bundle(tiny_bundle, tmp_path):
    source = opened(tiny_bundle, tmp_path)
    home, record = teachers.stored(tmp_path)
    assert (home, record) == (source.home, source.record)
    assert teachers.stored(home) == (home, record)
    assert (home / teachers.TOKENIZER).read_text() == tiny.make_tokenizer().to_str()


def test_embeddings_without_a_bundle(tiny_bundle, tmp_path):
    record = opened(tiny_bundle, tmp_path / "a").record
    source = teachers.open_source(TeacherSpec(embeddings=str(tmp_path / "a")), None, tmp_path / "b")
    assert source.record == record
    assert source.given
    assert source.bundle is None
    assert not (tmp_path / "b").exists()
    with pytest.raises(InputError, match="holds embeddings only; name the model"):
        teachers.Towers(source).image()


def test_another_teachers_embeddings_are_refused(tiny_bundle, other, tmp_path):
    opened(tiny_bundle, tmp_path / "a")
    with pytest.raises(
        InputError, match=r"holds embeddings of another teacher: tiny \(sha256:\w+\).*the digest sha256"
    ):
        opened(other, tmp_path / "b", embeddings=str(tmp_path / "a"))


def test_one_of_several_teachers_is_found_by_its_digest(tiny_bundle, other, tmp_path):
    homes = [opened(bundle, tmp_path / "a").home for bundle in (tiny_bundle, other)]
    found = [opened(bundle, tmp_path / "b", embeddings=str(tmp_path / "a")).home for bundle in (tiny_bundle, other)]
    assert found == homes
    with pytest.raises(InputError, match="holds embeddings of several teachers"):
        teachers.stored(tmp_path / "a")
    assert teachers.stored(homes[1])[0] == homes[1]


def test_a_folder_without_embeddings(tmp_path):
    with pytest.raises(InputError, match=r"holds no embeddings: there is no teacher\.json"):
        teachers.stored(tmp_path)


@pytest.mark.parametrize("spec", [TeacherSpec(), TeacherSpec("hf:x")], ids=["nothing", "not converted"])
def test_neither_a_bundle_nor_embeddings(tmp_path, spec):
    with pytest.raises(InputError, match="neither a model nor embeddings"):
        teachers.open_source(spec, None, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, r"teacher\.json: is of version 99"),
        ({"more": 1}, r"unknown field 'more'.*compute the embeddings again"),
    ],
    ids=["version", "unknown field"],
)
def test_a_record_of_another_edgekit(tiny_bundle, tmp_path, change, message):
    path = opened(tiny_bundle, tmp_path).home / teachers.TEACHER
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        teachers.stored(tmp_path)


def test_the_towers_give_the_bundles_embeddings(tiny_bundle, tmp_path):
    source = opened(tiny_bundle, tmp_path)
    towers = teachers.Towers(source)
    manifest = open_bundle(tiny_bundle).manifest
    rows = towers.texts().embed([text.text for text in manifest.golden.texts])
    reference = np.load(Path(tiny.unpack(tiny_bundle, tmp_path / "u")) / manifest.golden.text_embeddings)
    assert np.abs(rows - reference).max() < 1e-5
    assert towers.variant.startswith("fp32 on onnxruntime")
    towers.close()


def test_the_float_variant_computes(tmp_path):
    def rename(manifest):
        first, second = manifest.variants
        return replace(manifest, variants=(replace(first, precision="int8"), second))

    bundle = tiny.build(tmp_path / "two.edge", variants=("static", "fp32"), change=rename)
    towers = teachers.Towers(opened(bundle, tmp_path / "s"))
    towers.image()
    assert towers.variant.startswith("fp32 on")
    towers.close()


def test_a_teacher_that_gives_wrong_numbers_is_refused(tmp_path):
    bundle = tiny.build(tmp_path / "bad.edge", variants=("wrong",))
    with pytest.raises(RuntimeUnavailableError, match="wrong"):
        teachers.Towers(opened(bundle, tmp_path / "s")).image()


def test_the_next_variant_computes_where_the_first_is_wrong(tmp_path):
    bundle = tiny.build(tmp_path / "bad.edge", variants=("wrong", "fp32"))
    towers = teachers.Towers(opened(bundle, tmp_path / "s"))
    towers.image()
    assert towers.variant.startswith("fp32 on")
    towers.close()


def test_the_fastest_of_several_runtimes_computes(tiny_bundle, tmp_path, monkeypatch):
    choices, refused = teachers.list_choices(open_bundle(tiny_bundle), "fp32", None, "auto")
    three = [replace(choices[0], version=version) for version in ("slow", "fast", "middle")]
    times = {name: Times(ms, 0.0) for name, ms in (("slow", 3.0), ("fast", 1.0), ("middle", 2.0))}
    monkeypatch.setattr(teachers, "list_choices", lambda *_: (three, list(refused)))
    monkeypatch.setattr(teachers, "judge", lambda bundle, choice, towers, timed: (times[choice.version], ()))
    closed = []
    whole = DeviceTower.close
    monkeypatch.setattr(DeviceTower, "close", lambda tower: (closed.append(tower), whole(tower)))
    towers = teachers.Towers(opened(tiny_bundle, tmp_path))
    chosen = towers.image()
    assert towers.variant == "fp32 on onnxruntime fast (cpu)"
    assert len(closed) == 2
    assert chosen not in closed
    towers.close()


def test_opening_leaves_no_mark(tiny_bundle, tmp_path):
    # A run that is killed while it opens the teacher must be able to open it again.
    towers = teachers.Towers(opened(tiny_bundle, tmp_path))
    towers.image()
    towers.close()
    assert not list(cache_dir().rglob("*"))


def test_a_store_may_be_copied(tiny_bundle, tmp_path):
    opened(tiny_bundle, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert teachers.stored(tmp_path / "b")[1].name == "tiny"


def test_the_default_store_is_in_the_cache():
    assert teachers.default_store() == cache_dir() / "embeddings"


@pytest.mark.parametrize(
    ("data", "kept", "count"),
    [(DataSpec(views=3), False, 3), (DataSpec(views=3), True, 1), (DataSpec(views=3, augmentation=NONE), False, 1)],
    ids=["augmented", "kept tower", "no augmentation"],
)
def test_views_are_stored_where_something_changes(data, kept, count):
    plan = subjects.view_plan(data, kept=kept)
    assert plan.count == count
    assert plan.plain == (count == 1)


def test_a_store_orders_by_content():
    assert subjects.image_order(["c", "a", "c", "b"]) == ("a", "b", "c")
    ordered = subjects.text_order(["a long text", "b", "a", "b"])
    assert ordered == subjects.text_order(["a", "b", "a long text"])
    assert [len(text) for text in ordered] == [1, 1, 11]


def test_mean_and_deviation_do_not_matter(tiny_bundle, tmp_path):
    record = opened(tiny_bundle, tmp_path).record
    plan = subjects.ViewPlan()
    other_mean = replace(record.image, mean=(0.1, 0.2, 0.3), std=(0.9, 0.9, 0.9))
    assert subjects.of_images(record, ["a"], record.image, plan) == subjects.of_images(record, ["a"], other_mean, plan)
    larger = replace(record.image, height=64)
    assert subjects.of_images(record, ["a"], record.image, plan) != subjects.of_images(record, ["a"], larger, plan)


def test_labels_and_texts_differ(tiny_bundle, tmp_path):
    record = opened(tiny_bundle, tmp_path).record
    one = subjects.of_labels(record, ["cat"], ("{}",))
    assert (
        len({one, subjects.of_texts(record, ["cat"], "float32"), subjects.of_labels(record, ["cat"], ("a {}",))}) == 3
    )
