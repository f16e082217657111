"""What workers share says what edgekit itself says, and needs nothing of edgekit."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.adapting import unit_rows
from edgekit.converters.targets import catalog, worker_tools
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


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 12), st.sampled_from([0, 0.1, 1, 30]))
@settings(deadline=None, max_examples=60)
def test_any_rows_are_judged_as_edgekit_judges_them(seed, n, width, noise) -> None:
    """One row as well, which has no mean to be centred by."""
    random = np.random.default_rng(seed)
    reference = unit_rows(random.normal(size=(n, width)) + 3 * random.normal(size=width))
    rows = reference + noise * random.normal(size=reference.shape)
    rows *= random.uniform(0.01, 100, (n, 1))
    expected = agreement(unit_rows(rows), reference).centred_mean
    assert worker_tools.centred(rows.astype(np.float32), reference) == pytest.approx(expected, abs=1e-5)


def _tools_workers() -> list[Path]:
    """Workers of toolchains have ``run(job)``; those that are edgekit's own children have ``main(folder)``."""
    found = sorted(Path(worker_tools.__file__).parent.glob("*_worker.py"))
    return [path for path in found if "\ndef run(job: Job)" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", _tools_workers(), ids=lambda path: path.stem)
def test_workers_import_nothing_of_edgekit(path) -> None:
    """It is not installed there; annotations, which nobody evaluates, may name it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = [one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING"]
    for_types = {id(inner) for one in guarded for inner in ast.walk(one)}
    names = []
    for one in ast.walk(tree):
        if id(one) not in for_types and isinstance(one, ast.Import | ast.ImportFrom):
            names += [one.module] if isinstance(one, ast.ImportFrom) else [alias.name for alias in one.names]
    assert "__future__" in names
    assert not [name for name in names if name.split(".")[0] == "edgekit"]


def test_every_toolchain_that_a_target_names_has_a_worker() -> None:
    assert {path.stem for path in _tools_workers()} >= {
        f"{target.toolchain}_worker" for target in catalog.targets().values() if target.toolchain
    }
