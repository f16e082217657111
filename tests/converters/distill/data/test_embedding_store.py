"""The store of teachers' embeddings: whole shards only, each checked, none of another teacher or data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgekit.bundle import schema
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data import store
from edgekit.converters.distill.data.parameters import COLUMNS, NONE
from edgekit.converters.distill.data.store_records import VERSION, Index, Subject
from edgekit.converters.distill.recipe import Augmentation
from edgekit.errors import InputError

PIXELS = ImageSpec(32, 32, "shortest", 32, "bicubic", (0, 0, 0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SUBJECT = Subject(
    VERSION, "images", "sha256:" + "a" * 64, "space", 6, 50, "d" * 64, 3, 5, Augmentation(), PIXELS, (), "float16"
)
TEXTS = replace(SUBJECT, kind="texts", views=1, seed=0, augmentation=NONE, pixels=None, dtype="float32")


def row(item, view):
    return np.random.default_rng([item, view]).normal(size=SUBJECT.dimension)


def expected(start, stop, views=3):
    return np.array([[row(item, view) for view in range(views)] for item in range(start, stop)], np.float32)


class Teacher:
    """Gives rows, and can be killed after some calls."""

    def __init__(self, views=3, kill_after=None):
        self.calls, self.views, self.kill_after = [], views, kill_after

    def __call__(self, start, stop):
        if len(self.calls) == self.kill_after:
            raise KeyboardInterrupt
        self.calls.append((start, stop))
        rows = expected(start, stop, self.views)
        return rows, np.full((stop - start, self.views, len(COLUMNS)), start, np.float32) if self.views > 1 else None


def fill(home, subject=SUBJECT, teacher=None):
    teacher, calls = teacher or Teacher(subject.views), []
    filling = store.Filling("fp32 on x (cpu)", COLUMNS, teacher, lambda done, total: calls.append((done, total)))
    store.fill(home, subject, filling)
    return calls


def rows_of(home, subject=SUBJECT):
    found = np.zeros((subject.count, subject.views, subject.dimension), subject.dtype)
    for place, rows, _ in store.load(home, subject):
        found[place] = rows
    return found


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(store, "SHARD_ITEMS", 20)


def test_rows_come_back(tmp_path, small_shards):
    assert fill(tmp_path) == [(done, 50) for done in (16, 32, 48, 50)]
    assert np.array_equal(rows_of(tmp_path), expected(0, 50).astype(np.float16))
    shards = store.find(tmp_path, SUBJECT).shards
    assert [(shard.start, shard.count) for shard in shards] == [(0, 32), (32, 18)]
    assert store.missing(tmp_path, SUBJECT) == 0


def test_the_views_parameters_lie_beside_the_rows(tmp_path, small_shards):
    fill(tmp_path)
    views = np.concatenate([views for _, _, views in store.load(tmp_path, SUBJECT)])
    assert views.shape == (50, 3, len(COLUMNS))
    assert (views[:16] == 0).all()
    assert (views[48:] == 48).all()
    assert store.find(tmp_path, SUBJECT).columns == COLUMNS


def test_texts_have_no_parameters(tmp_path):
    fill(tmp_path, TEXTS)
    assert [views for _, _, views in store.load(tmp_path, TEXTS)] == [None]
    assert rows_of(tmp_path, TEXTS).dtype == np.float32


def test_a_complete_set_is_not_computed_again(tmp_path):
    fill(tmp_path)
    teacher = Teacher()
    fill(tmp_path, teacher=teacher)
    assert teacher.calls == []


@pytest.mark.parametrize("after", range(4))
def test_an_interrupted_set_goes_on_after_the_last_whole_shard(tmp_path, small_shards, after):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, teacher=Teacher(kill_after=after))
    done = 32 if after >= 2 else 0
    assert store.missing(tmp_path, SUBJECT) == 50 - done
    with pytest.raises(InputError, match=rf"holds {done} of 50 images|holds no embeddings"):
        list(store.load(tmp_path, SUBJECT))
    teacher = Teacher()
    fill(tmp_path, teacher=teacher)
    assert teacher.calls[0][0] == done
    assert np.array_equal(rows_of(tmp_path), expected(0, 50).astype(np.float16))


def test_a_slow_teacher_has_small_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_SECONDS", 0.0)
    fill(tmp_path)
    assert [shard.count for shard in store.find(tmp_path, SUBJECT).shards] == [16, 16, 16, 2]


def test_files_that_the_index_does_not_list_are_as_good_as_absent(tmp_path, small_shards):
    folder = store.folder_of(tmp_path, SUBJECT)
    folder.mkdir(parents=True)
    (folder / "rows-00000000.npy").write_bytes(b"half a shard")
    assert store.missing(tmp_path, SUBJECT) == 50
    fill(tmp_path)
    assert np.array_equal(rows_of(tmp_path), expected(0, 50).astype(np.float16))


@pytest.mark.parametrize("kind", ["rows", "views"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone"])
def test_a_damaged_file_is_named(tmp_path, small_shards, kind, damage):
    fill(tmp_path)
    path = store.folder_of(tmp_path, SUBJECT) / f"{kind}-00000032.npy"
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[-1] ^= 1
        path.write_bytes(data if damage == "flipped" else data[:-1])
    with pytest.raises(InputError, match=rf"{kind}-00000032\.npy: .*remove .*images-\w+ and run again"):
        list(store.load(tmp_path, SUBJECT))


CHANGES = [
    ("teacher", "sha256:" + "b" * 64),
    ("space", "another"),
    ("dimension", 7),
    ("count", 49),
    ("data", "e" * 64),
    ("views", 4),
    ("seed", 6),
    ("augmentation", Augmentation(flip=0.0)),
    ("pixels", replace(PIXELS, height=64, width=64)),
    ("dtype", "float32"),
    ("version", VERSION + 1),
]


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=[name for name, _ in CHANGES])
def test_what_differs_is_named(tmp_path, field, value):
    fill(tmp_path)
    with pytest.raises(InputError, match=rf"images do not fit the recipe: {field} is .* there, .* here"):
        store.find(tmp_path, replace(SUBJECT, **{field: value}))


def test_only_what_differs_is_named(tmp_path):
    fill(tmp_path)
    fill(tmp_path, replace(SUBJECT, seed=9, data="f" * 64))
    with pytest.raises(InputError) as caught:
        store.find(tmp_path, replace(SUBJECT, views=8))
    assert str(caught.value).endswith("do not fit the recipe: views is 3 there, 8 here")


def test_embeddings_of_texts_are_none_of_images(tmp_path):
    fill(tmp_path)
    with pytest.raises(InputError, match="holds no embeddings of texts; compute them with --embed-only"):
        store.find(tmp_path, TEXTS)


def edit(tmp_path, change):
    path = store.folder_of(tmp_path, SUBJECT) / store.INDEX
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["subject"].update(views=9), "views is 9 there, 3 here"),
        (lambda index: index["shards"][1].update(start=20), "do not follow one another"),
        (lambda index: index["shards"][0].update(count=0), "do not follow one another"),
        (lambda index: index["shards"][0]["rows"].update(path="../x.npy"), "do not follow one another"),
        (lambda index: index.update(more=1), r"unknown field 'more'"),
    ],
    ids=["subject", "gap", "empty shard", "path outside", "unknown field"],
)
def test_a_changed_index_is_refused(tmp_path, small_shards, change, message):
    fill(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(InputError, match=message):
        list(store.load(tmp_path, SUBJECT))


def test_rows_of_another_shape_are_refused(tmp_path, small_shards):
    fill(tmp_path)

    def swap(index):
        index["shards"][0]["rows"] = index["shards"][1]["rows"]

    edit(tmp_path, swap)
    with pytest.raises(InputError, match=r"rows-00000032\.npy: is float16 \(18, 3, 6\)"):
        list(store.load(tmp_path, SUBJECT))


def test_a_torn_index_is_named(tmp_path):
    fill(tmp_path)
    (store.folder_of(tmp_path, SUBJECT) / store.INDEX).write_text("{")
    with pytest.raises(InputError, match=r"index\.json: not valid JSON.*; remove .* and run again"):
        store.find(tmp_path, SUBJECT)


def test_the_cost_is_told(tmp_path, small_shards):
    fill(tmp_path)
    cost = store.cost(tmp_path, SUBJECT)
    folder = store.folder_of(tmp_path, SUBJECT)
    assert cost.items == 150
    assert cost.size == sum(path.stat().st_size for path in folder.glob("*.npy"))
    assert cost.seconds >= 0
    assert cost.cpu_seconds >= 0
    index = schema.loads(Index, (folder / store.INDEX).read_bytes(), "index")
    assert cost.seconds == sum(shard.seconds for shard in index.shards)
    assert index.variant == "fp32 on x (cpu)"


def test_folders_follow_from_the_subject_alone(tmp_path):
    assert store.folder_of(tmp_path, SUBJECT).name == store.folder_of(tmp_path / "b", replace(SUBJECT)).name
    names = {store.folder_of(tmp_path, replace(SUBJECT, **{field: value})).name for field, value in CHANGES}
    assert len(names | {store.folder_of(tmp_path, SUBJECT).name}) == len(CHANGES) + 1


def test_a_data_digest_is_of_contents_and_order():
    assert store.data_digest(["a", "b"]) == store.data_digest(("a", "b"))
    assert len({store.data_digest(given) for given in ([], ["a", "b"], ["b", "a"], ["ab"], ["a"])}) == 5
