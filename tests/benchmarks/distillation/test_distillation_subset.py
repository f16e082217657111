"""The labelled images of a recipe as a set of their own: the right ones, whole, and never those of another study."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import distill_kit as kit
from edgekit.benchmarks.distillation import arms, recipes, subset
from edgekit.benchmarks.distillation.records import Setting
from edgekit.converters.distill.data.sets import collect
from edgekit.evaluation.datasets import open_dataset

if TYPE_CHECKING:
    from edgekit.converters.distill.recipe import DataSpec


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three vendors' pictures of the same things, no two alike."""
    folder = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(("noto", "twemoji", "fluent")):
        kit.pictures(folder / name, each=5, side=12 + number)
    return folder


def setting(sets: Path, held_out: str, few: float = 0.5) -> Setting:
    names = [name for name in ("noto", "twemoji", "fluent") if name != held_out]
    return Setting("t.edge", tuple(str(sets / name) for name in names), str(sets / held_out), few=few)


def alone(given: Setting, folder: Path, seed: int = 0) -> DataSpec:
    """The data of the student that learns from the few labelled images and nothing else."""
    arm = next(arm for arm in arms.baselines(given) if arm.alone)
    return recipes.recipe_of(given, arm, seed, folder).data


def digests(data: DataSpec) -> set[str]:
    found = collect(data)
    assert found
    assert all(found.labelled)
    return {item.sha256 for item in found.train.items}


def labelled(given: Setting, folder: Path, seed: int = 0) -> set[str]:
    """What the distilled student of the same question may use the labels of."""
    found = collect(recipes.recipe_of(given, arms.distilled(given)[1], seed, folder).data)
    assert found
    return {item.sha256 for item, may in zip(found.train.items, found.labelled, strict=True) if may}


def test_a_study_that_holds_out_another_vendor_learns_from_its_own_images(sets: Path, tmp_path: Path) -> None:
    """In one folder of work, one study after the other."""
    first, second = setting(sets, "noto"), setting(sets, "fluent")
    assert digests(alone(first, tmp_path)) == labelled(first, tmp_path)
    assert digests(alone(second, tmp_path)) == labelled(second, tmp_path)
    held = {item.sha256 for item in open_dataset(sets / "fluent").items}
    assert not digests(alone(second, tmp_path)) & held
    # The first one's are still there as they were.
    assert digests(alone(first, tmp_path)) == labelled(first, tmp_path)


def test_other_seeds_and_shares_are_other_images(sets: Path, tmp_path: Path) -> None:
    given = [setting(sets, "noto", few) for few in (0.4, 0.6)]
    found = [digests(alone(one, tmp_path, seed)) for one in given for seed in (0, 1)]
    assert len(set(map(frozenset, found))) == 4
    # A larger share holds the smaller one's: a label that was given is not taken away.
    assert found[0] < found[2]
    assert found[1] < found[3]


def test_the_same_student_asks_for_the_same_folder(sets: Path, tmp_path: Path) -> None:
    given = setting(sets, "noto")
    assert alone(given, tmp_path).images == alone(replace(given, steps=9, rate=1.0), tmp_path).images


def test_a_copy_that_was_interrupted_is_completed(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = recipes.recipe_of(setting(sets, "noto"), arms.distilled(setting(sets, "noto"))[1], 0, tmp_path).data
    write, written = subset.write_bytes, []

    def failing(path: Path, content: bytes) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(subset, "write_bytes", failing)
        with pytest.raises(KeyboardInterrupt):
            subset.labelled_only(data, tmp_path / "some")
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == sorted(written)
    whole = subset.labelled_only(data, tmp_path / "other")
    assert subset.labelled_only(data, tmp_path / "some") == tmp_path / "some"
    for name in ("some", "other"):
        rows = list(csv.reader((tmp_path / name / "labels.csv").open(encoding="utf-8")))
        files = {path.name for path in (tmp_path / name).iterdir()} - {"labels.csv"}
        assert {row[0] for row in rows[1:]} == files
    assert sorted(p.name for p in whole.iterdir()) == sorted(p.name for p in (tmp_path / "some").iterdir())


def test_every_image_keeps_its_label_and_its_bytes(sets: Path, tmp_path: Path) -> None:
    given = setting(sets, "noto")
    found = open_dataset(Path(alone(given, tmp_path).images[0]))
    known = {
        item.sha256: dataset.texts[target[0]]
        for dataset in map(open_dataset, map(Path, given.train))
        for item, target in zip(dataset.items, dataset.targets, strict=True)
    }
    assert len(found.items) > 5
    for item, target in zip(found.items, found.targets, strict=True):
        assert found.texts[target[0]] == known[item.sha256]
