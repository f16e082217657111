"""Arms, intervals and tables of the study of distillation, on made-up runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.distillation import arms, study, tables
from edgekit.benchmarks.distillation.intervals import Mean, apart, mean
from edgekit.benchmarks.distillation.records import Arm, Bundled, Point, Resumed, Run, Setting, Shared, Study
from edgekit.bundle import schema
from edgekit.converters.distill.losses.table import LOSSES
from edgekit.errors import InputError

SETTING = Setting("teacher.edge", ("a", "b"), "c", losses=(("bank", 1.0), ("feature", 5.0)))


def made(arm, seed, recall, **changed):
    """A run that ends at `recall`, having been a little better half way."""
    curve = (Point(50, 5.0, recall + 0.01), Point(75, 7.5, recall - 0.02), Point(100, 10.0, recall))
    facts = {
        "arm": arm,
        "seed": seed,
        "steps": 100,
        "cpu_seconds": 10.0,
        "wall_seconds": 12.0,
        "images_per_second": 640.0,
        "images": 1000,
        "labelled": round(1000 * arm.labelled),
        "parameters": 106812,
        "curve": curve,
        "error": 0.011,
        "n": 1911,
        "teacher": 0.4,
        "embedding_cpu": 3.0,
        "weights": "0" * 64,
    }
    return Run(**{**facts, **changed})


def whole(**changed):
    """A study in which the distilled are better by ten points, and the losses differ."""
    runs = [made(arm, seed, 0.36 + seed / 1000) for arm in arms.distilled(SETTING) for seed in range(3)]
    runs += [made(arm, seed, 0.26 + seed / 1000) for arm in arms.baselines(SETTING) for seed in range(3)]
    runs += [made(arm, seed, 0.1 + i / 100) for i, arm in enumerate(arms.losses(SETTING)) for seed in range(2)]
    facts = {
        "setting": SETTING,
        "runs": tuple(runs),
        "resumed": Resumed(40, 100, same=True, recall_at_1=0.1, uninterrupted=0.1),
        "shared": Shared(2, 500.0, 900.0, 0.1, 0.11, 2),
        "bundled": Bundled("a.edge", 92_000_000, 0.361, 106_900, 358_000),
        "processor": "a processor",
        "threads": 1,
        "versions": {"torch": "2"},
        "seconds": 60.0,
    }
    return Study(**{**facts, **changed})


def test_mean_has_the_interval_of_students_t():
    found = mean([0.30, 0.32, 0.37])
    assert found.value == pytest.approx(0.33)
    assert found.half == pytest.approx(4.303 * np.std([0.30, 0.32, 0.37], ddof=1) / 3**0.5)
    assert (found.low, found.high) == (found.value - found.half, found.value + found.half)


def test_one_seed_has_no_interval_and_none_no_mean():
    assert mean([0.4]) == Mean(0.4, math.inf, 1)
    assert not apart(mean([0.9]), mean([0.1, 0.1]))
    with pytest.raises(InputError, match="at least one seed"):
        mean([])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.floats(0.1, 3))
def test_an_interval_moves_and_grows_with_its_values(values, factor):
    one, other = mean(values), mean([factor * value + 1 for value in values])
    assert other.value == pytest.approx(factor * one.value + 1)
    assert other.half == pytest.approx(factor * one.half, abs=1e-9)


def test_apart_means_that_intervals_do_not_touch():
    assert apart(Mean(0.5, 0.04, 3), Mean(0.4, 0.05, 3))
    assert not apart(Mean(0.5, 0.06, 3), Mean(0.4, 0.05, 3))
    assert not apart(Mean(0.4, 0.0, 3), Mean(0.5, 0.0, 3))


def test_each_question_has_a_distilled_student_and_two_from_labels_alone():
    taught, alone = arms.distilled(SETTING), arms.baselines(SETTING)
    assert [(arm.question, arm.labelled, arm.alone) for arm in taught] == [
        ("all labels", 1.0, False),
        ("few labels", 0.1, False),
    ]
    assert [(arm.question, arm.budget, arm.alone) for arm in alone] == [
        ("all labels", "steps", False),
        ("all labels", "cpu", False),
        ("few labels", "steps", True),
        ("few labels", "cpu", True),
    ]
    assert {arm.losses for arm in alone} == {(("labels", 1.0),)}
    assert [arm.steps for arm in taught] == [SETTING.steps, SETTING.few_steps]
    assert [arm.steps for arm in alone] == [SETTING.steps, 0, SETTING.few_steps, 0]


def test_every_loss_is_tried_alone_and_the_combination_too():
    found = arms.losses(SETTING)
    assert [arm.name for arm in found] == [*LOSSES, "bank + 5 feature"]
    assert {arm.name for arm in found if arm.alone} == {"labels", "contrastive", "sigmoid"}
    assert {arm.steps for arm in found} == {SETTING.loss_steps}
    single = Setting("t", (), "c", losses=(("bank", 1.0),))
    assert [arm.name for arm in arms.losses(single)] == [*LOSSES]


def test_the_budget_of_a_question_is_its_distilled_students_time_with_the_embeddings():
    first, second = arms.distilled(SETTING)
    runs = [made(first, 0, 0.3), made(first, 1, 0.3, cpu_seconds=13.0), made(second, 0, 0.3, embedding_cpu=0.4)]
    assert study.budgets(runs) == {"all labels": 14.0, "few labels": 10.0}


def test_the_report_says_who_won_by_how_much():
    text = tables.report(whole())
    assert "Teacher: R@1 40.0 % on c (n = 1,911" in text
    assert "cost 3 CPU seconds, once" in text
    assert "106,812 parameters" in text
    name = "distilled: labels + bank + 5 feature"
    assert f"| {name} | steps | 1,000 (1,000) | 100 | 10 | 36.1 ± 0.2 | 37.1 | +2.0 | 90.2% |" in text
    assert (
        "| labels alone | CPU, embeddings included | 1,000 (100) | 100 | 10 | 26.1 ± 0.2 | 27.1 | +2.0 | 65.2% |"
        in text
    )
    assert text.count("at equal steps: +10.0 points; the intervals do not overlap") == 2
    assert text.count("at equal CPU time: +10.0 points; the intervals do not overlap") == 2
    assert text.count("know the names of the labelled images only") == 1


def test_losses_are_ranked_best_first():
    lines = [line for line in tables.report(whole()).splitlines() if line.count("|") == 5]
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names[0] == "bank + 5 feature"
    assert names[-1] == "feature"
    assert "labels (labelled images only)" in names


def test_trials_are_told():
    text = tables.report(whole())
    assert "killed (SIGKILL) at step 40 of 100 and resumed: the same weights, bit by bit, R@1 10.0 %" in text
    assert "2 processes on 2 cores: 900 images/s against 500 (1.80 x), R@1 11.0 % against 10.0 %" in text
    assert "92.0 MB, R@1 through the bundle 36.1 %, image tower 106,900 parameters of the teacher's 358,000" in text


def test_parts_that_were_not_run_are_left_out():
    some = whole()
    only = [run for run in some.runs if run.arm.question == "few labels"]
    text = tables.report(whole(runs=tuple(only), resumed=None, shared=None, bundled=None))
    assert "**few labels**" in text
    assert "**all labels**" not in text
    assert "killed" not in text
    overlapping = [made(run.arm, run.seed, 0.3 + run.seed / 10) for run in only]
    assert "the intervals overlap" in tables.report(whole(runs=tuple(overlapping)))


def test_without_a_distilled_student_nothing_is_concluded():
    arm = Arm("all labels", arms.ALONE, (("labels", 1.0),), 1.0, alone=False, budget="steps", steps=100)
    text = tables.report(whole(runs=(made(arm, 0, 0.2),)))
    assert "points" not in text
    assert "| labels alone | steps | 1,000 (1,000) | 100 | 10 | 20.0 | 21.0 | +2.0 | 50.0% |" in text


def test_what_nobody_knows_is_no_number_in_a_table():
    """A trial of a few steps is judged once, at its end, and a teacher may find nothing at all."""
    arm = arms.distilled(SETTING)[0]
    short = made(arm, 0, 0.2, curve=(Point(1, 0.1, 0.2),), teacher=0.0)
    row = next(line for line in tables.report(whole(runs=(short,))).splitlines() if line.startswith("| distilled"))
    assert [cell.strip() for cell in row.split("|")][6:10] == ["20.0", "20.0", "–", "–"]
    assert "nan" not in tables.report(whole(runs=(short,)))


def test_one_seed_concludes_nothing():
    runs = [made(arm, 0, 0.4 if arm.name == arms.DISTILLED else 0.1) for arm in arms.distilled(SETTING)]
    runs += [made(arm, 0, 0.1) for arm in arms.baselines(SETTING)]
    text = tables.report(whole(runs=tuple(runs)))
    assert text.count("+30.0 points; one seed has no interval") == 4
    assert "overlap" not in text
    assert "±" not in text.split("**all labels**")[1].split("**few labels**")[0]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=5))
def test_the_conclusion_is_that_of_the_means_and_their_intervals(recalls):
    taught, alone = arms.distilled(SETTING)[0], arms.baselines(SETTING)[0]
    runs = [made(taught, seed, one) for seed, (one, _) in enumerate(recalls)]
    runs += [made(alone, seed, other) for seed, (_, other) in enumerate(recalls)]
    text = tables.report(whole(runs=tuple(runs)))
    (line,) = (line for line in text.splitlines() if line.startswith("- distilled less labels alone at equal steps"))
    ours, theirs = (mean(list(values)) for values in zip(*recalls, strict=True))
    assert f": {100 * (ours.value - theirs.value):+.1f} points; " in line
    touching = ours.low <= theirs.high and theirs.low <= ours.high
    assert line.endswith("the intervals overlap" if touching else "the intervals do not overlap")


def test_every_table_has_as_many_cells_in_each_row():
    blocks = [block for block in tables.report(whole()).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_a_budget_that_rounds_to_nothing_is_one_second():
    first = arms.distilled(SETTING)[0]
    assert study.budgets([made(first, 0, 0.3, cpu_seconds=0.1, embedding_cpu=0.1)]) == {"all labels": 1.0}
    assert study.budgets([]) == {}


def test_a_study_is_written_and_read_back():
    found = whole()
    assert schema.loads(Study, schema.dumps(found), "study.json") == found


def test_a_study_of_the_trials_alone_has_no_head():
    study = Study(SETTING, (), Resumed(20, 40, True, 0.5, 0.5), None, None, "cpu", 1, {}, 1.0)
    assert tables.report(study).startswith("- killed (SIGKILL) at step 20 of 40 and resumed: the same weights")
