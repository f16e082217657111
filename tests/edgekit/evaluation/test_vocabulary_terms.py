"""Which labels score a set: every make-up of bundle, set and templates; and the set in the labels' terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.reader import Bundle, open_bundle
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset
from edgekit.evaluation.records import Dataset
from edgekit.evaluation.vocabulary import on_frozen_labels, uses_frozen_labels
from frozen_bundle import NAMES, freeze
from small_sets import picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", name="bundles")
def _bundles(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "plain": open_bundle(tiny_bundle),
        "closed": open_bundle(freeze(folder / "closed.edge")),
        "kept": open_bundle(freeze(folder / "kept.edge", keep_text=True)),
    }


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("set")
    for number, name in enumerate(NAMES * 2):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{number}.png").write_bytes(picture(number))
    return open_dataset(folder)


SETS: dict[str, dict[str, Any]] = {
    "known": {"texts": ("rocket", "dog", "cat", "cup of coffee")},
    "unknown": {"texts": ("rocket", "dog", "cat", "cow")},
    "captions": {"task": "retrieval"},
    "bare": {"task": "unlabelled", "texts": (), "targets": ((),) * 8},
}
WANTED = {
    ("plain", "known"): False,
    ("plain", "unknown"): False,
    ("plain", "captions"): False,
    ("plain", "bare"): False,
    ("closed", "known"): True,
    ("closed", "unknown"): "its classes 'cow' are not among the 4 labels frozen into",
    ("closed", "captions"): "holds captions, and .* has no text tower",
    ("closed", "bare"): True,
    ("kept", "known"): True,
    ("kept", "unknown"): False,
    ("kept", "captions"): False,
    ("kept", "bare"): False,
}


@pytest.mark.parametrize(("kind", "data"), WANTED, ids=["-".join(case) for case in WANTED])
def test_each_bundle_scores_each_set_in_one_way(
    bundles: dict[str, Bundle], dataset: Dataset, kind: str, data: str
) -> None:
    given_, wanted = replace(dataset, **SETS[data]), WANTED[kind, data]
    if isinstance(wanted, str):
        with pytest.raises(InputError, match=wanted):
            uses_frozen_labels(bundles[kind], given_, None)
    else:
        assert uses_frozen_labels(bundles[kind], given_, None) == wanted


@pytest.mark.parametrize("data", SETS)
def test_templates_ask_for_a_text_tower(bundles: dict[str, Bundle], dataset: Dataset, data: str) -> None:
    given_ = replace(dataset, **SETS[data])
    assert not uses_frozen_labels(bundles["kept"], given_, ["a {}"])
    assert not uses_frozen_labels(bundles["plain"], given_, ["a {}"])
    if data == "known":
        with pytest.raises(InputError, match="its labels' templates are frozen; leave templates out"):
            uses_frozen_labels(bundles["closed"], given_, ["a {}"])


@pytest.mark.parametrize(("count", "more"), [(1, False), (5, False), (6, True)])
def test_unknown_classes_are_listed_up_to_a_few(
    bundles: dict[str, Bundle], dataset: Dataset, count: int, more: bool
) -> None:
    names = tuple(f"x{i}" for i in range(count))
    with pytest.raises(InputError) as caught:
        uses_frozen_labels(bundles["closed"], replace(dataset, texts=(*NAMES, *names)), None)
    listed = ", ".join(map(repr, names[:5])) + (", …" if more else "")
    assert f"its classes {listed} are not among" in str(caught.value)
    assert str(caught.value).endswith("evaluate the full bundle, or rename the classes")


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(NAMES))
def test_targets_follow_their_labels_whatever_the_order(
    bundles: dict[str, Bundle], dataset: Dataset, order: list[str]
) -> None:
    place = {name: number for number, name in enumerate(order)}
    turned = tuple(tuple(place[dataset.texts[i]] for i in target) for target in dataset.targets)
    moved = on_frozen_labels(bundles["closed"], replace(dataset, texts=tuple(order), targets=turned))
    assert moved.texts == NAMES
    assert [NAMES[i] for (i,) in moved.targets] == [dataset.texts[i] for (i,) in dataset.targets]
    # The same images with the same labels are the same set, however its classes were listed.
    assert moved.digest == on_frozen_labels(bundles["closed"], dataset).digest


@pytest.mark.parametrize("data", ["captions", "bare"])
@pytest.mark.parametrize("kind", ["plain", "closed", "kept"])
def test_other_sets_are_left_as_they_are(bundles: dict[str, Bundle], dataset: Dataset, kind: str, data: str) -> None:
    given_ = replace(dataset, **SETS[data])
    assert on_frozen_labels(bundles[kind], given_) is given_
    assert on_frozen_labels(bundles["plain"], dataset) is dataset
