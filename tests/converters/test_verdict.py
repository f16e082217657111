"""The judge of a conversion: what passes, what does not, and what a device is then held to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.converters import exchange, verdict
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(6, 16)).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
TEXTS = ("one", "two", "three " * 30)
PERFECT = Agreement(6, 0.0, 1.0, 1.0, 1.0, 1.0)


def store(folder: Path, **arrays: Any) -> None:
    for name, array in arrays.items():
        np.save(exchange.array(folder, name), array)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store(
        tmp_path,
        reference_image=ROWS,
        reference_text=ROWS,
        f_image_batch1=ROWS,
        f_image_batch5=ROWS,
        f_text_batch1=ROWS,
        f_text_batch5=ROWS,
        pixels=np.full((2, 4, 4, 3), 100, np.uint8),
        reference_pixels=np.full((2, 4, 4, 3), 100, np.uint8),
        reference_token_ids=np.arange(12, dtype=np.int32).reshape(3, 4),
    )
    return tmp_path


KINDS: Any = {"image": "float32", "text": "float32"}


def test_what_agrees_passes(folder: Path) -> None:
    found = verdict.towers(folder, "f", KINDS)
    assert set(found) == {"image", "text"}
    assert found["image"].centred_min == pytest.approx(1)


def test_one_bad_row_at_one_batch_size_is_enough(folder: Path) -> None:
    bad = ROWS.copy()
    bad[3] = ROWS[4]
    store(folder, f_text_batch5=bad)
    with pytest.raises(ConversionError) as caught:
        verdict.towers(folder, "f", KINDS)
    message = str(caught.value)
    assert message.startswith("the text tower stored as float32 disagrees with its source: max error ")
    assert f"cosine {agreement(bad, ROWS).cosine_min:.5f}" in message
    assert "(limits 0.9999, 0.999); no bundle was written" in message


@pytest.mark.parametrize("shape", [(6, 8), (5, 16), (6, 16, 1)])
def test_embeddings_of_another_shape_are_told(folder: Path, shape: tuple[int, ...]) -> None:
    store(folder, f_image_batch5=np.ones(shape, np.float32))
    with pytest.raises(ConversionError, match=r"the image tower stored as float32 gives embeddings of shape") as caught:
        verdict.towers(folder, "f", KINDS)
    assert f"{shape}, its source (6, 16); no bundle was written" in str(caught.value)


def test_what_is_not_judged_is_measured_all_the_same(folder: Path) -> None:
    """A tower that was proven before, in another bundle, may be as far away as it is."""
    far = np.roll(ROWS, 1, axis=0)
    store(folder, f_text_batch1=far, f_text_batch5=far)
    found = verdict.towers(folder, "f", KINDS, unjudged=("text",))
    assert found["text"] == agreement(far, ROWS)
    with pytest.raises(ConversionError, match="the text tower"):
        verdict.towers(folder, "f", KINDS, unjudged=("image",))


@pytest.mark.parametrize("which", ["f_image_batch1", "f_image_batch5"])
def test_nan_is_told_as_nan_whichever_batch_gives_it(folder: Path, which: str) -> None:
    bad = ROWS.copy()
    bad[0, 0] = np.nan
    store(folder, **{which: bad})
    with pytest.raises(ConversionError, match="cosine nan"):
        verdict.towers(folder, "f", KINDS)


def test_the_worst_of_those_that_pass_is_reported(folder: Path) -> None:
    near = (ROWS + RANDOM.normal(size=ROWS.shape, scale=1e-4)).astype(np.float32)
    store(folder, f_image_batch1=near)
    assert verdict.towers(folder, "f", KINDS)["image"] == agreement(near, ROWS)
    store(folder, f_image_batch1=ROWS, f_image_batch5=near)
    assert verdict.towers(folder, "f", KINDS)["image"] == agreement(near, ROWS)


def test_each_way_to_store_weights_has_its_own_limit(folder: Path) -> None:
    rough = (ROWS + RANDOM.normal(size=ROWS.shape, scale=2e-2)).astype(np.float32)
    store(folder, f_image_batch1=rough, f_image_batch5=rough)
    assert verdict.towers(folder, "f", {"image": "int8"})["image"].centred_min < 0.999
    for kind in ("float32", "float16"):
        with pytest.raises(ConversionError, match=f"stored as {kind}"):
            verdict.towers(folder, "f", {"image": kind})


def test_padding_may_be_cut_only_when_it_changes_nothing(folder: Path) -> None:
    assert not verdict.trims(folder)  # not measured
    store(folder, float32_text_trimmed=ROWS)
    assert verdict.trims(folder)
    store(folder, float32_text_trimmed=ROWS[::-1])
    assert not verdict.trims(folder)
    store(folder, float32_text_trimmed=np.full_like(ROWS, np.nan))
    assert not verdict.trims(folder)


IDS = np.arange(12, dtype=np.int32).reshape(3, 4)


def test_equal_pixels_and_ids_pass(folder: Path) -> None:
    assert verdict.preprocessing(folder, IDS, TEXTS, 0) == verdict.Preprocessing(0, 1.0, 3)


@pytest.mark.parametrize("other", [99, 101])
def test_pixels_may_differ_by_the_limit(folder: Path, other: int) -> None:
    pixels = np.full((2, 4, 4, 3), 100, np.uint8)
    pixels[0, 0, 0, 0] = other
    store(folder, pixels=pixels)
    found = verdict.preprocessing(folder, IDS, TEXTS, 1)
    assert (found.pixels_max, found.pixels_equal) == (1, 95 / 96)
    with pytest.raises(ConversionError, match=r"by 1 levels of 255 \(limit 0\)"):
        verdict.preprocessing(folder, IDS, TEXTS, 0)


def test_no_difference_wraps_around(folder: Path) -> None:
    store(folder, pixels=np.zeros((2, 4, 4, 3), np.uint8), reference_pixels=np.full((2, 4, 4, 3), 255, np.uint8))
    with pytest.raises(ConversionError, match="by 255 levels"):
        verdict.preprocessing(folder, IDS, TEXTS, 1)


def test_pixels_of_another_size_are_told(folder: Path) -> None:
    store(folder, pixels=np.zeros((2, 4, 5, 3), np.uint8))
    with pytest.raises(ConversionError, match=r"gives \(4, 5, 3\), the checkpoint's own transform \(4, 4, 3\)"):
        verdict.preprocessing(folder, IDS, TEXTS, 1)


def test_one_wrong_id_is_told_with_its_text(folder: Path) -> None:
    ids = IDS.copy()
    ids[2, 3] += 1
    with pytest.raises(ConversionError, match=r"on 1 of 3 texts, first on 'three three .{48}'"):
        verdict.preprocessing(folder, ids, TEXTS, 1)
    with pytest.raises(ConversionError, match="on 3 of 3 texts, first on 'one'"):
        verdict.preprocessing(folder, IDS[:, :3], TEXTS, 1)


@pytest.mark.parametrize(
    ("cosine", "centred", "passes"),
    [(0.9, 0.8, True), (0.8999, 1.0, False), (1.0, 0.7999, False), (float("nan"), float("nan"), False)],
)
def test_both_figures_must_hold(cosine: float, centred: float, passes: bool) -> None:
    found = replace(PERFECT, cosine_min=cosine, centred_min=centred)
    assert verdict.within(found, Tolerance(0.9, 0.8)) is passes


@settings(max_examples=80, deadline=None)
@given(st.floats(0.95, 1.0), st.floats(0.9, 1.0))
def test_a_device_is_held_to_three_times_the_loss_and_never_to_perfection(cosine: float, centred: float) -> None:
    measured = replace(PERFECT, cosine_min=cosine, centred_min=centred)
    found = verdict.tolerance(measured)
    assert verdict.within(measured, found)
    assert found.cosine_min == pytest.approx(1 - max(1e-4, 3 * (1 - cosine)), abs=1e-6)
    assert found.centred_min == pytest.approx(1 - max(1e-3, 3 * (1 - centred)), abs=1e-6)
    assert -1 <= found.centred_min < 1


def test_a_tolerance_is_a_cosine() -> None:
    far = verdict.tolerance(Agreement(4, 1.0, -0.5, 0.0, -0.9, 0.0))
    assert (far.cosine_min, far.centred_min) == (-1.0, -1.0)
