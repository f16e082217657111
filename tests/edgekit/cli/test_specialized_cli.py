"""Every command on a bundle whose labels are frozen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cli_runner import fails, run
from frozen_bundle import NAMES, freeze

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", name="closed")
def _closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return freeze(tmp_path_factory.mktemp("frozen") / "closed.edge", head="ridge")


def test_inspect_shows_the_labels(closed: Path) -> None:
    shown = run("inspect", closed).stdout
    assert "texts      none: no text tower" in shown
    assert "labels     4 frozen: cat, dog, cup of coffee, rocket" in shown
    assert "head       ridge, from 6 examples of set: 75.0% right in cross-validation, 50.0% without it" in shown
    assert "    text  " not in shown
    assert json.loads(run("inspect", closed, "--json").stdout)["labels"]["names"] == list(NAMES)


def test_verify_proves_the_labels(closed: Path) -> None:
    shown = run("verify", closed).stdout
    assert "labels     4 frozen, scores at most" in shown
    assert "token ids" not in shown
    assert shown.endswith("PASSED\n")
    assert json.loads(run("verify", closed, "--json").stdout)["labels"] == 4


def test_classify_takes_the_frozen_labels(closed: Path, photos: list[Path]) -> None:
    found = json.loads(run("classify", closed, photos[0], "--json").stdout)
    assert sorted(label["label"] for label in found[0]["labels"]) == sorted(NAMES)
    some = json.loads(run("classify", closed, photos[0], "--label", "cat", "--label", "dog", "--json").stdout)
    assert sum(label["score"] for label in some[0]["labels"]) == pytest.approx(1)


def test_classify_tells_that_the_vocabulary_is_closed(closed: Path, photos: list[Path]) -> None:
    assert "'cow' is not among the bundle's 4 frozen labels" in fails("classify", closed, photos[0], "--label", "cow")
    assert "leave templates out" in fails("classify", closed, photos[0], "--template", "a {}")


def test_classify_still_wants_labels_of_other_bundles(tiny_bundle: Path, photos: list[Path]) -> None:
    assert "no labels; give --label" in fails("classify", tiny_bundle, photos[0])


def test_embed_takes_photos_and_refuses_texts(closed: Path, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "rows.npz"
    run("embed", closed, photos[0], "-o", out)
    with np.load(out) as stored:
        assert stored["kinds"].tolist() == ["image"]
    assert "has no text tower" in fails("embed", closed, photos[0], "--text", "a cat", "-o", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def test_tune_measures_what_there_is(closed: Path) -> None:
    arguments = ("tune", closed, "--minutes", "0.2", "--threads-list", "1")
    assert json.loads(run(*arguments, "--json").stdout)["chosen"]["cost"]["towers"].keys() == {"image"}
    assert "has no text tower" in fails(*arguments, "--towers", "text")


def test_quantize_says_what_to_do_first(closed: Path, tmp_path: Path) -> None:
    told = fails("quantize", closed, "-o", tmp_path / "q.edge")
    assert "quantize the full bundle first, then specialize" in told
    assert list(tmp_path.iterdir()) == []
