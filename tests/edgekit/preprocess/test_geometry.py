"""The rounding rules, on sizes where a wrong rule shows, and against the oracle on random ones."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import ImageSpec
from edgekit.errors import ImageError
from edgekit.preprocess.geometry import Axis, plan, resized_size

CLIP = ImageSpec(224, 224, "shortest", 224, "bicubic", (0, 0, 0), (0, 0, 0), (1, 1, 1))


def test_clip_truncates_the_long_side() -> None:
    # 224 * 640 / 480 = 298.67: torchvision truncates to 298, rounding would give 299.
    assert resized_size((640, 480), CLIP) == (298, 224)
    assert resized_size((480, 640), CLIP) == (224, 298)
    assert resized_size((300, 300), CLIP) == (224, 224)


def test_a_non_square_target_rounds_half_to_even() -> None:
    spec = dataclasses.replace(CLIP, height=10, width=20, shortest_edge=0)
    # ratio = min(30/10, 61/20) = 3.0, so 61/3 = 20.33 and 30/3 = 10.
    assert resized_size((61, 30), spec) == (20, 10)
    # ratio = min(25/10, 40/20) = 2.0, so 25/2 = 12.5 goes to the even 12, and 27/2 = 13.5 to 14.
    assert resized_size((40, 25), spec) == (20, 12)
    assert resized_size((40, 27), spec) == (20, 14)


def test_a_larger_edge_leaves_a_margin_for_the_crop() -> None:
    spec = dataclasses.replace(CLIP, shortest_edge=256)
    x, y = plan((640, 480), spec, "p")
    assert x == Axis(341, 58, 282, 0)  # (341 - 224) / 2 = 58.5 goes to the even 58
    assert y == Axis(256, 16, 240, 0)


def test_crop_offsets_round_half_to_even() -> None:
    spec = dataclasses.replace(CLIP, height=4, width=4, shortest_edge=4)
    assert plan((7, 4), spec, "p")[0].start == 2  # 1.5 -> 2
    assert plan((5, 4), spec, "p")[0].start == 0  # 0.5 -> 0
    assert plan((9, 4), spec, "p")[0].start == 2  # 2.5 -> 2


def test_crop_offsets_round_down_where_the_checkpoint_does() -> None:
    spec = dataclasses.replace(CLIP, height=4, width=4, shortest_edge=4, crop_rounding="floor")
    assert plan((7, 4), spec, "p")[0].start == 1  # 1.5 -> 1, where half to even gives 2
    assert plan((5, 4), spec, "p")[0].start == 0
    assert plan((9, 4), spec, "p")[0].start == 2


def test_squash_to_an_edge_crops_a_square() -> None:
    spec = dataclasses.replace(CLIP, resize_mode="squash", shortest_edge=10, height=7, width=8)
    assert plan((1000, 3), spec, "p") == (Axis(10, 1, 9, 0), Axis(10, 2, 9, 0))  # 1.5 -> 2


def test_longest_pads_the_odd_pixel_on_the_far_side() -> None:
    spec = dataclasses.replace(CLIP, resize_mode="longest", shortest_edge=0, height=8, width=8)
    x, y = plan((80, 50), spec, "p")
    assert x == Axis(8, 0, 8, 0)
    assert y == Axis(5, 0, 5, 1)  # three rows missing: one above, two below


def test_a_crop_larger_than_the_resized_image_pads() -> None:
    spec = dataclasses.replace(CLIP, height=10, width=10, shortest_edge=6)
    x, y = plan((60, 60), spec, "p")
    assert x == y == Axis(6, 0, 6, 2)


def test_squash_ignores_the_ratio() -> None:
    spec = dataclasses.replace(CLIP, resize_mode="squash", shortest_edge=0, height=11, width=7)
    assert plan((1000, 3), spec, "p") == (Axis(7, 0, 7, 0), Axis(11, 0, 11, 0))


def test_too_thin_for_longest_is_refused_by_name() -> None:
    spec = dataclasses.replace(CLIP, resize_mode="longest", shortest_edge=0)
    with pytest.raises(ImageError, match=r"^thin\.png: an image of 1x10000 pixels is too thin.*crop"):
        plan((1, 10_000), spec, "thin.png")


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    target=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    edge=st.integers(0, 600),
    mode=st.sampled_from(["shortest", "squash"]),
)
def test_the_kept_part_fills_the_output_or_all_there_is(
    width: int, height: int, target: tuple[int, int], edge: int, mode: str
) -> None:
    spec = dataclasses.replace(CLIP, height=target[0], width=target[1], resize_mode=mode, shortest_edge=edge)
    for axis, window in zip(plan((width, height), spec, "p"), (target[1], target[0]), strict=True):
        kept = axis.stop - axis.start
        assert kept == min(axis.resized, window)
        assert 0 <= axis.start <= axis.stop <= axis.resized
        assert 0 <= axis.offset <= window - kept
        assert abs((window - kept) - 2 * axis.offset) <= 1
        assert abs(axis.start - (axis.resized - axis.stop)) <= 1 or kept == axis.resized
