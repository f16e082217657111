"""The study of distillation end to end on a few small pictures, and how it puts its parts together."""

from __future__ import annotations

import csv
import json
import sys
import threading
from dataclasses import replace

import pytest
import torch  # noqa: F401  # first, so that its threads are set by the environment of this process alone

import distill_kit as kit
import tiny_bundle as tiny
from edgekit.benchmarks.distillation import arms, recipes, runs, study, subset, trials
from edgekit.benchmarks.distillation.records import Bundled, Point, Resumed, Run, Setting, Shared
from edgekit.converters.distill import recipe_rules, work
from edgekit.converters.distill import run as distilling
from edgekit.converters.distill.data.sets import collect
from edgekit.errors import ConversionError, InputError


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """Thirty pictures to learn from, twelve others to be judged on, and a teacher."""
    folder = tmp_path_factory.mktemp("study")
    tiny.build(folder / "teacher.edge")
    kit.pictures(folder / "pictures")
    kit.pictures(folder / "others", each=4, side=24)
    return Setting(
        teacher=str(folder / "teacher.edge"),
        train=(str(folder / "pictures"),),
        held_out=str(folder / "others"),
        width=4,
        size=16,
        steps=40,
        few_steps=40,
        loss_steps=40,
        batch=8,
        views=2,
        few=0.5,
        seeds=(0,),
        loss_seeds=(0,),
        losses=(("feature", 1.0),),
    )


def result(arm, seed, recall=0.5, **changed):
    """A run as `runs.run` gives it."""
    facts = Run(arm, seed, 40, 2.0, 2.0, 160.0, 30, 30, 900, (Point(40, 2.0, recall),), 0.1, 12, 0.6, 1.0, "0" * 64)
    return replace(facts, **changed)


def test_a_student_is_trained_once_and_a_killed_one_becomes_the_same(setting, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arm = arms.distilled(setting)[1]
    found = runs.run(setting, arm, 0, tmp_path)
    assert (found.arm, found.seed, found.steps, found.n) == (arm, 0, 40, 12)
    assert found.images == 30
    assert 0 < found.labelled < 30
    assert [point.step for point in found.curve] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert found.cpu_seconds > 0
    assert found.embedding_cpu > 0
    assert 0 <= found.teacher <= 1
    home = next(tmp_path.glob("few-labels-distilled-steps-0-*.distill"))
    assert not (home / "data").exists()
    assert json.loads((home / runs.RESULT).read_text())["steps"] == 40

    killed, again = trials.resumed(setting, found, tmp_path)
    assert 0 < killed.killed_at < 40
    assert killed.same
    assert killed.recall_at_1 == killed.uninterrupted == found.recall_at_1
    assert again.weights == found.weights

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(runs, "run_child", never)
    assert runs.run(setting, arm, 0, tmp_path) == found


def test_a_training_that_ends_before_it_is_killed_is_told(setting, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "prepare", lambda recipe, out: tmp_path)
    monkeypatch.setattr(trials, "_WORKER", "platform")  # a module that ends at once
    with pytest.raises(ConversionError, match="before it could be killed"):
        trials.resumed(setting, result(arms.distilled(setting)[0], 0), tmp_path)


@pytest.mark.parametrize("part", ["distilled", "baselines", "losses"])
def test_every_arm_gives_a_recipe_that_the_command_would_take(setting, tmp_path, part):
    for arm in getattr(arms, part)(setting):
        recipe = recipes.recipe_of(setting, arm, 1, tmp_path, cpu_seconds=7.0)
        assert list(recipe_rules.problems(recipe)) == []
        assert (recipe.training.seed, recipe.data.seed) == (1, 1)
        bounds = (recipe.training.steps, recipe.training.cpu_seconds)
        assert bounds == ((40, 0.0) if arm.budget == "steps" else (0, 7.0))
        assert recipe.losses == dict(arm.losses)
        assert recipe.student.text is None


def test_those_who_learn_alone_get_exactly_the_labelled_images(setting, tmp_path):
    taught, alone = arms.distilled(setting)[1], arms.baselines(setting)[2]
    with_teacher = collect(recipes.recipe_of(setting, taught, 0, tmp_path).data)
    by_itself = collect(recipes.recipe_of(setting, alone, 0, tmp_path).data)
    chosen = {
        item.sha256: with_teacher.train.texts[target[0]]
        for item, target, may in zip(
            with_teacher.train.items, with_teacher.train.targets, with_teacher.labelled, strict=True
        )
        if may
    }
    train = by_itself.train
    found = {item.sha256: train.texts[target[0]] for item, target in zip(train.items, train.targets, strict=True)}
    assert found == chosen
    assert all(by_itself.labelled)
    assert by_itself.validation.digest == with_teacher.validation.digest


def test_a_complete_subset_is_taken_as_it_is_and_an_empty_one_refused(setting, tmp_path):
    data = recipes.recipe_of(setting, arms.distilled(setting)[1], 0, tmp_path).data
    folder = subset.labelled_only(data, tmp_path / "some")
    rows = list(csv.reader((folder / "labels.csv").open()))
    assert rows[0] == ["path", "label"]
    (folder / rows[1][0]).unlink()
    subset.labelled_only(data, folder)
    assert not (folder / rows[1][0]).exists()
    with pytest.raises(InputError, match=r"data\.labelled: 0\.0 leaves no image"):
        subset.labelled_only(replace(data, labelled=0.0), tmp_path / "none")


def test_students_of_different_recipes_have_different_folders(setting, tmp_path):
    found = set()
    for arm in (*arms.distilled(setting), *arms.baselines(setting), *arms.losses(setting)):
        for seed in (0, 1):
            found.add(runs.place(tmp_path, arm, seed, recipes.recipe_of(setting, arm, seed, tmp_path)).name)
    assert len(found) == 2 * (2 + 4 + len(arms.losses(setting)))


def test_a_teacher_that_was_trained_again_under_its_old_name_teaches_other_students(setting, tmp_path):
    """Else what the old one's students reached would be told of the new one."""
    arm = arms.distilled(setting)[0]

    def placed(teacher):
        return runs.place(tmp_path, arm, 0, recipes.recipe_of(replace(setting, teacher=str(teacher)), arm, 0, tmp_path))

    first = placed(setting.teacher)
    again = tiny.build(tmp_path / "teacher.edge", seed=5)
    assert placed(again) != first
    tiny.build(tmp_path / "elsewhere.edge").rename(again)
    assert placed(again) == first
    with pytest.raises(InputError, match=r"no-teacher\.edge"):
        placed(tmp_path / "no-teacher.edge")


def test_a_run_that_was_broken_off_is_trained_and_one_that_ended_is_taken(setting, tmp_path, monkeypatch):
    """What decides is the file of figures, which is written last and whole."""
    arm, trained = arms.distilled(setting)[0], []
    home = work.folder_of(runs.place(tmp_path, arm, 0, recipes.recipe_of(setting, arm, 0, tmp_path)))

    def prepare(recipe, out):
        (home / "data").mkdir(parents=True, exist_ok=True)
        return home

    def train(home, processes=1):
        trained.append(processes)
        if len(trained) == 1:
            raise ConversionError("the training was ended by SIGKILL")

    monkeypatch.setattr(runs, "prepare", prepare)
    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs, "read", lambda home, arm, seed: result(arm, seed, 0.25))
    with pytest.raises(ConversionError, match="SIGKILL"):
        runs.run(setting, arm, 0, tmp_path)
    assert not (home / runs.RESULT).exists()
    assert (home / "data").is_dir()  # what was prepared is there for the next try
    assert runs.run(setting, arm, 0, tmp_path).recall_at_1 == 0.25
    assert not (home / "data").exists()
    assert runs.run(setting, arm, 0, tmp_path).recall_at_1 == 0.25
    assert trained == [1, 1]


def test_figures_that_are_damaged_are_named(setting, tmp_path):
    arm = arms.distilled(setting)[0]
    home = work.folder_of(runs.place(tmp_path, arm, 0, recipes.recipe_of(setting, arm, 0, tmp_path)))
    home.mkdir(parents=True)
    (home / runs.RESULT).write_text('{"arm": 1}')
    with pytest.raises(InputError, match=r"run\.json"):
        runs.run(setting, arm, 0, tmp_path)


@pytest.mark.parametrize("budget", ["steps", "cpu"])
def test_a_student_is_bounded_by_one_thing(setting, tmp_path, budget):
    for arm in arms.baselines(setting):
        if arm.budget == budget:
            training = recipes.recipe_of(setting, arm, 3, tmp_path, cpu_seconds=12.0).training
            assert (training.steps > 0, training.cpu_seconds > 0) == (budget == "steps", budget == "cpu")
            assert training.seed == 3


def test_all_students_of_a_question_see_the_same_pictures_and_judges(setting, tmp_path):
    """Only the losses, the budget and the labels differ: else the comparison would be of something else."""
    given = [recipes.recipe_of(setting, arm, 0, tmp_path) for arm in (*arms.distilled(setting), *arms.losses(setting))]
    assert len({recipe.student for recipe in given}) == 1
    assert len({recipe.teachers for recipe in given}) == 1
    assert len({(recipe.data.validation, recipe.data.views, recipe.data.augmentation) for recipe in given}) == 1
    assert {(recipe.training.batch, recipe.training.rate, recipe.training.evaluate) for recipe in given} == {
        (8, 2e-2, 8)
    }


def test_students_side_by_side_are_no_more_than_the_workers(setting, tmp_path, faked, monkeypatch):
    busy, most, lock, together = [0], [0], threading.Lock(), threading.Barrier(3)
    plain = study.runs.run

    def run(*given):
        with lock:
            busy[0] += 1
            first = most[0] < 3
            most[0] = max(most[0], busy[0])
        if first:  # fewer at a time would wait here for ever
            together.wait(timeout=60)
        found = plain(*given)
        with lock:
            busy[0] -= 1
        return found

    monkeypatch.setattr(study.runs, "run", run)
    found = study.study(setting, tmp_path / "work", lambda stage: None, parts=["losses"], workers=3)
    assert most[0] == 3
    # However they end, the table has them in the order of the arms.
    assert [run.arm for run in found.runs] == arms.losses(setting)


@pytest.fixture
def faked(monkeypatch):
    """Runs and trials that take no time, and a list of what was asked."""
    asked = []

    def run(setting, arm, seed, folder, cpu_seconds=0.0):
        asked.append((arm.question, arm.name, arm.budget, seed, cpu_seconds))
        return result(arm, seed)

    monkeypatch.setattr(study.runs, "run", run)
    killed = Resumed(20, 40, same=True, recall_at_1=0.5, uninterrupted=0.5)
    monkeypatch.setattr(study.trials, "resumed", lambda setting, known, folder: (killed, known))
    monkeypatch.setattr(study.trials, "shared", lambda *_: Shared(2, 100.0, 180.0, 0.5, 0.5, 2))
    monkeypatch.setattr(study.trials, "bundled", lambda *_: Bundled("a.edge", 10, 0.5, 900, 358))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    return asked


def test_the_study_asks_every_question_with_every_seed(setting, tmp_path, faked):
    stages = []
    found = study.study(replace(setting, seeds=(0, 1)), tmp_path / "work", stages.append, workers=2)
    assert found.setting.teacher == "teacher.edge"
    assert len(found.runs) == 2 * 2 + 4 * 2 + len(arms.losses(setting))
    assert {seconds for _, _, budget, _, seconds in faked if budget == "cpu"} == {3.0}
    assert stages[:3] == [
        "distilled: 4 trainings",
        "labels alone: 8 trainings",
        f"losses: {len(found.runs) - 12} trainings",
    ]
    assert stages[3:] == ["killed and resumed", "two processes", "the bundle of one student"]
    assert found.resumed.same
    assert found.versions.keys() == {"torch", "accelerate", "onnxruntime", "numpy"}


def test_only_the_parts_that_were_asked_for_are_run(setting, tmp_path, faked):
    found = study.study(setting, tmp_path / "work", lambda stage: None, parts=["questions"], workers=1)
    assert {run.arm.question for run in found.runs} == {"all labels", "few labels"}
    assert found.resumed is found.shared is found.bundled is None


def test_several_processes_are_compared_with_the_one_that_ran_alone(setting, tmp_path, monkeypatch):
    one = result(arms.losses(setting)[0], 0)
    many = replace(one, images_per_second=300.0, curve=(Point(40, 1.0, 0.6),))
    started = []
    monkeypatch.setattr(runs, "prepare", lambda recipe, out: out)
    monkeypatch.setattr(runs, "train", lambda home, processes=1: started.append(processes))
    monkeypatch.setattr(runs, "read", lambda home, arm, seed: many)
    found = trials.shared(setting, one, tmp_path)
    assert started == [2]
    assert (found.one, found.many, found.recall_one, found.recall_many) == (160.0, 300.0, 0.5, 0.6)


def test_a_bundle_is_made_where_the_student_was_trained(setting, tmp_path, monkeypatch):
    arm, made = arms.distilled(setting)[0], []

    class Report:
        size = 10
        scores = (type("Score", (), {"name": "recall@1", "value": 0.4}),)
        image = type("Figures", (), {"parameters": 900, "teacher_parameters": None})

    monkeypatch.setattr(runs, "prepare", lambda recipe, out: made.append(out))
    monkeypatch.setattr(distilling, "distill", lambda recipe, out, *_: made.append(out) or Report)
    found = trials.bundled(setting, arm, 0, tmp_path)
    assert made == [runs.place(tmp_path, arm, 0, recipes.recipe_of(setting, arm, 0, tmp_path))] * 2
    assert found == Bundled(made[0].name, 10, 0.4, 900, None)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["study", *map(str, arguments)])
    study.main()


def test_the_command_writes_json_and_prints_tables(tmp_path, faked, monkeypatch, capsys):
    out = tmp_path / "study.json"
    command(monkeypatch, "--teacher", "t.edge", "-o", out, "--seeds", 2, "--share", 0.5)
    found = json.loads(out.read_text())
    assert found["setting"]["held_out"] == "emoji-noto"
    assert found["setting"]["train"] == ["emoji-twemoji", "emoji-fluent", "openmoji"]
    halves = {name: round(getattr(Setting, name) / 2) for name in ("steps", "few_steps", "loss_steps")}
    assert {name: found["setting"][name] for name in halves} == halves
    assert found["setting"]["seeds"] == [0, 1]
    assert "distilled less labels alone at equal CPU time" in capsys.readouterr().out
    assert (tmp_path / "study.work").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "wrong"), "--parts wrong: there are"),
        (("-o", "missing/a.json"), "missing does not exist"),
        (("--seeds", 0), "--seeds 0: give a number above 0"),
        (("--workers", 0), "--workers 0: give a number above 0"),
        (("--share", 0), "--share 0: give a number above 0"),
        (("--share", "nan"), "--share nan: give a number above 0"),
        (("--share", "inf"), "--share inf: give a number above 0"),
        (("--held-out", "emoji"), "invalid choice"),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(map(str, given)),
)
def test_wrong_arguments_are_refused(arguments, message, tmp_path, faked, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        command(monkeypatch, "--teacher", "t.edge", "-o", tmp_path / "a.json", *arguments)
    assert message in capsys.readouterr().err
    assert faked == []


def test_an_error_is_told_without_a_traceback(tmp_path, faked, monkeypatch, capsys):
    def fails(*_: object) -> None:
        raise InputError("emoji-noto: not fetched yet")

    monkeypatch.setattr(study.runs, "run", fails)
    with pytest.raises(SystemExit, match="1"):
        command(monkeypatch, "--teacher", "t.edge", "-o", tmp_path / "a.json")
    assert capsys.readouterr().err.strip().endswith("emoji-noto: not fetched yet")
    assert not (tmp_path / "a.json").exists()
