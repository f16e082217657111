"""Inputs: packaged photos and golden inputs, a folder, or a set in any layout; each once."""

from __future__ import annotations

import shutil
import tarfile

import pytest
from PIL import Image

import frozen_bundle
import tiny_bundle as tiny
from edgekit.benchmarks.workloads import inputs as module
from edgekit.benchmarks.workloads.inputs import MOST, Inputs, gather, packaged_labels, require
from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError


def test_without_data_they_are_the_sample_photos_and_labels(photos):
    found = gather()
    assert found.photos == tuple(str(path) for path in photos)
    assert len(found.photos) >= 7
    assert found.texts == packaged_labels()
    assert found.labels == ()
    assert found.name == "samples"


def test_golden_inputs_of_the_bundle_join_once(tiny_bundle, tmp_path, photos):
    bundle = open_bundle(tiny_bundle)
    found = gather(None, bundle)
    samples = tuple(str(path) for path in photos)
    assert found.photos[: len(samples)] == samples
    assert found.photos[len(samples) :] == tuple(
        bytes(bundle.read(image.photo)) for image in bundle.manifest.golden.images
    )
    assert found.texts[: len(tiny.TEXTS)] == tiny.TEXTS
    assert len(set(found.texts)) == len(found.texts) == len({*tiny.TEXTS, *packaged_labels()})
    assert found.name == "samples and golden inputs"

    same = tiny.build(tmp_path / "same.edge", extra={"golden/photo0.jpg": photos[0].read_bytes()})
    assert len(gather(None, open_bundle(same)).photos) == len(samples) + 1


def test_a_bundle_without_text_tower_has_inputs_too(tmp_path):
    found = gather(None, open_bundle(frozen_bundle.freeze(tmp_path / "frozen.edge")))
    assert found.texts == packaged_labels()
    assert found.photos


def test_a_users_folder_of_photos(tmp_path, photos):
    for path in photos[:3]:
        shutil.copy(path, tmp_path)
    shutil.copy(photos[0], tmp_path / "the-same-again.jpg")
    found = gather(str(tmp_path))
    assert found.name == tmp_path.name
    assert len(found.photos) == 3
    assert found.texts == packaged_labels()


def test_captions_of_a_set_are_its_texts(tmp_path, photos):
    for number, path in enumerate(photos[:3]):
        shutil.copy(path, tmp_path)
        (tmp_path / path.name).with_suffix(".txt").write_text(f"caption {number}\n")
    assert gather(str(tmp_path)).texts == ("caption 0", "caption 1", "caption 2")


def test_photos_in_shards_come_as_bytes(tmp_path, photos):
    with tarfile.open(tmp_path / "set-000.tar", "w") as tar:
        for path in photos[:2]:
            tar.add(path, path.name)
    assert sorted(gather(str(tmp_path)).photos) == sorted(path.read_bytes() for path in photos[:2])


def test_photos_in_shards_do_not_fill_the_memory(tmp_path, photos, monkeypatch):
    """Their bytes are held, and would count as the model's memory; one is taken however large it is."""
    with tarfile.open(tmp_path / "set-000.tar", "w") as tar:
        for path in photos:
            tar.add(path, path.name)
    sizes = [path.stat().st_size for path in photos]
    for room in (1, sum(sizes) // 2):
        monkeypatch.setattr(module, "MOST_BYTES", room)
        found = gather(str(tmp_path)).photos
        assert 1 <= len(found) < len(photos)
        assert len(found) == 1 or sum(map(len, found)) <= room
    monkeypatch.setattr(module, "MOST_BYTES", sum(sizes))
    assert len(gather(str(tmp_path)).photos) == len(photos)


def test_a_set_of_classes_brings_its_photos_and_names(tmp_path, photos):
    for name, path in zip(("red_cat", "rocket"), photos[:2], strict=True):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name)
    found = gather(str(tmp_path))
    assert found.texts == ("red cat", "rocket")
    assert len(found.photos) == 2
    assert found.labels == ()  # what is ranked is the bundle's vocabulary, or what the user names


def test_a_table_of_photos(tmp_path, photos):
    for path in photos[:2]:
        shutil.copy(path, tmp_path)
    rows = "".join(f"{path.name},caption of {path.stem}\n" for path in photos[:2])
    (tmp_path / "set.csv").write_text(f"filepath,title\n{rows}")
    found = gather(str(tmp_path / "set.csv"))
    assert [type(photo) for photo in found.photos] == [str, str]
    assert len(found.texts) == 2


def test_a_set_that_was_fetched_goes_by_its_name(tmp_path, photos, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    (tmp_path / "data" / "mine").mkdir(parents=True)
    shutil.copy(photos[0], tmp_path / "data" / "mine")
    assert gather("mine").name == "mine"


def test_the_same_set_gives_the_same_inputs(tmp_path, photos):
    for path in photos:
        shutil.copy(path, tmp_path)
    assert gather(str(tmp_path)) == gather(str(tmp_path))


def test_of_a_large_set_only_some_are_taken(tmp_path):
    for number in range(MOST + 20):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 0)).save(tmp_path / f"{number}.png")
    assert len(gather(str(tmp_path)).photos) == MOST


@pytest.mark.parametrize(
    ("name", "said"), [("no/such/folder", "no such file"), ("", "empty"), ("no-such-set", "fetch")]
)
def test_data_that_is_not_there_is_refused(name, said):
    with pytest.raises(InputError, match=said):
        gather(name)


@pytest.mark.parametrize(("pipeline", "missing"), [("image", "photo"), ("photo", "photo"), ("text", "text")])
def test_a_pipeline_without_its_inputs_is_refused(pipeline, missing):
    with pytest.raises(InputError, match=f"set: holds no {missing}"):
        require(Inputs("set", (), ()), pipeline)
    require(Inputs("set", ("a.jpg",), ("a text",)), pipeline)
