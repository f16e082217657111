"""Views of images: what changes nothing changes nothing, a mirror is exact, two sizes show the same view."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data import transform
from edgekit.converters.distill.data.parameters import COLUMNS, IDENTITY, draw
from edgekit.converters.distill.recipe import Augmentation

STRONG = Augmentation(0.5, 0.4, 0.2, 0.15, 25.0, 0.3, 0.3, 0.5, 0.3)


def digests(count, start=0):
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(start, start + count)]


def noise(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def smooth(count, side, seed=0):
    """Pictures without sharp edges, so that two resolutions can agree."""
    random = np.random.default_rng(seed)
    place = (np.arange(side) + 0.5) / side
    waves = random.uniform(0.5, 2.0, (count, 3, 2)) * np.pi
    phase = random.uniform(0, 6, (count, 3, 1, 1))
    y, x = place[:, None], place[None, :]
    values = np.sin(waves[..., 0, None, None] * x + waves[..., 1, None, None] * y + phase)
    return np.rint(127.5 + 110 * values).astype(np.uint8).transpose(0, 2, 3, 1).copy()


def row(**changes):
    values = dict(zip(COLUMNS, IDENTITY, strict=True))
    assert set(changes) <= set(values)
    return np.array([list({**values, **changes}.values())], np.float32)


def rows(count, **changes):
    return np.repeat(row(**changes), count, axis=0)


def planes_of(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


@given(count=st.integers(1, 5), height=st.integers(2, 20), width=st.integers(2, 20), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_identity_is_exact(count, height, width, seed):
    pixels = noise(count, height, width, seed)
    found = transform.apply(pixels, rows(count), (height, width))
    assert found.dtype == torch.float32
    assert torch.equal(found, planes_of(pixels))
    assert np.array_equal(transform.to_pixels(found), pixels)


@given(count=st.integers(1, 5), height=st.integers(2, 20), width=st.integers(2, 20), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_mirror_image_is_exact(count, height, width, seed):
    pixels = noise(count, height, width, seed)
    given_ = rows(count)
    given_[::2, 0] = 1
    found = transform.to_pixels(transform.apply(pixels, given_, (height, width)))
    assert np.array_equal(found[::2], pixels[::2, :, ::-1])
    assert np.array_equal(found[1::2], pixels[1::2])


@given(seed=st.integers(0, 999), side=st.integers(6, 24), size=st.integers(4, 24))
@settings(deadline=None, max_examples=40)
def test_values_stay_in_range(seed, side, size):
    pixels = noise(4, side, side, seed)
    found = transform.apply(pixels, draw(STRONG, seed, digests(4), 1)[:, 0], (size, size))
    assert found.shape == (4, 3, size, size)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 255


@given(seed=st.integers(0, 999))
@settings(deadline=None, max_examples=20)
def test_the_same_parameters_give_the_same_view(seed):
    pixels, given_ = noise(6, 16, 16, seed), draw(STRONG, seed, digests(6), 1)[:, 0]
    whole = transform.apply(pixels, given_, (12, 12))
    assert torch.equal(whole, transform.apply(pixels, given_, (12, 12)))
    # Neighbours in the batch do not matter: N processes see what one would.
    alone = torch.cat([transform.apply(pixels[i : i + 1], given_[i : i + 1], (12, 12)) for i in range(6)])
    assert torch.equal(whole, alone)


def test_the_input_is_left_alone():
    pixels, given_ = noise(3, 10, 10), draw(STRONG, 0, digests(3), 1)[:, 0]
    before, parameters = pixels.copy(), given_.copy()
    transform.apply(pixels, given_, (10, 10))
    assert np.array_equal(pixels, before)
    assert np.array_equal(given_, parameters)


def test_two_resolutions_show_the_same_view():
    given_ = draw(Augmentation(0.5, 0.3, 0.2, 0.1, 20.0, 0.2, 0.2, 0.5, 0.0), 0, digests(12), 1)[:, 0]
    small = transform.apply(smooth(12, 32), given_, (32, 32))
    large = transform.apply(smooth(12, 96), given_, (32, 32))
    # The outermost rows may blend with what lies outside, at one resolution more than at the other.
    difference = (small - large).abs()
    assert difference.mean() < 3.0
    assert difference.median() < 1.5
    # Another view of the same pictures is far away.
    other = transform.apply(smooth(12, 96), draw(STRONG, 9, digests(12), 1)[:, 0], (32, 32))
    assert (small - other).abs().mean() > 8 * difference.mean()


def test_teacher_and_student_sizes_see_the_same_view():
    pixels, given_ = smooth(6, 48), draw(STRONG, 0, digests(6), 1)[:, 0]
    large = transform.apply(pixels, given_, (48, 48))
    small = transform.apply(pixels, given_, (24, 24))
    assert (transform.resize(large, (24, 24)) - small).abs().max() < 1e-3


def block(side=20):
    """White, with a red square in the upper left quarter."""
    pixels = np.full((1, side, side, 3), 255, np.uint8)
    pixels[0, 3:7, 3:7] = (200, 0, 0)
    return pixels


def centre(found):
    """Where the colour lies, (x, y) in pixels from the middle; right and down are positive."""
    weight = (255 - found[0, 1]).double()
    place = torch.arange(found.shape[-1]) - (found.shape[-1] - 1) / 2
    return float((weight * place[None, :]).sum() / weight.sum()), float((weight * place[:, None]).sum() / weight.sum())


def mass(found):
    return float((255 - found[0, 1]).sum())


def test_a_shift_moves_right_and_down():
    x, y = centre(planes_of(block()))
    moved = centre(transform.apply(block(), row(shift_x=0.1, shift_y=0.25), (20, 20)))
    assert moved == pytest.approx((x + 2, y + 5), abs=0.05)


def test_a_turn_is_anticlockwise():
    x, y = centre(planes_of(block()))
    moved = centre(transform.apply(block(), row(turn=90.0), (20, 20)))
    # A quarter turn takes the upper left corner to the lower left one.
    assert (x, y) == pytest.approx((-5, -5), abs=0.01)
    assert moved == pytest.approx((-5, 5), abs=0.05)


def test_a_quarter_turn_is_that_of_numpy():
    pixels = noise(2, 12, 12)
    found = transform.to_pixels(transform.apply(pixels, rows(2, turn=90.0), (12, 12)))
    assert np.abs(found.astype(int) - np.rot90(pixels, axes=(1, 2)).astype(int)).max() <= 1


def test_width_and_height_enlarge_the_picture():
    before = np.full((1, 60, 60, 3), 255, np.uint8)
    before[0, 18:30, 14:26] = (200, 0, 0)
    after = transform.apply(before, row(width=1.5, height=1.2), (60, 60))
    assert mass(after) / mass(planes_of(before)) == pytest.approx(1.8, rel=0.02)
    x, y = centre(planes_of(before))
    assert centre(after) == pytest.approx((1.5 * x, 1.2 * y), abs=0.2)


def test_a_turn_keeps_shapes_where_sides_differ():
    pixels = np.full((1, 20, 40, 3), 255, np.uint8)
    pixels[0, 8:12, 10:30] = 0
    turned = transform.apply(pixels, row(turn=90.0), (20, 40))[0, 0]
    # A bar of 20 x 4 pixels stands upright now, as long and as thick as before.
    dark = turned < 128
    assert int(dark.any(dim=1).sum()) == pytest.approx(20, abs=1)
    assert int(dark.any(dim=0).sum()) == pytest.approx(4, abs=1)


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 90)], ids=["white", "black", "green"])
def test_outside_is_the_background(background):
    pixels = np.empty((1, 24, 24, 3), np.uint8)
    pixels[:] = background
    pixels[0, 8:16, 8:16] = 128
    found = transform.to_pixels(transform.apply(pixels, row(width=0.6, height=0.6, shift_x=0.2, turn=20.0), (24, 24)))
    edge = np.concatenate([found[0, 0], found[0, -1], found[0, :, 0], found[0, :, -1]])
    assert (edge == np.array(background)).all()


def test_gains_are_per_channel():
    pixels = np.full((1, 6, 6, 3), 100, np.uint8)
    found = transform.apply(pixels, row(red=1.2, green=1.0, blue=0.5), (6, 6))
    assert found[0, :, 2, 3].tolist() == pytest.approx([120, 100, 50], abs=1e-3)


def test_bright_values_are_cut_off():
    assert transform.apply(np.full((1, 4, 4, 3), 250, np.uint8), row(red=1.3), (4, 4))[0, 0].max() == 255


def test_contrast_moves_away_from_the_mean_grey():
    pixels = np.full((1, 4, 4, 3), 100, np.uint8)
    pixels[0, :2] = 140
    found = transform.apply(pixels, row(contrast=1.5), (4, 4))
    assert found[0, 0, :, 0].tolist() == pytest.approx([150, 150, 90, 90], abs=1e-3)


def test_grey_loses_colour_and_keeps_the_luminance():
    pixels = np.full((1, 4, 4, 3), (200, 50, 100), np.uint8)
    luminance = 0.299 * 200 + 0.587 * 50 + 0.114 * 100
    half, all_ = (transform.apply(pixels, row(grey=share), (4, 4))[0, :, 0, 0].tolist() for share in (0.5, 1.0))
    assert all_ == pytest.approx([luminance] * 3, abs=1e-3)
    assert half == pytest.approx([(value + luminance) / 2 for value in (200, 50, 100)], abs=1e-3)


def test_erasing_leaves_a_grey_rectangle():
    pixels = np.zeros((2, 12, 12, 3), np.uint8)
    given_ = np.concatenate([row(erase_x=0.25, erase_y=0.5, erase_width=0.25, erase_height=0.25), row()])
    found = transform.apply(pixels, given_, (12, 12))
    assert (found[0, :, 6:9, 3:6] == 128).all()
    assert float(found[0].sum()) == 3 * 9 * 128
    assert (found[1] == 0).all()


def test_resizing_is_antialiased():
    # Stripes of one pixel become an even grey, not stripes again.
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[:, :, ::2] = 255
    found = transform.apply(pixels, row(), (8, 8))
    assert (found[..., 2:-2] - 127.5).abs().max() < 6


def test_normalize_is_mean_and_deviation():
    spec = ImageSpec(4, 4, "squash", 0, "bicubic", (0, 0, 0), (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    pixels = noise(3, 4, 4)
    found = transform.normalize(planes_of(pixels), spec).numpy().transpose(0, 2, 3, 1)
    assert np.abs(found - (pixels / 255 - np.array(spec.mean)) / np.array(spec.std)).max() < 1e-5


def test_to_pixels_rounds():
    found = transform.to_pixels(torch.tensor([0.4, 0.6, 254.6])[None, :, None, None])
    assert found.tolist() == [[[[0, 1, 255]]]]
    assert found.flags.c_contiguous


def test_more_images_than_are_worked_on_together(monkeypatch):
    pixels, given_ = noise(7, 8, 8), draw(STRONG, 0, digests(7), 1)[:, 0]
    whole = transform.apply(pixels, given_, (8, 8))
    monkeypatch.setattr(transform, "_AT_ONCE", 2 * 64)
    assert torch.equal(transform.apply(pixels, given_, (8, 8)), whole)


def test_no_image_at_all():
    assert transform.apply(noise(0, 8, 8), np.empty((0, len(COLUMNS)), np.float32), (8, 8)).shape == (0, 3, 8, 8)
