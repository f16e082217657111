"""Parameters of views: a pure function of seed, content and number, within the bounds of the recipe."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data.parameters import COLUMNS, IDENTITY, NONE, draw
from edgekit.converters.distill.recipe import Augmentation

DIGESTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
STRONG = Augmentation(0.5, 0.5, 0.3, 0.2, 30.0, 0.4, 0.4, 0.5, 0.5)


def column(rows, name):
    return rows[..., COLUMNS.index(name)]


def test_shape_and_type():
    rows = draw(Augmentation(), 0, DIGESTS[:5], 3)
    assert rows.shape == (5, 3, len(COLUMNS))
    assert rows.dtype == np.float32


def test_no_augmentation_changes_nothing():
    rows = draw(NONE, 7, DIGESTS[:9], 2)
    assert (rows == np.array(IDENTITY, np.float32)).all()


def test_none_has_every_amount_zero():
    assert all(getattr(NONE, field.name) == 0 for field in fields(Augmentation))


@given(seed=st.integers(0, 2**31), first=st.integers(0, 150), count=st.integers(1, 6), views=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_a_view_depends_on_nothing_but_seed_content_and_number(seed, first, count, views):
    whole = draw(STRONG, seed, DIGESTS[: first + count], views)
    alone = draw(STRONG, seed, DIGESTS[first : first + count], views)
    assert np.array_equal(whole[first:], alone)
    # More views leave the first ones as they were.
    assert np.array_equal(draw(STRONG, seed, DIGESTS[first : first + count], views + 1)[:, :views], alone)


def test_another_seed_content_or_number_gives_another_view():
    rows = draw(STRONG, 0, DIGESTS[:2], 2).reshape(4, -1)
    other = draw(STRONG, 1, DIGESTS[:2], 2).reshape(4, -1)
    for one in range(4):
        for two in range(4):
            assert one == two or not np.array_equal(rows[one], rows[two])
            assert not np.array_equal(rows[one], other[two])


@given(
    amounts=st.tuples(
        st.floats(0, 1), st.floats(0, 2), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 180),
        st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1),
    ),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_amounts_stay_within_the_recipe(amounts, seed):
    given_ = Augmentation(*amounts)
    rows = draw(given_, seed, DIGESTS[:20], 2).astype(np.float64)
    slack = 1e-5
    assert set(np.unique(column(rows, "flip"))) <= {0.0, 1.0}
    size = np.sqrt(column(rows, "width") * column(rows, "height"))
    ratio = column(rows, "width") / column(rows, "height")
    for values, most in ((size, given_.zoom), (ratio, given_.stretch)):
        assert (np.abs(np.log(values)) <= np.log1p(most) + slack).all()
    for name in ("shift_x", "shift_y"):
        assert (np.abs(column(rows, name)) <= given_.shift + slack).all()
    assert (np.abs(column(rows, "turn")) <= given_.turn + slack).all()
    for name in ("red", "green", "blue"):
        assert (np.abs(np.log(column(rows, name))) <= np.log1p(given_.brightness) + slack).all()
    assert (np.abs(np.log(column(rows, "contrast"))) <= np.log1p(given_.contrast) + slack).all()
    assert ((column(rows, "grey") >= 0) & (column(rows, "grey") <= 1)).all()
    for place, length in (("erase_x", "erase_width"), ("erase_y", "erase_height")):
        assert (column(rows, length) <= 1 / 3 + slack).all()
        assert (column(rows, place) >= 0).all()
        assert (column(rows, place) + column(rows, length) <= 1 + slack).all()


@pytest.mark.parametrize("name", ["flip", "grey", "erase"])
def test_chances_are_those_of_the_recipe(name):
    shown = {"erase": "erase_width"}.get(name, name)
    for chance in (0.0, 0.25, 1.0):
        rows = draw(replace(NONE, **{name: chance}), 3, DIGESTS, 5)
        found = (column(rows, shown) > 0).mean()
        assert abs(found - chance) < 0.06


def test_draws_of_different_amounts_are_unrelated():
    rows = draw(STRONG, 0, DIGESTS, 5).reshape(1000, -1)
    varied = [name for name in COLUMNS if not name.startswith(("erase", "grey"))]
    table = np.stack([column(rows, name) for name in varied])
    # Width and height share the zoom.
    kept = [row for row, name in enumerate(varied) if name != "height"]
    correlation = np.corrcoef(table[kept]) - np.eye(len(kept))
    assert np.abs(correlation).max() < 0.15


def test_zoom_is_even_on_a_logarithmic_scale():
    rows = draw(replace(NONE, zoom=1.0), 0, DIGESTS, 5)
    values = np.log2(column(rows, "width"))
    assert abs(values.mean()) < 0.06
    assert abs((values < -0.5).mean() - 0.25) < 0.05
