"""What workers share says what edgekit itself says, and needs nothing of edgekit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgekit.adapting import unit_rows
from edgekit.converters.targets import worker_tools
from edgekit.fidelity import agreement


@pytest.fixture
def pair():
    """Unit rows of a model, and the same with some noise."""
    random = np.random.default_rng(0)
    reference = unit_rows(random.normal(size=(9, 16)) + 2).astype(np.float32)
    return unit_rows(reference + random.normal(scale=0.05, size=reference.shape)).astype(np.float32), reference


def test_the_figure_is_edgekits_own(pair) -> None:
    rows, reference = pair
    expected = agreement(rows, reference).centred_mean
    assert 0.5 < expected < 0.999
    assert worker_tools.centred(rows, reference) == pytest.approx(expected, abs=1e-6)


def test_the_length_of_rows_does_not_matter(pair) -> None:
    rows, reference = pair
    longer = rows * np.linspace(0.1, 40, len(rows), dtype=np.float32)[:, None]
    assert worker_tools.centred(longer, reference) == pytest.approx(worker_tools.centred(rows, reference), abs=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_a_number_is_the_least(pair, wrong) -> None:
    rows, reference = pair
    rows[3, 2] = wrong
    assert worker_tools.centred(rows, reference) == -1


def test_rows_of_zeros_are_no_error(pair) -> None:
    rows, reference = pair
    assert -1 <= worker_tools.centred(np.zeros_like(rows), reference) < 0.5


def test_arrays_come_back_as_they_were_in_c_order(tmp_path) -> None:
    worker_tools.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3).T)
    found = worker_tools.load(str(tmp_path / "a.npy"))
    assert found.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found.flags.c_contiguous


def test_no_pickle_is_read(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        worker_tools.load(tmp_path / "a.npy")


def test_nothing_of_edgekit_is_imported() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); "
        "sys.exit(any(name.split('.')[0] == 'edgekit' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code, worker_tools.__file__], check=True)
