"""A variant that returns wrong numbers here is refused with the figure, and another one takes its place."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit import golden
from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError, GoldenError, RuntimeUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import Manifest

# What each kind of broken variant is refused with.
REFUSALS = {
    "wrong": r"wrong numbers on this device: image tower: cosine -?0\.\d+ \(at least 0\.99990\), centred -?0\.\d+ ",
    "wrong_text": r"wrong numbers on this device: text tower: cosine -?0\.\d+ .*n=4",
    "nan": r"image\.onnx: the embedding holds NaN or infinity",
    "escaping": r"points at '\.\./\.\./etc/passwd', which is not one of its files",
    "absolute": r"points at '/etc/passwd', which is not one of its files",
    "unlisted": r"points at '\.\./\.\./text/tokenizer\.json', which is not one of its files",
    "malformed": r"image\.onnx: .*(not a well-formed|refused)",
    "lying": r"image\.onnx: the graph's inputs are pixels, the manifest says images",
}


def test_every_broken_kind_is_covered_here() -> None:
    assert set(tiny.KINDS) - {"fp32", "static"} == set(REFUSALS)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_broken_variant_is_refused_and_the_good_one_taken(tmp_path: Path, kind: str) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=(kind, "fp32"))
    with edgekit.load(bundle) as clip:
        explanation = clip.explain()
        assert explanation.chosen.variant == "fp32"
        refused = explanation.candidates[0]
        assert (refused.variant, refused.accepted, refused.checks) == (kind, False, ())
        assert re.search(REFUSALS[kind], refused.reason), refused.reason
        assert f"also: {kind} on onnxruntime" in str(explanation)
        assert clip.embed_images([tiny.PHOTOS / "cat.jpg"]).shape == (1, 16)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_broken_variant_alone_cannot_be_loaded(tmp_path: Path, kind: str) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=(kind,))
    with pytest.raises(RuntimeUnavailableError, match=REFUSALS[kind]):
        edgekit.load(bundle)
    with pytest.raises(RuntimeUnavailableError):  # nor the second time
        edgekit.load(bundle)


def test_all_reasons_are_told_when_none_passes(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=("wrong", "nan", "malformed"))
    with pytest.raises(RuntimeUnavailableError) as caught:
        edgekit.load(bundle)
    # What other engines would need to be installed follows; here those that were tried count.
    lines = [line for line in str(caught.value).splitlines() if "pip install" not in line]
    assert [line.split()[0] for line in lines[1:4]] == ["wrong", "nan", "malformed"]
    assert "edgekit tune" in lines[4]
    assert len(lines) == 5


def test_a_tower_that_is_not_asked_for_is_not_judged(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "b.edge", variants=("wrong",))
    with edgekit.load(bundle, towers=("text",)) as clip:
        assert [check.tower for check in clip.explain().chosen.checks] == ["text"]
    with pytest.raises(RuntimeUnavailableError, match="wrong numbers"):
        edgekit.load(bundle, towers=("image",))


def test_an_explanation_holds_the_figures(tiny_bundle: Path) -> None:
    with edgekit.load(tiny_bundle) as clip:
        image, text = clip.explain().chosen.checks
    assert (image.tower, image.agreement.n, text.tower, text.agreement.n) == ("image", 2, "text", 4)
    for check in (image, text):
        assert check.passed
        assert check.agreement.cosine_min > 0.99999
        assert check.agreement.max_error < 1e-5


def _tighter(manifest: Manifest) -> Manifest:
    """Demand more than float arithmetic can give."""
    (variant,) = manifest.variants
    return replace(manifest, variants=(replace(variant, image=replace(variant.image, tolerance=Tolerance(1.0, 1.0))),))


def test_the_manifest_sets_the_limit(tmp_path: Path) -> None:
    # One row is enough to be out: make the reference differ by a little and demand exactness.
    bundle = tiny.build(tmp_path / "loose.edge")
    rows = np.load(io.BytesIO(tiny.contents(bundle)["golden/image_embeddings.npy"]))
    rows[1, 0] += 0.01
    stream = io.BytesIO()
    np.save(stream, rows)
    extra = {"golden/image_embeddings.npy": stream.getvalue()}
    with edgekit.load(tiny.build(tmp_path / "near.edge", extra=extra)) as clip:
        assert 0.999 < clip.explain().chosen.checks[0].agreement.centred_min < 1
    with pytest.raises(RuntimeUnavailableError, match=r"at least 1\.00000"):
        edgekit.load(tiny.build(tmp_path / "tight.edge", extra=extra, change=_tighter))


def check(cosine: float, centred: float) -> golden.GoldenCheck:
    return golden.GoldenCheck("image", Agreement(3, 0.1, cosine, cosine, centred, centred), Tolerance(0.9, 0.8))


@pytest.mark.parametrize(
    ("cosine", "centred", "passed"),
    [(0.9, 0.8, True), (1, 1, True), (0.89, 1, False), (1, 0.79, False), (float("nan"), float("nan"), False)],
)
def test_both_figures_must_hold(cosine: float, centred: float, passed: bool) -> None:
    assert check(cosine, centred).passed is passed


def test_a_check_prints_its_figures() -> None:
    assert str(check(0.95, 0.5)) == (
        "image tower: cosine 0.95000 (at least 0.90000), centred 0.50000 (at least 0.80000), n=3"
    )
    assert str(check(float("nan"), float("nan"))) == "image tower: the embedding holds NaN or infinity"


def test_golden_inputs_are_the_towers_inputs(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    pixels, ids = golden.inputs(bundle, "image"), golden.inputs(bundle, "text")
    assert (pixels.shape, pixels.dtype) == ((2, 32, 32, 3), np.uint8)
    assert (ids.shape, ids.dtype) == ((4, 8), np.int32)
    assert ids[3, -1] == bundle.manifest.text.pad_id
    assert golden.reference(bundle, "text").shape == (4, 16)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return bytes(stream.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        npy(np.zeros((3, 16), np.float32)),
        npy(np.zeros((2, 15), np.float32)),
        npy(np.zeros((2, 16), np.float64)),
        npy(np.full((2, 16), np.nan, np.float32)),
        npy(np.array([{"a": object}] * 2)),
    ],
)
def test_a_malformed_reference_is_the_bundles_fault(tmp_path: Path, content: bytes) -> None:
    bundle = tiny.build(tmp_path / "b.edge", extra={"golden/image_embeddings.npy": content})
    with pytest.raises(BundleError, match=r"golden/image_embeddings\.npy"):
        edgekit.load(bundle)


def test_golden_pixels_of_another_size_are_the_bundles_fault(tmp_path: Path) -> None:
    photo = tiny.contents(tiny.build(tmp_path / "a.edge"))["golden/photo0.jpg"]
    bundle = tiny.build(tmp_path / "b.edge", extra={"golden/pixels0.png": photo})
    with pytest.raises(BundleError, match=r"golden/pixels0\.png: is \(\d+, \d+, 3\)"):
        edgekit.load(bundle)


def test_a_golden_text_that_is_too_long_is_the_bundles_fault(tiny_bundle: Path) -> None:
    def longer(manifest: Any) -> None:
        manifest["golden"]["texts"][0]["token_ids"] = [1] * 9

    with pytest.raises(BundleError, match=r"golden\.texts\[0\]\.token_ids: more than context_length"):
        edgekit.load(tiny.edit_manifest(tiny_bundle, longer))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (json.loads, ("[1]",))

    bundle = tiny.build(tmp_path / "b.edge", extra={"golden/text_embeddings.npy": npy(np.array([Bomb()]))})
    with pytest.raises(BundleError, match="not a NumPy array"):
        edgekit.load(bundle)


class _Scaled:
    """A tower that gives the right directions at a wrong length."""

    def __init__(self, rows: npt.NDArray[np.float32], factor: float) -> None:
        self._rows = iter(rows * np.float32(factor))

    def embed(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        return next(self._rows)[None]


@pytest.mark.parametrize(("factor", "right"), [(1, True), (1.005, True), (0.9, False), (3, False)])
def test_rows_must_have_length_one(tiny_bundle: Path, factor: float, right: bool) -> None:
    bundle = open_bundle(tiny_bundle)
    tower: Any = _Scaled(golden.reference(bundle, "image"), factor)
    if right:
        assert golden.check(bundle, "image", tower, Tolerance(0.9, 0.8)).passed
    else:
        with pytest.raises(GoldenError, match=rf"lengths {factor:.3f} to {factor:.3f}, not 1"):
            golden.check(bundle, "image", tower, Tolerance(0.9, 0.8))
