"""What the search runs on: parts that do not overlap, texts as the task wants them, bounds on their size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import quantize_kit
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import data, work
from edgekit.converters.quantize.data import CALIBRATION, HELD_OUT, PROBE, SEARCH, Limits
from edgekit.errors import InputError


@pytest.fixture(scope="module")
def bundle(bundle_path):
    return open_bundle(bundle_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, bundle, pictures):
    folder = tmp_path_factory.mktemp("prepared")
    return data.prepare(bundle, pictures, folder, Limits()), folder


def inputs(folder, tower, part):
    return np.load(work.inputs(folder, tower, part))


def test_no_picture_is_in_two_parts_and_none_is_lost(prepared):
    material, folder = prepared
    parts = [inputs(folder, "image", name) for name in (CALIBRATION, SEARCH, HELD_OUT)]
    assert sum(map(len, parts)) == 160
    assert len({row.tobytes() for part in parts for row in part}) == 160
    assert [material.parts[name].images for name in (CALIBRATION, SEARCH, HELD_OUT)] == [len(part) for part in parts]
    assert len(parts[2]) > len(parts[1]) > len(parts[0]) > 0


def test_the_probe_is_the_beginning_of_the_search_part(prepared):
    _, folder = prepared
    for tower in ("image", "text"):
        probe = inputs(folder, tower, PROBE)
        np.testing.assert_array_equal(probe, inputs(folder, tower, SEARCH)[: data.PROBE_ROWS])


def test_classes_are_put_into_templates_and_know_their_lengths(prepared, bundle):
    material, folder = prepared
    part = material.parts[HELD_OUT]
    assert (part.texts, part.prompts) == (4, len(bundle.manifest.text.templates))
    assert len(part.targets) == part.images
    ids = inputs(folder, "text", HELD_OUT)
    lengths = np.load(work.lengths(folder, "text", HELD_OUT))
    assert len(ids) == len(lengths) == part.texts * part.prompts
    assert all(
        row[length:].max(initial=0) == bundle.manifest.text.pad_id for row, length in zip(ids, lengths, strict=True)
    )


def test_the_same_data_gives_the_same_parts(prepared, bundle, pictures, tmp_path):
    again = data.prepare(bundle, pictures, tmp_path, Limits())
    assert again == prepared[0]


def test_limits_bound_every_part(bundle, pictures, tmp_path):
    material = data.prepare(bundle, pictures, tmp_path, Limits(8, 20, 40))
    assert material.parts[CALIBRATION].images <= 20
    assert material.parts[SEARCH].images <= 40
    assert material.parts[HELD_OUT].images <= 70


def test_captions_are_used_as_they_are(bundle, tmp_path):
    folder = tmp_path / "captions"
    folder.mkdir()
    for i in range(80):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"a red cat and one dog {i % 40}")
    material = data.prepare(bundle, folder, tmp_path / "work", Limits())
    assert material.task == "retrieval"
    assert material.parts[HELD_OUT].prompts == 1
    assert material.notes[0].startswith("only ")
    assert not any("every part has the same texts" in note for note in material.notes), "captions are each image's own"


def test_pictures_alone_are_ranked_against_a_list_that_is_told(bundle, tmp_path):
    folder = tmp_path / "alone"
    folder.mkdir()
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    material = data.prepare(bundle, folder, tmp_path / "work", Limits())
    assert material.task == "unlabelled"
    assert any("everyday.txt" in note for note in material.notes)
    assert any("every part has the same texts" in note for note in material.notes)
    assert material.parts[HELD_OUT].texts > 20


def test_too_few_pictures_are_refused(bundle, tmp_path):
    few = quantize_kit.material(tmp_path / "few", 14)
    with pytest.raises(InputError, match=r"at least 8|gets none"):
        data.prepare(bundle, few, tmp_path / "work", Limits())


@pytest.mark.parametrize(("minutes", "photo", "held_out"), [(20, 0.1, 480), (20, 0.001, 768), (1, 1.0, 100)])
def test_slow_towers_see_fewer_pictures(minutes, photo, held_out):
    found = data.limits(minutes, photo)
    assert found.held_out == held_out
    assert found.calibration < found.search < found.held_out


def test_the_default_set_is_taken_once_it_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"edgekit data fetch stamps.*--data"):
        data.find(None)
    (tmp_path / "data" / "stamps").mkdir(parents=True)
    assert data.find(None) == tmp_path / "data" / "stamps"
    assert data.find("stamps") == tmp_path / "data" / "stamps"
