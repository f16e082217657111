"""One `Clip` used from many threads, closed while it works, and what it says about itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.errors import ExecutionError
from edgekit.results import Candidate, Classification, Explanation, Label
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ["cat", "dog", "rocket"]


def test_eight_threads_get_what_one_gets(tiny_bundle: Path, photos: list[Path]) -> None:
    with edgekit.load(tiny_bundle) as clip:
        serial = [clip.classify(photo, LABELS) for photo in photos]
        rows = clip.embed_images(photos)

        def work(turn: int) -> None:
            index = turn % len(photos)
            assert clip.classify(photos[index], LABELS) == serial[index]
            np.testing.assert_allclose(clip.embed_images(photos), rows, atol=1e-6)
            clip.embed_texts([f"a {turn} cat", "a dog"])
            assert clip.explain().placement["image"]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(24)))


def test_closing_during_use_ends_in_results_or_one_error(tiny_bundle: Path) -> None:
    clip = edgekit.load(tiny_bundle)
    image = np.zeros((8, 8, 3), np.uint8)
    wanted = clip.embed_images([image])
    begun, wrong = threading.Barrier(9), []

    def loop() -> None:
        begun.wait()
        try:
            while True:
                np.testing.assert_array_equal(clip.embed_images([image]), wanted)
        except ExecutionError as error:
            if "closed" not in str(error):
                wrong.append(error)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait()
    clip.close()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_a_closed_clip_says_so(tiny_bundle: Path) -> None:
    clip = edgekit.load(tiny_bundle)
    clip.embed_texts(["a cat"])
    clip.close()
    clip.close()
    for use in (
        lambda: clip.embed_images([np.zeros((8, 8, 3), np.uint8)]),
        lambda: clip.embed_images([]),
        lambda: clip.embed_texts(["a cat"]),  # even what is known
        lambda: clip.embed_labels(["a dog"]),
        lambda: clip.classify(np.zeros((8, 8, 3), np.uint8), ["a"]),
    ):
        with pytest.raises(ExecutionError, match=r"tiny\.edge: the Clip is closed; load the bundle again"):
            use()
    assert clip.dimension == 16  # facts remain


def test_a_with_block_closes(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with pytest.raises(KeyError), edgekit.load(tiny_bundle) as clip:
        assert len(spy.opened) == 2
        raise KeyError
    assert not spy.opened
    with pytest.raises(ExecutionError):
        clip.embed_texts(["a"])


def test_it_tells_its_space_and_dimension(tiny_bundle: Path, tmp_path: Path) -> None:
    with edgekit.load(tiny_bundle) as clip, edgekit.load(tiny.build(tmp_path / "o.edge", seed=4)) as other:
        assert clip.dimension == clip.manifest.embedding.dimension == 16
        assert clip.space == "tiny-0"
        assert other.space != clip.space


def test_it_prints_what_runs(tiny_bundle: Path) -> None:
    with edgekit.load(tiny_bundle) as clip:
        assert repr(clip).startswith("Clip(fp32 on onnxruntime ")
        assert repr(clip).endswith("16 dimensions)")
        text = str(clip.explain())
    assert text.startswith(f"{tiny_bundle} (sha256:")
    assert "chosen: fp32 on onnxruntime" in text
    assert "image tower: cosine 1.00000" in text
    assert "  image tower: " in text
    assert " nodes on cpu" in text
    assert "note" not in text


def test_the_explanation_counts_nodes(tiny_bundle: Path) -> None:
    with edgekit.load(tiny_bundle) as clip:
        placement = clip.explain().placement
    assert set(placement) == {"image", "text"}
    assert all(set(counts) == {"cpu"} and counts["cpu"] > 0 for counts in placement.values())


def test_records_print_well() -> None:
    result = Classification("cat.jpg", (Label("a cat", 0.9132), Label("a dog", 0.0868)))
    assert str(result) == "cat.jpg\n   91.3%  a cat\n    8.7%  a dog"
    assert str(result.best) == " 91.3%  a cat"
    assert (len(result), result[1].label, [label.label for label in result]) == (2, "a dog", ["a cat", "a dog"])
    fine = Candidate("fp32", "ort 1", "cpu", True, True, "", 12.34, ())
    refused = Candidate("int8", "ort 1", "cpu", True, False, "too far off", None, ())
    assert str(fine) == "fp32 on ort 1 (cpu)  12.3 ms  ok"
    assert str(refused) == "int8 on ort 1 (cpu)  refused: too far off"
    explanation = Explanation("b.edge", fine, (refused, fine), True, "full disk", {"image": {"npu": 3, "cpu": 1}})
    assert str(explanation).splitlines() == [
        "b.edge",
        "chosen: fp32 on ort 1 (cpu)  12.3 ms  ok  (judged at an earlier load)",
        "  image tower: 3 nodes on npu, 1 nodes on cpu",
        "also: int8 on ort 1 (cpu)  refused: too far off",
        "note: full disk",
    ]


def test_public_names_are_all_there() -> None:
    for name in edgekit.__all__:
        assert getattr(edgekit, name).__name__ == name
    assert set(edgekit.__all__) < set(dir(edgekit))
    with pytest.raises(AttributeError, match="'edgekit' has no attribute 'nothing'"):
        edgekit.nothing  # noqa: B018
