"""Views at the ends of what a recipe allows, and of what pictures may be."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data import transform
from edgekit.converters.distill.data.parameters import COLUMNS, IDENTITY, NONE, draw
from edgekit.converters.distill.recipe import Augmentation

MOST = Augmentation(1.0, 0.999, 0.999, 0.999, 180.0, 0.999, 0.999, 1.0, 1.0)
DIGESTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(64)]
NOISE = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3), np.uint8)


def row(**changes):
    return np.array([list({**dict(zip(COLUMNS, IDENTITY, strict=True)), **changes}.values())], np.float32)


def rows(count, **changes):
    return np.repeat(row(**changes), count, axis=0)


def planes(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def column(table, name):
    return table[..., COLUMNS.index(name)]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (64, 48)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3), (40, 40)], ids=str)
def test_the_strongest_views_of_any_shape_are_pixels(shape, size):
    pixels = np.random.default_rng(1).integers(0, 256, (16, *shape, 3), np.uint8)
    found = transform.apply(pixels, draw(MOST, 0, DIGESTS[:16], 1)[:, 0], size)
    assert found.shape == (16, 3, *size)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 255


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_an_even_picture_stays_even_wherever_it_is_moved(value):
    pixels = np.full((8, 9, 11, 3), value, np.uint8)
    moves = replace(MOST, brightness=0.0, contrast=0.0, grey=0.0, erase=0.0)
    found = transform.apply(pixels, draw(moves, 0, DIGESTS[:8], 1)[:, 0], (9, 11))
    assert (found - value).abs().max() < 1e-3


@pytest.mark.parametrize("value", [0, 255])
def test_contrast_has_no_hold_on_one_colour(value):
    found = transform.apply(np.full((1, 4, 4, 3), value, np.uint8), row(contrast=1.999), (4, 4))
    assert (found - value).abs().max() < 1e-3


@pytest.mark.parametrize("turn", [180.0, -180.0])
def test_half_a_turn_is_two_mirrors(turn):
    found = transform.to_pixels(transform.apply(NOISE, rows(3, turn=turn), (12, 10)))
    assert np.abs(found.astype(int) - NOISE[:, ::-1, ::-1].astype(int)).max() <= 1


def test_a_whole_turn_is_none():
    found = transform.to_pixels(transform.apply(NOISE, rows(3, turn=360.0), (12, 10)))
    assert np.abs(found.astype(int) - NOISE.astype(int)).max() <= 1


@pytest.mark.parametrize("move", [{"shift_x": 1.0}, {"shift_x": -1.0}, {"shift_y": 1.0}, {"shift_y": -1.0}], ids=str)
def test_a_picture_that_is_moved_away_leaves_its_background(move):
    pixels = np.full((1, 8, 8, 3), 30, np.uint8)
    pixels[0, 3:5, 3:5] = 200
    assert (transform.apply(pixels, row(**move), (8, 8)) - 30).abs().max() < 1e-3


def test_a_picture_of_no_size_leaves_its_background():
    pixels = np.full((1, 9, 9, 3), 30, np.uint8)
    pixels[0, 4, 4] = 200
    found = transform.apply(pixels, row(width=1e-3, height=1e-3), (9, 9))
    edge = found.clone()
    edge[:, :, 4, 4] = 30
    assert (edge - 30).abs().max() < 1e-3


def test_a_picture_that_is_far_too_large_shows_its_middle():
    pixels = np.zeros((1, 9, 9, 3), np.uint8)
    pixels[0, 4, 4] = 200
    assert transform.apply(pixels, row(width=1e4, height=1e4), (9, 9)).min() > 199


@pytest.mark.parametrize("channel", ["red", "green", "blue"])
def test_a_channel_can_be_lost_and_overdriven(channel):
    place = ("red", "green", "blue").index(channel)
    dark = transform.apply(NOISE, rows(3, **{channel: 0.0}), (12, 10))
    bright = transform.apply(NOISE, rows(3, **{channel: 1e6}), (12, 10))
    assert (dark[:, place] == 0).all()
    assert (bright[:, place][planes(NOISE)[:, place] > 0] == 255).all()
    kept = [one for one in range(3) if one != place]
    assert (dark[:, kept] - planes(NOISE)[:, kept]).abs().max() < 1e-3


def test_without_contrast_only_the_mean_grey_is_left():
    found = transform.apply(NOISE, rows(3, contrast=0.0), (12, 10))
    mean = (planes(NOISE).mean((2, 3)) * torch.tensor([0.299, 0.587, 0.114])).sum(1)
    assert (found - mean[:, None, None, None]).abs().max() < 1e-2


def test_all_may_be_erased():
    found = transform.apply(NOISE, rows(3, erase_width=1.0, erase_height=1.0), (12, 10))
    assert (found == 128).all()


@pytest.mark.parametrize(
    ("erased", "most"),
    [({"erase_width": 1.0, "erase_height": 0.0}, 0), ({"erase_width": 1e-6, "erase_height": 1.0}, 12)],
    ids=["no-height", "hardly-a-width"],
)
def test_a_rectangle_without_an_area_erases_nothing(erased, most):
    found = transform.apply(NOISE, rows(3, **erased), (12, 10))
    assert int((found != planes(NOISE)).any(1).sum(dim=(1, 2)).max()) <= most


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_rectangle_reaches_the_edges(place):
    corner = {"erase_x": 0.0, "erase_y": 0.0} if place == "start" else {"erase_x": 0.7, "erase_y": 0.75}
    found = transform.apply(NOISE, rows(3, **corner, erase_width=0.3, erase_height=0.25), (12, 10))
    part = found[:, :, :3, :3] if place == "start" else found[:, :, -3:, -3:]
    assert (part == 128).all()
    assert int((found == 128).all(1).sum()) >= 27


def test_one_image_of_many_may_be_changed_alone():
    given = rows(3)
    given[1] = row(flip=1.0, turn=30.0, red=1.5, erase_width=0.3, erase_height=0.3)
    found = transform.apply(NOISE, given, (12, 10))
    # A neighbour that is moved costs the others a rounding error, and not a pixel.
    assert np.array_equal(transform.to_pixels(found)[::2], NOISE[::2])
    assert (found[::2] - planes(NOISE)[::2]).abs().max() < 1e-3
    assert not torch.allclose(found[1], planes(NOISE)[1], atol=1.0)


@pytest.mark.parametrize("std", [1e-3, 1.0, 100.0])
def test_normalizing_by_any_deviation_is_plain_arithmetic(std):
    spec = ImageSpec(12, 10, "squash", 0, "bicubic", (0, 0, 0), (0.0, 0.5, 1.0), (std,) * 3)
    found = transform.normalize(planes(NOISE), spec).double().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, (NOISE / 255 - np.array(spec.mean)) / std, atol=2e-6 / std)


def test_the_strongest_draws_stay_finite_and_within_the_recipe():
    table = draw(MOST, 5, DIGESTS, 4)
    assert np.isfinite(table).all()
    for name in ("width", "height", "red", "green", "blue", "contrast"):
        assert (column(table, name) > 0).all()
    assert (column(table, "flip") == 1).all()
    assert (column(table, "grey") > 0).any()
    assert (column(table, "erase_width") > 0).all()
    assert np.abs(column(table, "turn")).max() > 150


@pytest.mark.parametrize("views", [1, 7])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_images_and_views_can_be_drawn(count, views):
    assert draw(NONE, 0, DIGESTS[:count], views).shape == (count, views, len(COLUMNS))


@pytest.mark.parametrize("seed", [-1, 0, 2**63, 10**30])
def test_any_whole_number_is_a_seed(seed):
    first, again = draw(MOST, seed, DIGESTS[:2], 1), draw(MOST, seed, DIGESTS[:2], 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw(MOST, seed + 1, DIGESTS[:2], 1))
