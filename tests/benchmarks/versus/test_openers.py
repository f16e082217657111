"""Contenders opened in this process: what they say of themselves, and what they answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
import frozen_bundle
import litert_towers
import tiny_bundle as tiny
from edgekit.benchmarks.versus.openers import opened
from edgekit.benchmarks.versus.records import Contender
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, EdgekitError, ImageError, InputError, RuntimeUnavailableError
from edgekit.preprocess import preprocess_batch


@pytest.fixture(scope="module", name="both")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return litert_towers.bundle(tmp_path_factory.mktemp("openers") / "both.edge")


def test_what_a_bundle_says_of_itself(both: Path, photos: list[Path]) -> None:
    found, _ = opened(Contender("a", "edgekit", str(both), variant="litert"), "photo", [str(photos[0])])
    bundle = open_bundle(both)
    assert (found.variant, found.precision, found.device) == ("litert", "fp32", "cpu")
    assert found.model == f"{bundle.manifest.name} {bundle.manifest.version}, litert"
    assert (found.digest, found.space) == (bundle.digest, bundle.manifest.embedding.space)
    assert found.engine.startswith("litert ")
    assert found.load_ms > 0


@pytest.mark.parametrize(("threads", "told"), [(None, 0), (0, 0), (2, 2)])
def test_threads_are_as_asked(both: Path, photos: list[Path], threads: int | None, told: int) -> None:
    contender = Contender("a", "edgekit", str(both), runtime="onnxruntime", threads=threads)
    found, embed = opened(contender, "photo", [str(photos[0])])
    assert found.threads == told
    assert np.linalg.norm(embed(0)) == pytest.approx(1, abs=1e-5)


def test_settings_of_one_engine_are_handed_on(both: Path, photos: list[Path]) -> None:
    contender = Contender("a", "edgekit", str(both), runtime="onnxruntime", options=(("graph_optimization", "off"),))
    _, embed = opened(contender, "photo", [str(photos[0])])
    assert embed(0).shape == (16,)
    wrong = replace(contender, options=(("graph_optimization", "much"),))
    with pytest.raises(EdgekitError, match="graph_optimization"):
        opened(wrong, "photo", [str(photos[0])])


@pytest.mark.parametrize("decoding", ["fast", "exact"])
def test_a_photo_is_decoded_as_asked(both: Path, tmp_path: Path, decoding: str) -> None:
    """A photo so large that the fast decoding differs."""
    from edgekit.benchmarks.peers.material import jpeg

    photo = tmp_path / "large.jpg"
    photo.write_bytes(jpeg((1600, 1200)))
    contender = Contender("a", "edgekit", str(both), variant="fp32", decoding=decoding)  # type: ignore[arg-type]
    _, embed = opened(contender, "photo", [str(photo)])
    with edgekit.load(both, variant="fp32") as clip:
        rows = {how: clip.embed_images([photo], decoding=how)[0] for how in ("fast", "exact")}  # type: ignore[arg-type]
    assert np.abs(rows["fast"] - rows["exact"]).max() > 1e-6
    assert np.array_equal(embed(0), rows[decoding])


def test_each_pipeline_gives_the_rows_of_the_sdk(both: Path, photos: list[Path]) -> None:
    paths, texts = [str(photo) for photo in photos], list(tiny.TEXTS)
    contender = Contender("a", "edgekit", str(both), variant="fp32")
    _, photo = opened(contender, "photo", paths)
    _, image = opened(contender, "image", paths)
    _, text = opened(contender, "text", texts)
    with edgekit.load(both, variant="fp32") as clip:
        images, words = clip.embed_images(paths), clip.embed_texts(texts)
        pixels = preprocess_batch(paths, clip.manifest.image)
    assert pixels.shape == (len(paths), 32, 32, 3)
    for i, row in enumerate(images):
        assert np.abs(photo(i) - row).max() < 1e-6
        assert np.abs(image(i) - row).max() < 1e-6
    for i, row in enumerate(words):
        assert np.abs(text(i) - row).max() < 1e-6


def test_only_the_tower_that_is_needed_is_opened(tmp_path: Path, photos: list[Path]) -> None:
    """A bundle whose text tower is another model's opens for photos, and is refused for texts."""
    half = str(tiny.build(tmp_path / "half.edge", variants=("wrong_text",)))
    _, embed = opened(Contender("a", "edgekit", half), "photo", [str(photos[0])])
    assert embed(0).shape == (16,)
    with pytest.raises(RuntimeUnavailableError, match="wrong numbers on this device"):
        opened(Contender("a", "edgekit", half), "text", ["a cat"])


def test_a_bundle_of_frozen_labels_has_no_texts_to_embed(tmp_path: Path) -> None:
    path = frozen_bundle.freeze(tmp_path / "frozen.edge")
    with pytest.raises(InputError, match="has no text tower"):
        opened(Contender("a", "edgekit", str(path)), "text", ["a cat"])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": "nowhere.edge"}, BundleError, r"nowhere\.edge"),
        ({"variant": "fp64"}, InputError, "has no variant 'fp64'; it has fp32, litert"),
        ({"runtime": "imagined"}, EdgekitError, "imagined"),
        ({"device": "moon"}, RuntimeUnavailableError, "offers no device 'moon'"),
    ],
    ids=["model", "variant", "runtime", "device"],
)
def test_refusals(both: Path, change: dict[str, str], kind: type[Exception], message: str) -> None:
    contender = replace(Contender("a", "edgekit", str(both)), **change)  # type: ignore[arg-type]
    with pytest.raises(kind, match=message):
        opened(contender, "photo", [])


def test_a_broken_photo_is_told_when_it_is_asked_for(both: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    _, embed = opened(Contender("a", "edgekit", str(both)), "photo", [str(tmp_path / "broken.jpg")])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        embed(0)
    with pytest.raises(ImageError, match=r"broken\.jpg|photo 0"):
        opened(Contender("a", "edgekit", str(both)), "image", [str(tmp_path / "broken.jpg")])


def test_the_bare_session_is_opened_by_its_kind(both: Path, photos: list[Path]) -> None:
    found, embed = opened(Contender("bare", "onnxruntime", str(both)), "photo", [str(photos[0])])
    assert found.variant == "fp32"
    assert found.load_ms > 0
    assert embed(0).shape == (16,)
