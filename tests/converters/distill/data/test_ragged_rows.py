"""Rows of different lengths on the disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data import ragged
from edgekit.converters.distill.data.ragged import Ragged

ROWS = st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=12)


@given(rows=ROWS)
@settings(deadline=None, max_examples=50)
def test_rows_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("ragged")
    ragged.write(folder, "r", rows)
    found = Ragged(folder, "r")
    assert len(found) == len(rows)
    assert [found[number].tolist() for number in range(len(found))] == rows


def test_padded_to_the_longest_that_was_asked_for(tmp_path):
    ragged.write(tmp_path, "r", [[1, 2, 3], [4], [], [5, 6]])
    rows = Ragged(tmp_path, "r")
    assert rows.padded([1, 3], 9).tolist() == [[4, 9], [5, 6]]
    assert rows.padded([0, 2], 0).tolist() == [[1, 2, 3], [0, 0, 0]]
    assert rows.padded([1], 0).dtype == np.int64


@pytest.mark.parametrize(("rows", "shape"), [([], (0, 1)), ([2], (1, 1))], ids=["no row", "an empty row"])
def test_a_table_has_a_column_at_least(tmp_path, rows, shape):
    ragged.write(tmp_path, "r", [[1, 2, 3], [4], []])
    found = Ragged(tmp_path, "r").padded(rows, 7)
    assert found.shape == shape
    assert (found == 7).all()


def test_rows_are_mapped(tmp_path):
    ragged.write(tmp_path, "r", [[1], [2]])
    assert isinstance(Ragged(tmp_path, "r")._values, np.memmap)


def test_nothing_is_left_beside_the_files(tmp_path):
    ragged.write(tmp_path, "r", [[1]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.ends.npy", "r.values.npy"]
