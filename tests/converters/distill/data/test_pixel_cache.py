"""Stored pixels: those of `edgekit.preprocess`, resumed after a kill, made anew for other images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data import pixels
from edgekit.converters.distill.data.decoding import Decoder, scaled
from edgekit.errors import ImageError
from edgekit.evaluation.datasets import open_dataset
from edgekit.preprocess import preprocess
from small_sets import picture, write_tar

SPEC = ImageSpec(12, 12, "shortest", 14, "bicubic", (0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def dataset(tmp_path, make_plain):
    return open_dataset(make_plain(tmp_path / "set", range(11)))


def progress():
    calls = []
    return calls, lambda done, total: calls.append((done, total))


def build(path, dataset, spec=SPEC):
    calls, on_progress = progress()
    pixels.build(path, dataset.items, dataset.digest, spec, on_progress)
    return calls


def expected(dataset, spec=SPEC):
    return np.stack([preprocess(item.read(), spec) for item in dataset.items])


def test_a_cache_holds_the_preprocessed_pixels(tmp_path, dataset):
    path = tmp_path / "pixels.npy"
    assert build(path, dataset) == [(11, 11)]
    found = pixels.Cached(path)
    assert len(found) == 11
    assert np.array_equal(found.take(range(11)), expected(dataset))
    assert np.array_equal(found.take([7, 2, 2]), expected(dataset)[[7, 2, 2]])
    assert found.take([0]).flags.writeable


def test_a_complete_cache_is_kept(tmp_path, dataset):
    path = tmp_path / "pixels.npy"
    build(path, dataset)
    before = path.stat()
    assert build(path, dataset) == []
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("where", range(3))
def test_an_interrupted_cache_goes_on(tmp_path, dataset, monkeypatch, where):
    monkeypatch.setattr(pixels, "_CHUNK", 4)
    path, decoded = tmp_path / "pixels.npy", []
    whole = Decoder.decode

    def failing(self, items):
        if len(decoded) == where:
            raise KeyboardInterrupt
        decoded.append(len(items))
        return whole(self, items)

    monkeypatch.setattr(Decoder, "decode", failing)
    with pytest.raises(KeyboardInterrupt):
        build(path, dataset)
    assert not path.exists()
    monkeypatch.setattr(Decoder, "decode", whole)
    assert build(path, dataset) == [(4, 11), (8, 11), (11, 11)][where:]
    assert np.array_equal(pixels.Cached(path).take(range(11)), expected(dataset))
    assert not path.with_suffix(".part").exists()


def test_a_cache_without_its_record_is_made_anew(tmp_path, dataset):
    path = tmp_path / "pixels.npy"
    build(path, dataset)
    path.with_suffix(".json").write_text("{torn")
    assert build(path, dataset) == [(11, 11)]


@pytest.mark.parametrize("what", ["spec", "data"])
def test_another_cache_is_made_anew(tmp_path, dataset, make_plain, what):
    path = tmp_path / "pixels.npy"
    build(path, dataset)
    spec = replace(SPEC, height=8, width=8, shortest_edge=8) if what == "spec" else SPEC
    other = open_dataset(make_plain(tmp_path / "other", range(20, 25))) if what == "data" else dataset
    assert build(path, other, spec) == [(len(other.items), len(other.items))]
    assert np.array_equal(pixels.Cached(path).take(range(len(other.items))), expected(other, spec))


def test_decoding_anew_gives_the_same_pixels(tmp_path, dataset):
    found = pixels.Decoded(dataset.items, SPEC)
    assert len(found) == 11
    assert np.array_equal(found.take([3, 1]), expected(dataset)[[3, 1]])
    assert found.take([]).shape == (0, 12, 12, 3)


def test_one_core_decodes_without_threads(dataset, monkeypatch):
    monkeypatch.setattr("edgekit.converters.distill.data.decoding._cores", lambda: 1)
    assert np.array_equal(Decoder(SPEC).decode(dataset.items), expected(dataset))


def test_items_come_back(tmp_path, dataset):
    tar = write_tar(tmp_path / "a.tar", [("a.png", picture(0)), ("b.png", picture(1))])
    items = [*dataset.items, *open_dataset(tar).items]
    strange = replace(items[0], name="caf\udce9 \n\N{CAT FACE}")
    path = tmp_path / "items.jsonl"
    pixels.write_items(path, [*items, strange])
    assert pixels.read_items(path) == [*items, strange]
    assert pixels.read_items(path)[12].read() == picture(1)


def test_items_are_found_from_another_folder(tmp_path, dataset, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = replace(dataset.items[0], path=dataset.items[0].path.relative_to(tmp_path))
    pixels.write_items(tmp_path / "items.jsonl", [relative])
    monkeypatch.chdir("/")
    assert pixels.read_items(tmp_path / "items.jsonl")[0].read() == dataset.items[0].read()


def test_a_broken_image_is_named(tmp_path, dataset):
    (tmp_path / "set" / "x0003.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    broken = open_dataset(tmp_path / "set")
    with pytest.raises(ImageError, match=r"x0003\.png: .*; repair or remove it"):
        build(tmp_path / "pixels.npy", broken)


def test_an_image_that_went_away_is_named(tmp_path, dataset):
    (tmp_path / "set" / "x0003.png").unlink()
    with pytest.raises(ImageError, match=r"x0003\.png: cannot be read: No such file"):
        Decoder(SPEC).decode(dataset.items)


def test_the_record_says_what_is_on_the_disk(tmp_path, dataset):
    build(tmp_path / "pixels.npy", dataset)
    record = json.loads((tmp_path / "pixels.json").read_text())
    assert record["done"] == 11
    assert record["data"] == dataset.digest


SPECS = st.builds(
    ImageSpec,
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    resize_mode=st.just("squash"),
    shortest_edge=st.integers(0, 60),
    interpolation=st.just("bicubic"),
    fill=st.just((0, 0, 0)),
    mean=st.just((0.5, 0.5, 0.5)),
    std=st.just((0.5, 0.5, 0.5)),
)


@given(spec=SPECS, side=st.integers(8, 80))
@settings(deadline=None, max_examples=40)
def test_another_size_keeps_the_frame(spec, side):
    found = scaled(spec, side)
    assert max(found.height, found.width) == side
    for name in ("height", "width", "shortest_edge"):
        assert abs(getattr(found, name) - getattr(spec, name) * side / max(spec.height, spec.width)) <= 0.5
    assert scaled(spec, max(spec.height, spec.width)) == spec


def test_a_larger_size_shows_the_same_picture(dataset):
    small, large = (preprocess(dataset.items[0].read(), scaled(SPEC, side)).astype(float) for side in (12, 48))
    shrunk = large.reshape(12, 4, 12, 4, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 6


def test_size_on_the_disk():
    assert pixels.bytes_of(10, SPEC) == 10 * 12 * 12 * 3
