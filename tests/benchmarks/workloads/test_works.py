"""Workloads: the same numbers as `Clip` gives, to the last bit, and every stage timed."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import edgekit
import frozen_bundle
import tiny_bundle as tiny
from bench_works import plan, quiet
from edgekit.benchmarks.scenarios.run import measure
from edgekit.benchmarks.workloads.create import create, labels_of
from edgekit.benchmarks.workloads.inputs import Inputs, gather, packaged_labels
from edgekit.bundle.reader import open_bundle
from edgekit.errors import EdgekitError, ExecutionError, ImageError, InputError, TextError
from spy_runtime import SpyRuntime, install

TINY_LABELS = ("cat", "dog", "red rocket", "cup of coffee")


@pytest.fixture(scope="module")
def inputs():
    return gather()


@pytest.fixture(params=["fp32", "static"])
def clip(request, tmp_path):
    bundle = tiny.build(tmp_path / "tiny.edge", variants=(request.param,))
    with edgekit.load(bundle) as clip:
        yield clip


BATCHES = [[0], [3], [2, 0, 1], [4, 4], list(range(5))]


@pytest.mark.parametrize("indices", BATCHES)
def test_the_image_work_is_embed_images(clip, inputs, indices):
    work = create(clip, "image", inputs, len(indices))
    rows, times = work.rows(indices)
    np.testing.assert_array_equal(rows, clip.embed_images([inputs.photos[index] for index in indices]))
    assert len(times) == len(work.stages) == 1
    assert work.samples == len(inputs.photos)


@pytest.mark.parametrize("indices", BATCHES)
def test_the_text_work_is_embed_texts(tmp_path, inputs, indices, clip):
    work = create(clip, "text", inputs, len(indices))
    rows, times = work.rows(indices)
    texts = [inputs.texts[index] for index in indices]
    if len(set(texts)) == len(texts):  # Clip computes a text that comes twice only once, in another batch
        np.testing.assert_array_equal(rows, clip.embed_texts(texts))
    np.testing.assert_allclose(rows, clip.embed_texts(texts), atol=1e-6)
    assert work.stages == ("tokenize", "inference")
    assert len(times) == 2


@pytest.mark.parametrize("indices", BATCHES)
@pytest.mark.parametrize("labels", [TINY_LABELS, ()])
def test_the_photo_work_is_classify(clip, inputs, indices, labels):
    given = Inputs(inputs.name, inputs.photos, inputs.texts, labels)
    work = create(clip, "photo", given, len(indices))
    found, times = work.rankings(indices)
    wanted = clip.classify_many([inputs.photos[index] for index in indices], labels or packaged_labels())
    assert [tuple(result) for result in wanted] == found
    assert work.stages == ("decode", "preprocess", "inference", "postprocess")
    assert len(times) == 4


@pytest.mark.parametrize("head", [None, "ridge", "cache"])
@pytest.mark.parametrize("keep_text", [False, True])
def test_frozen_labels_are_ranked_with_what_was_tuned_for_them(tmp_path, inputs, head, keep_text):
    bundle = frozen_bundle.freeze(tmp_path / "frozen.edge", head=head, keep_text=keep_text)
    with edgekit.load(bundle) as clip:
        assert labels_of(clip, inputs) == frozen_bundle.NAMES
        found, _ = create(clip, "photo", inputs, 2).rankings([0, 5])
        wanted = clip.classify_many([inputs.photos[0], inputs.photos[5]])
        assert [tuple(result) for result in wanted] == found
        rows, _ = create(clip, "image", inputs, 1).rows([2])
        np.testing.assert_array_equal(rows, clip.embed_images([inputs.photos[2]]))


def test_some_of_the_frozen_labels_may_be_given(tmp_path, inputs):
    with edgekit.load(frozen_bundle.freeze(tmp_path / "frozen.edge")) as clip:
        some = Inputs(inputs.name, inputs.photos, inputs.texts, frozen_bundle.NAMES[:2])
        assert [tuple(clip.classify(inputs.photos[0], some.labels))] == create(clip, "photo", some, 1).rankings([0])[0]
        others = Inputs(inputs.name, inputs.photos, inputs.texts, ("a zebra",))
        with pytest.raises(TextError, match="zebra"):
            create(clip, "photo", others, 1)


def test_texts_need_a_text_tower(tmp_path, inputs):
    with (
        edgekit.load(frozen_bundle.freeze(tmp_path / "frozen.edge")) as clip,
        pytest.raises(InputError, match="no text tower"),
    ):
        create(clip, "text", inputs, 1)


def test_a_tower_that_was_not_loaded_is_missed_by_name(tiny_bundle, inputs):
    with edgekit.load(tiny_bundle, towers=("text",)) as clip:
        for pipeline in ("image", "photo"):
            with pytest.raises(ExecutionError, match="image tower was not loaded"):
                create(clip, pipeline, inputs, 1)


def test_no_text_comes_out_of_a_cache(tiny_bundle, inputs, monkeypatch):
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with edgekit.load(tiny_bundle) as clip:
        clip.embed_texts(inputs.texts)
        work = create(clip, "text", inputs, 1)
        spy.forget()
        for _ in range(3):
            work.query([0])
        assert spy.batches("text") == [1, 1, 1]


def test_labels_are_embedded_once_and_not_in_a_query(tiny_bundle, inputs, monkeypatch):
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with edgekit.load(tiny_bundle) as clip:
        work = create(clip, "photo", inputs, 1)
        spy.forget()
        work.query([0])
        work.query([1])
        assert spy.batches("text") == []
        assert spy.batches("image") == [1, 1]


@pytest.mark.parametrize("pipeline", ["image", "text", "photo"])
@pytest.mark.parametrize("size", [1, 3])
def test_stages_add_up_to_no_more_than_the_query(clip, inputs, pipeline, size):
    work = create(clip, pipeline, inputs, size)
    for start in range(4):
        begin = time.perf_counter_ns()
        times = work.query(list(range(start, start + size)))
        took = time.perf_counter_ns() - begin
        assert all(stage > 0 for stage in times)
        assert sum(times) <= took
        if pipeline != "image":
            assert sum(times) > 0.5 * took or took < 2_000_000


def test_every_decode_reads_the_file_again(clip, tmp_path, photos):
    path = tmp_path / "photo.jpg"
    shutil.copy(photos[0], path)
    work = create(clip, "photo", Inputs("own", (str(path),), ()), 1)
    before = work.rankings([0])[0]
    shutil.copy(photos[3], path)
    assert work.rankings([0])[0] != before


@pytest.mark.parametrize("photo", ["missing.jpg", b"\xff\xd8\xff not a photo"])
def test_a_broken_photo_is_named(clip, photos, photo):
    given = Inputs("own", (str(photos[0]), photo), ())
    with pytest.raises(ImageError, match=r"missing\.jpg|image 1"):
        create(clip, "image", given, 1)
    work = create(clip, "photo", given, 2)
    with pytest.raises(ImageError, match=r"missing\.jpg|photo 1"):
        work.query([0, 1])


@pytest.mark.parametrize("pipeline", ["image", "text", "photo"])
def test_threads_get_their_own_answers(tiny_bundle, inputs, pipeline):
    with edgekit.load(tiny_bundle) as clip:
        work = create(clip, pipeline, inputs, 2)
        answer = work.rankings if pipeline == "photo" else work.rows
        pairs = [[i % 7, (3 * i) % 7] for i in range(40)]
        alone = [answer(pair)[0] for pair in pairs]
        with ThreadPoolExecutor(6) as pool:
            together = [found for found, _ in pool.map(answer, pairs)]
    for one, other in zip(alone, together, strict=True):
        if pipeline == "photo":
            assert one == other
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("scenario", "changes"),
    [
        ("single-stream", {}),
        ("multi-stream", {"streams": 2, "batch": 2}),
        ("server", {"target_qps": 500.0, "streams": 2}),
        ("offline", {"streams": 2, "batch": 4}),
    ],
)
def test_every_scenario_runs_real_work(tiny_bundle, inputs, scenario, changes):
    asked = plan(scenario=scenario, pipeline="photo", queries=12, **changes)
    with edgekit.load(tiny_bundle) as clip:
        work = create(clip, "photo", inputs, asked.batch)
        trace = measure(asked, work, quiet)
    assert trace.stages.shape == (12, 4)
    assert (trace.stages > 0).all()
    assert (trace.stages.sum(axis=1) <= trace.ended - trace.issued).all()


def test_an_engine_that_fails_ends_the_run_with_its_error(tiny_bundle, inputs):
    with edgekit.load(tiny_bundle) as clip:
        work = create(clip, "text", inputs, 1)
    with pytest.raises(EdgekitError):
        measure(plan(queries=5, pipeline="text"), work, quiet)  # the Clip is closed


def test_the_starter_gives_what_its_clip_gives():
    with edgekit.load("starter", settings=edgekit.SessionSettings(threads=1)) as clip:
        given = gather(None, open_bundle(edgekit.locations.resolve("starter")))
        work = create(clip, "photo", given, 1)
        assert work.rankings([1])[0] == [tuple(clip.classify(given.photos[1], packaged_labels()))]


@pytest.mark.parametrize(
    ("pipeline", "batch", "said"), [("audio", 1, "pipeline is 'audio'"), ("text", 0, "batch is 0")]
)
def test_what_does_not_exist_is_refused(clip, inputs, pipeline, batch, said):
    with pytest.raises(InputError, match=said):
        create(clip, pipeline, inputs, batch)
