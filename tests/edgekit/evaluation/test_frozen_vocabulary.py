"""Evaluating a bundle whose labels are frozen: as the app scores, tuned heads included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit.bundle.manifest import Tolerance
from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset
from edgekit.evaluation.run import evaluate
from edgekit.evaluation.vocabulary import on_frozen_labels, uses_frozen_labels
from frozen_bundle import NAMES, freeze
from small_sets import picture

if TYPE_CHECKING:
    from edgekit.bundle.label_records import HeadKind
    from edgekit.bundle.manifest import Manifest
    from edgekit.evaluation.records import Dataset

CLASSES = ("rocket", "cat")


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("set")
    for number in range(12):
        home = folder / CLASSES[number % 2]
        home.mkdir(exist_ok=True)
        (home / f"{number}.png").write_bytes(picture(number))
    return open_dataset(folder)


def _lenient(manifest: Manifest) -> Manifest:
    variants = tuple(
        replace(v, image=replace(v.image, tolerance=Tolerance(-1, -1))) if v.id == "wrong" else v
        for v in manifest.variants
    )
    return replace(manifest, variants=variants)


@pytest.mark.parametrize("head", [None, "ridge", "cache"], ids=str)
def test_the_figures_are_those_of_classify(tmp_path: Path, dataset: Dataset, head: HeadKind | None) -> None:
    path = freeze(tmp_path / "a.edge", head=head)
    report = evaluate(open_bundle(path), dataset)
    (outcome,) = report.evaluated
    with edgekit.load(path) as clip:
        found = clip.classify_many([item.path for item in dataset.items])
    right = [dataset.texts[target[0]] == one.best.label for one, target in zip(found, dataset.targets, strict=True)]
    assert outcome.metrics[0].found.value == pytest.approx(np.mean(right))
    assert report.texts == len(NAMES)
    assert report.templates == ()
    assert report.labels == f"4 frozen, {head or 'no'} head"
    assert f"labels: 4 frozen, {head or 'no'} head" in str(report)


def test_a_head_of_its_own_ranks_in_the_comparison(tmp_path: Path, dataset: Dataset) -> None:
    path = freeze(tmp_path / "a.edge", head="ridge", variants=("fp32", "wrong"), change=_lenient)
    report = evaluate(open_bundle(path), dataset)
    _, second = report.evaluated
    assert second.fidelity is not None
    with edgekit.load(path, variant="fp32") as clip:
        wanted = [one.best.label for one in clip.classify_many([item.path for item in dataset.items])]
    with edgekit.load(path, variant="wrong") as clip:
        found = [one.best.label for one in clip.classify_many([item.path for item in dataset.items])]
    same = np.mean([one == other for one, other in zip(found, wanted, strict=True)])
    assert second.fidelity.image_to_text.top1.value == pytest.approx(same)


def test_all_frozen_labels_compete(tmp_path: Path, dataset: Dataset) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge"))
    moved = on_frozen_labels(bundle, dataset)
    assert moved.texts == NAMES
    assert [NAMES[target[0]] for target in moved.targets] == [dataset.texts[target[0]] for target in dataset.targets]
    assert moved.digest != dataset.digest
    assert moved.items == dataset.items


def test_what_cannot_be_scored_is_told(tmp_path: Path, dataset: Dataset) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge"))
    other = replace(dataset, texts=("rocket", "cow"))
    with pytest.raises(InputError, match="its classes 'cow' are not among the 4 labels"):
        uses_frozen_labels(bundle, other, None)
    with pytest.raises(InputError, match="leave templates out"):
        uses_frozen_labels(bundle, dataset, ["a {}"])
    with pytest.raises(InputError, match="holds captions"):
        uses_frozen_labels(bundle, replace(dataset, task="retrieval"), None)
    with pytest.raises(InputError, match="not among the 4 labels"):
        evaluate(bundle, other)


def test_a_kept_tower_is_used_for_other_texts(tmp_path: Path, dataset: Dataset, tiny_bundle: Path) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge", keep_text=True))
    other = replace(dataset, texts=("rocket", "a red car"))
    assert uses_frozen_labels(bundle, dataset, None)
    assert not uses_frozen_labels(bundle, dataset, ["a {}"])
    assert not uses_frozen_labels(bundle, other, None)
    assert not uses_frozen_labels(open_bundle(tiny_bundle), dataset, None)
    report = evaluate(bundle, other)
    assert report.labels == ""
    assert report.templates == ("a photo of {}",)
    assert report.evaluated[0].metrics == evaluate(open_bundle(tiny_bundle), other).evaluated[0].metrics


def test_images_without_labels_compare_the_variants(tmp_path: Path, dataset: Dataset) -> None:
    bundle = open_bundle(freeze(tmp_path / "a.edge", variants=("fp32", "static")))
    plain = replace(dataset, task="unlabelled", texts=(), targets=((),) * len(dataset.items))
    report = evaluate(bundle, plain)
    assert [outcome.metrics for outcome in report.evaluated] == [(), ()]
    agreement = report.evaluated[1].fidelity
    assert agreement is not None
    assert agreement.image_to_text.top1.value == 1


def test_a_broken_photo_is_left_out(tmp_path: Path) -> None:
    for number, name in enumerate((*CLASSES, *CLASSES)):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name / f"{number}.png").write_bytes(picture(number) if number else b"no picture")
    report = evaluate(open_bundle(freeze(tmp_path / "a.edge", head="cache")), open_dataset(tmp_path / "set"))
    assert (report.images, report.texts, len(report.skipped)) == (3, len(NAMES), 1)
    assert report.evaluated[0].metrics[0].found.n == 3


def test_bytes_are_evaluated_here(tmp_path: Path, dataset: Dataset) -> None:
    path = freeze(tmp_path / "a.edge", head="ridge")
    here, apart = evaluate(open_bundle(path.read_bytes()), dataset), evaluate(open_bundle(path), dataset)
    assert here.evaluated[0].metrics == apart.evaluated[0].metrics
    assert tiny.DIMENSION == 16
