"""The study as a whole: it goes on where it was ended, and asks of every student what the question needs."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch  # noqa: F401  # first, so that its threads are set by the environment of this process alone
from hypothesis import given, settings
from hypothesis import strategies as st

import distill_kit as kit
import tiny_bundle as tiny
from edgekit.benchmarks.distillation import arms, runs, study
from edgekit.benchmarks.distillation.records import Arm, Point, Run, Setting
from edgekit.converters.distill import work
from edgekit.converters.distill.losses.table import LOSSES
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("study")
    tiny.build(folder / "teacher.edge")
    kit.pictures(folder / "pictures", each=4, side=12)
    kit.pictures(folder / "others", each=2, side=14)
    return Setting(
        teacher=str(folder / "teacher.edge"),
        train=(str(folder / "pictures"),),
        held_out=str(folder / "others"),
        few=0.5,
        seeds=(0, 1),
        loss_seeds=(0,),
    )


def made(arm: Arm, seed: int) -> Run:
    return Run(arm, seed, 40, 5.4, 2.0, 160.0, 30, 30, 900, (Point(40, 2.0, 0.5),), 0.1, 12, 0.6, 2.0, "0" * 64)


class Trainer:
    """Stands in for the trainings, which take minutes; the figures are kept as they always are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: Counter[str] = Counter()
        self.failing = ""
        self._lock = threading.Lock()
        monkeypatch.setattr(runs, "prepare", self._prepare)
        monkeypatch.setattr(runs, "train", self._train)
        monkeypatch.setattr(runs, "read", lambda home, arm, seed: made(arm, seed))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def _prepare(self, recipe: Any, out: Path) -> Path:
        home = work.folder_of(out)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _train(self, home: Path, processes: int = 1) -> None:
        with self._lock:
            self.trained[home.name] += 1
        if self.failing and self.failing in home.name:
            raise ConversionError(f"{home}: the training was ended by SIGKILL")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_study_that_was_ended_goes_on_and_trains_nobody_twice(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    trainer = Trainer(monkeypatch)
    trainer.failing = "few-labels-labels-alone-cpu-1"
    with pytest.raises(ConversionError, match="SIGKILL"):
        study.study(setting, tmp_path, lambda stage: None, parts=["questions"], workers=workers)
    done = {name for name, _ in trainer.trained.items() if trainer.failing not in name}
    trainer.failing = ""
    found = study.study(setting, tmp_path, lambda stage: None, parts=["questions"], workers=workers)
    assert len(found.runs) == len(trainer.trained) == 2 * 6
    # Two of the distilled, four from labels alone, each of two seeds; what had ended before is taken.
    assert {name: n for name, n in trainer.trained.items() if name in done} == dict.fromkeys(done, 1)
    again = dict(trainer.trained)
    assert study.study(setting, tmp_path, lambda stage: None, parts=["questions"], workers=1).runs == found.runs
    assert dict(trainer.trained) == again


def test_students_of_equal_time_get_what_the_distilled_ones_took(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5.4 s of training and 2 s of the teacher's embeddings, in whole seconds."""
    budgets: list[tuple[float, int]] = []
    trainer = Trainer(monkeypatch)

    def prepare(recipe: Any, out: Path) -> Path:
        budgets.append((recipe.training.cpu_seconds, recipe.training.steps))
        return trainer._prepare(recipe, out)

    monkeypatch.setattr(runs, "prepare", prepare)
    study.study(setting, tmp_path, lambda stage: None, parts=["questions"], workers=1)
    timed = [seconds for seconds, steps in budgets if not steps]
    assert timed == [7.0] * (2 * 2)
    assert {seconds for seconds, steps in budgets if steps} == {0.0}


NAMES = st.lists(st.sampled_from(sorted(LOSSES)), min_size=1, max_size=3, unique=True)


@settings(deadline=None, max_examples=40)
@given(NAMES, st.floats(0.25, 8), st.floats(0.05, 0.9))
def test_the_arms_of_any_setting_can_be_told_apart(names: list[str], weight: float, few: float) -> None:
    losses = tuple((name, weight) for name in names)
    given_ = Setting("t.edge", ("a",), "b", few=few, losses=losses, full_losses=losses)
    everyone = [*arms.distilled(given_), *arms.baselines(given_), *arms.losses(given_)]
    # A row of a table is known by these.
    assert len({(arm.question, arm.name, arm.budget) for arm in everyone}) == len(everyone)
    assert {arm.labelled for arm in everyone} == {1.0, few}
    for arm in everyone:
        taught = any(LOSSES[name].teacher for name, _ in arm.losses)
        # Who has a teacher learns from every image, labelled or not.
        assert not (arm.alone and taught and arm.question == "losses")
        assert (arm.steps == 0) == (arm.budget == "cpu")
    combined = [arm for arm in arms.losses(given_) if len(arm.losses) > 1 or arm.losses[0][1] != 1]
    assert [arm.losses for arm in combined] == ([losses] if len(losses) > 1 or weight != 1 else [])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(LOSSES)), st.sampled_from([1.0, 0.5, 2.0, 0.125])), min_size=1, max_size=4
    )
)
def test_losses_are_written_as_they_are_weighed(weights: list[tuple[str, float]]) -> None:
    text = arms.written(weights)
    read = [part.rpartition(" ") for part in text.split(" + ")]
    assert [(name, float(number or 1)) for number, _, name in read] == weights


def test_seeds_change_the_seed_and_nothing_else_of_a_student(setting: Setting, tmp_path: Path) -> None:
    from edgekit.benchmarks.distillation import recipes

    arm = arms.distilled(setting)[0]
    first, second = (recipes.recipe_of(setting, arm, seed, tmp_path) for seed in (0, 1))
    assert first != second
    unseeded = [
        replace(recipe, data=replace(recipe.data, seed=0), training=replace(recipe.training, seed=0))
        for recipe in (first, second)
    ]
    assert unseeded[0] == unseeded[1]
