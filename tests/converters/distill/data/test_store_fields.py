"""A store's index says everything that its rows depend on: each field of another set is refused by its name."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle import schema
from edgekit.bundle.manifest import FileRecord, ImageSpec
from edgekit.converters.distill.data import store
from edgekit.converters.distill.data.store_records import VERSION, Index, Shard, Subject
from edgekit.converters.distill.recipe import Augmentation
from edgekit.errors import InputError

PIXELS = ImageSpec(8, 8, "squash", 0, "bicubic", (0, 0, 0), (0.0,) * 3, (1.0,) * 3)
SUBJECT = Subject(
    version=VERSION,
    kind="images",
    teacher="sha256:" + "a" * 64,
    space="space-a",
    dimension=4,
    count=5,
    data="d" * 64,
    views=2,
    seed=3,
    augmentation=Augmentation(),
    pixels=PIXELS,
    templates=("a {}",),
    dtype="float32",
)
OTHER = {
    "version": VERSION + 7,
    "kind": "labels",
    "teacher": "sha256:" + "b" * 64,
    "space": "space-b",
    "dimension": 5,
    "count": 6,
    "data": "e" * 64,
    "views": 3,
    "seed": 4,
    "augmentation": Augmentation(turn=9.0),
    "pixels": None,
    "templates": (),
    "dtype": "float16",
}
AUGMENTED = {field.name: 0.125 for field in fields(Augmentation)}
PREPARED = {
    "height": 9,
    "width": 9,
    "resize": "shortest",
    "shortest_edge": 3,
    "interpolation": "bilinear",
    "fill": (1, 2, 3),
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
}


def fill(home, subject=SUBJECT):
    def compute(start, stop):
        return np.full((stop - start, subject.views, subject.dimension), 0.5, np.float32), None

    store.fill(home, subject, store.Filling("fp32", (), compute, lambda done, total: None))
    return store.folder_of(home, subject)


def read(home, subject=SUBJECT):
    return np.concatenate([rows for _, rows, _ in store.load(home, subject)])


def test_the_tables_here_cover_every_field():
    assert set(OTHER) == {field.name for field in fields(Subject)}
    assert all(getattr(SUBJECT, name) != value for name, value in OTHER.items())


@pytest.mark.parametrize("name", OTHER)
def test_every_field_has_a_folder_of_its_own(tmp_path, name):
    assert store.folder_of(tmp_path, replace(SUBJECT, **{name: OTHER[name]})) != store.folder_of(tmp_path, SUBJECT)


@pytest.mark.parametrize("name", OTHER)
def test_an_index_of_another_set_is_refused_though_the_folder_has_its_name(tmp_path, name):
    folder = fill(tmp_path)
    wrong = replace(SUBJECT, **{name: OTHER[name]})
    index = schema.loads(Index, (folder / store.INDEX).read_bytes(), "index")
    (folder / store.INDEX).write_text(schema.dumps(replace(index, subject=wrong)))
    for use in (store.find, store.missing, read, store.cost, fill):
        with pytest.raises(InputError) as caught:
            use(tmp_path, SUBJECT)
        told = str(caught.value)
        assert (
            told
            == f"{folder / store.INDEX}: {name} is {OTHER[name]} there, {getattr(SUBJECT, name)} here; remove {folder}"
        )


@pytest.mark.parametrize("name", [name for name in OTHER if name != "kind"])
def test_a_set_that_is_wanted_is_compared_with_the_nearest_there(tmp_path, name):
    fill(tmp_path)
    fill(tmp_path, replace(SUBJECT, seed=77, space="far away", data="0" * 64))
    with pytest.raises(InputError) as caught:
        store.find(tmp_path, replace(SUBJECT, **{name: OTHER[name]}))
    assert str(caught.value).endswith(f"{name} is {getattr(SUBJECT, name)} there, {OTHER[name]} here")


@pytest.mark.parametrize("name", AUGMENTED)
def test_each_amount_of_an_augmentation_counts(tmp_path, name):
    other = replace(SUBJECT, augmentation=replace(SUBJECT.augmentation, **{name: AUGMENTED[name]}))
    fill(tmp_path)
    with pytest.raises(InputError, match=r"augmentation is Augmentation.* there, Augmentation.* here"):
        store.find(tmp_path, other)


@pytest.mark.parametrize("name", [field.name for field in fields(ImageSpec) if field.name in PREPARED])
def test_each_setting_of_the_stored_pixels_counts(tmp_path, name):
    other = replace(SUBJECT, pixels=replace(PIXELS, **{name: PREPARED[name]}))
    fill(tmp_path)
    with pytest.raises(InputError, match=r"pixels is ImageSpec.* there, ImageSpec.* here"):
        store.find(tmp_path, other)


@pytest.mark.parametrize("kind", ["images", "texts", "labels"])
def test_each_kind_is_asked_for_by_name(tmp_path, kind):
    with pytest.raises(InputError, match=rf"{tmp_path.name}: holds no embeddings of {kind}; compute them"):
        store.find(tmp_path, replace(SUBJECT, kind=kind))


def damaged(folder, change):
    plain = json.loads((folder / store.INDEX).read_text())
    change(plain)
    (folder / store.INDEX).write_text(json.dumps(plain))


@pytest.mark.parametrize("name", ["subject", "variant", "columns", "shards"])
def test_an_index_without_a_field_is_refused(tmp_path, name):
    folder = fill(tmp_path)
    damaged(folder, lambda plain: plain.pop(name))
    with pytest.raises(InputError, match=rf"index\.json: the field '{name}' is missing; remove .* and run again"):
        store.find(tmp_path, SUBJECT)


@pytest.mark.parametrize("name", [field.name for field in fields(Shard)])
def test_a_shard_without_a_field_is_refused(tmp_path, name):
    folder = fill(tmp_path)
    damaged(folder, lambda plain: plain["shards"][0].pop(name))
    with pytest.raises(InputError, match=rf"shards\[0\]: the field '{name}' is missing"):
        store.find(tmp_path, SUBJECT)


@pytest.mark.parametrize("name", [field.name for field in fields(FileRecord)])
def test_a_file_whose_record_is_wrong_is_refused(tmp_path, name):
    folder = fill(tmp_path)
    wrong = {"path": "none.npy", "size": 1, "sha256": "0" * 64}[name]
    damaged(folder, lambda plain: plain["shards"][0]["rows"].update({name: wrong}))
    with pytest.raises(InputError, match=r"cannot be read|its SHA-256 is not the index's") as caught:
        read(tmp_path)
    assert str(caught.value).endswith(f"remove {folder} and run again")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"subject": 1}'], ids=repr)
def test_an_index_that_is_none_is_refused(tmp_path, content):
    folder = fill(tmp_path)
    (folder / store.INDEX).write_bytes(content)
    with pytest.raises(InputError, match=r"index\.json.*; remove .* and run again"):
        store.find(tmp_path, SUBJECT)


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 70), views=st.integers(1, 3), most=st.integers(1, 64))
def test_shards_of_any_size_hold_every_row_once(tmp_path_factory, count, views, most):
    home = tmp_path_factory.mktemp("store")
    subject = replace(SUBJECT, count=count, views=views)

    def compute(start, stop):
        numbers = np.arange(start, stop, dtype=np.float32)
        return np.broadcast_to(numbers[:, None, None], (stop - start, views, subject.dimension)).copy(), None

    before, store.SHARD_ITEMS = store.SHARD_ITEMS, most
    try:
        store.fill(home, subject, store.Filling("fp32", (), compute, lambda done, total: None))
    finally:
        store.SHARD_ITEMS = before
    assert read(home, subject)[:, 0, 0].tolist() == list(range(count))
    assert sum(place.stop - place.start for place, _, _ in store.load(home, subject)) == count
    assert store.cost(home, subject).items == count * views
