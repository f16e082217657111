from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from distill_material import PAD, Clusters, make_recipe, make_student
from edgekit.bundle.schema import loads
from edgekit.converters.distill.students.records import ImageTower, Student
from edgekit.converters.distill.training import held_out
from edgekit.converters.distill.training.metrics_log import read_metrics
from edgekit.converters.distill.training.records import Outcome
from edgekit.converters.distill.training.train import train
from edgekit.errors import ConversionError, InputError

pytestmark = pytest.mark.usefixtures("one_thread")


class CrashError(Exception):
    """Ends a training in the middle of a step."""


class Crashing(Clusters):
    """Ends the training, or does something else, when step `at` is asked for."""

    def __init__(self, at, what, **options):
        super().__init__(**options)
        self.at, self.what = at, what

    def images(self, step, rank, world):
        if step == self.at:
            self.what()
        return super().images(step, rank, world)


def crash():
    raise CrashError


def run(folder, *, material=None, student=None, report=lambda progress: None, **options):
    return train(make_recipe(**options), student or make_student(), material or Clusters(), folder, report)


def weights(folder):
    return {
        f"{path.stem}.{name}": value
        for path in sorted((folder / "student").iterdir())
        for name, value in load_file(path).items()
    }


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def figures(outcome):
    return {figure.name: figure.value for figure in outcome.evaluations[-1].figures}


def test_a_student_learns(tmp_path):
    told = []
    outcome = run(tmp_path, steps=80, report=told.append)
    assert outcome.ended == "finished"
    assert figures(outcome)["recall@1"] > 0.9
    assert [evaluation.step for evaluation in outcome.evaluations] == [20, 40, 60, 80]
    assert [figure.value for figure in outcome.teacher] == [1, 1, 1]
    assert (outcome.steps, outcome.processes, outcome.precision, outcome.device) == (80, 1, "float32", "cpu")
    assert outcome.images_per_second == pytest.approx(80 * 16 / outcome.wall_seconds)
    assert loads(Outcome, (tmp_path / "outcome.json").read_bytes(), "outcome") == outcome
    assert (told[-1].step, told[-1].of) == (80, 80)
    assert set(told[-1].losses) == {"feature", "total"}
    assert told[-1].images_per_second > 0


def test_metrics_tell_every_step_of_a_short_training(tmp_path):
    run(tmp_path, steps=40)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    losses = [line for line in lines if "losses" in line]
    assert [line["step"] for line in losses] == list(range(1, 41))
    assert losses[-1]["losses"]["feature"] < losses[0]["losses"]["feature"] / 2
    assert [line["step"] for line in lines if "evaluation" in line] == [10, 20, 30, 40]
    assert losses[-1]["rate"] == pytest.approx(0, abs=1e-9)
    assert {"images_per_second", "cpu_seconds", "share"} <= set(losses[0])


def test_delivered_weights_are_the_judged_ones(tmp_path):
    student = make_student()
    run(tmp_path, student=student, steps=10)
    for name, value in student.image.module.state_dict().items():
        assert torch.equal(weights(tmp_path)[f"trained-image.{name}"], value), name


def test_once_over_it_is_not_repeated(tmp_path):
    outcome = run(tmp_path, steps=10)
    assert run(tmp_path, material=Crashing(0, crash), steps=10) == outcome


RESUMED = [
    pytest.param({}, {}, {"dropout": 0.3}, 27, id="dropout"),
    pytest.param({}, {}, {}, 4, id="before the first checkpoint"),
    pytest.param({"quantize": 0.4}, {}, {}, 23, id="before rounding"),
    pytest.param({"quantize": 0.4}, {}, {}, 33, id="while rounding"),
    pytest.param(
        {"kept": "none", "teachers": 2, "dimension": 4, "has_texts": True, "losses": {"feature": 1.0, "sigmoid": 0.2}},
        {"kept": "none", "dimensions": (6, 9), "has_texts": True, "prompts": 6, "labelled": 0.4},
        {"kept": "none", "dimension": 4},
        19,
        id="both towers, two teachers",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "material", "student", "at"), RESUMED)
def test_going_on_after_a_crash_changes_no_bit(tmp_path, options, material, student, at):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = run(whole, material=Clusters(**material), student=make_student(**student), **options)
    with pytest.raises(CrashError):
        run(broken, material=Crashing(at, crash, **material), student=make_student(**student), **options)
    assert not (broken / "outcome.json").exists()
    outcome = run(broken, material=Clusters(**material), student=make_student(**student), **options)
    assert same(weights(whole), weights(broken))
    assert (outcome.logit_scale, outcome.logit_bias) == (expected.logit_scale, expected.logit_bias)
    assert [e.figures for e in outcome.evaluations] == [e.figures for e in expected.evaluations]
    lines = [
        [(line["step"], line.get("losses")) for line in read_metrics(folder / "metrics.jsonl")]
        for folder in (whole, broken)
    ]
    assert lines[0] == lines[1]


def test_a_damaged_checkpoint_costs_a_notice(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole)
    with pytest.raises(CrashError):
        run(broken, material=Crashing(33, crash))
    last = sorted((broken / "checkpoints").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-1])
    outcome = run(broken)
    assert same(weights(whole), weights(broken))
    assert [notice.partition(":")[0] for notice in outcome.notices] == [last.name]


def test_another_recipe_does_not_go_on(tmp_path):
    with pytest.raises(CrashError):
        run(tmp_path, material=Crashing(33, crash))
    with pytest.raises(InputError, match="another recipe"):
        run(tmp_path, rate=2e-2)


def test_a_request_to_stop_ends_the_step_and_is_gone_on_from(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(whole)
    before = signal.getsignal(signal.SIGTERM)
    outcome = run(stopped, material=Crashing(13, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert (outcome.ended, outcome.delivered, outcome.steps) == ("stopped", "none", 13)
    assert not (stopped / "student").exists()
    assert signal.getsignal(signal.SIGTERM) == before
    assert run(stopped).ended == "finished"
    assert same(weights(whole), weights(stopped))


def test_a_loss_that_is_no_number_names_step_loss_and_remedy(tmp_path):
    with pytest.raises(ConversionError, match=r"step 14: .*feature nan.*lower training.rate \(it is 0.01\)"):
        run(tmp_path, material=Clusters(bad_step=13))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000010.checkpoint"]
    assert not (tmp_path / "outcome.json").exists()


def test_cpu_seconds_bound_a_training(tmp_path):
    outcome = run(tmp_path, steps=0, cpu_seconds=0.4, evaluate=2)
    assert outcome.ended == "finished"
    assert 0.4 <= outcome.cpu_seconds < 4
    assert outcome.steps == outcome.evaluations[-1].step > 1
    assert len(outcome.evaluations) == 2


def test_a_plateau_ends_a_training(tmp_path):
    outcome = run(tmp_path, steps=200, evaluate=20, rate=1e-9, patience=2)
    assert outcome.ended == "plateau"
    assert outcome.steps == 30
    assert len(outcome.evaluations) == 3
    assert outcome.delivered_step <= 30
    assert (tmp_path / "student" / "trained-image.safetensors").exists()


def test_a_plateau_waits_for_the_rounding(tmp_path):
    outcome = run(tmp_path, steps=40, evaluate=20, rate=1e-9, patience=2, quantize=0.5)
    assert outcome.ended == "plateau"
    assert [evaluation.rounded for evaluation in outcome.evaluations] == [False] * 10 + [True] * 3


def test_rounding_leaves_plain_weights(tmp_path):
    run(tmp_path, quantize=0.5, steps=20)
    assert set(weights(tmp_path)) == {f"trained-image.{name}" for name in make_student().image.module.state_dict()}


def test_weights_that_fell_are_not_delivered(tmp_path):
    class Turning(Clusters):
        def images(self, step, rank, world):
            found = super().images(step, rank, world)
            return found if step < 12 else type(found)(found.planes, tuple(-r for r in found.rows), found.labels)

    outcome = run(tmp_path, material=Turning(), warmup=0.0)
    assert outcome.evaluations[0].figures[0].value > outcome.evaluations[3].figures[0].value + 0.3
    assert (outcome.delivered, outcome.delivered_step) == ("best", 10)
    assert outcome.steps == 40


def test_labels_alone_teach_the_scale_only_where_it_is_used(tmp_path):
    used = run(tmp_path / "used", losses={"labels": 1.0})
    unused = run(tmp_path / "unused", losses={"feature": 1.0})
    assert used.logit_scale != pytest.approx(20, abs=1e-3)
    assert unused.logit_scale == pytest.approx(20)
    assert used.logit_bias == unused.logit_bias == -2


def test_a_batch_without_a_label_teaches_nothing_and_is_no_error(tmp_path):
    outcome = run(tmp_path, losses={"labels": 1.0}, batch=2, material=Clusters(batch=2, labelled=0.3))
    assert outcome.ended == "finished"
    lines = [line for line in read_metrics(tmp_path / "metrics.jsonl") if "losses" in line]
    assert 5 < len(lines) < 40


def test_without_labels_agreement_with_the_teacher_is_measured(tmp_path):
    outcome = run(tmp_path, material=Clusters(labelled=0.0))
    assert list(figures(outcome)) == ["centred_cosine", "agreement@1"]
    assert figures(outcome)["centred_cosine"] > 0.5
    assert outcome.teacher[0].value == pytest.approx(1)


def test_texts_alone(tmp_path):
    options = {"kept": "image", "has_images": False, "has_texts": True}
    material = Clusters(batch=32, **options)
    outcome = run(tmp_path, material=material, student=make_student(kept="image"), steps=200, **options)
    assert figures(outcome)["centred_cosine"] > 0.5
    assert outcome.evaluations[-1].figures[0].n == len(held_out.held_out(material, PAD).bank.token_ids) > 5
    assert [path.name for path in (tmp_path / "student").iterdir()] == ["trained-text.safetensors"]


def test_a_kept_image_tower_with_captions(tmp_path):
    outcome = run(
        tmp_path,
        material=Clusters(kept="image"),
        student=make_student(kept="image"),
        kept="image",
        losses={"contrastive": 1.0},
        steps=60,
    )
    assert figures(outcome)["recall@1"] > 0.9


def test_frozen_weights_stay_and_are_not_in_checkpoints(tmp_path):
    student = make_student()
    first = student.image.module[0]
    first.requires_grad_(False)
    student.image.module[1].requires_grad_(False)
    before = {name: value.clone() for name, value in student.image.module.state_dict().items()}
    with pytest.raises(CrashError):
        run(tmp_path, student=student, material=Crashing(25, crash))
    again = make_student()
    again.image.module[:2].requires_grad_(False)
    run(tmp_path, student=again)
    after = weights(tmp_path)
    same_names = [name for name, value in before.items() if torch.equal(after[f"trained-image.{name}"], value)]
    assert same_names == [name for name in before if name[0] in "01"]
    saved = torch.load(_payload(tmp_path), weights_only=True)["learner"]
    assert "image.0.weight" not in saved
    assert "image.5.weight" in saved


def _payload(folder):
    import io

    return io.BytesIO(sorted((folder / "checkpoints").iterdir())[-1].read_bytes()[64:])


def test_bfloat16_computes_losses_in_float32(tmp_path):
    AcceleratorState._reset_state(True)
    try:
        outcome = run(tmp_path, precision="bfloat16", steps=60)
    finally:
        AcceleratorState._reset_state(True)
    assert outcome.precision == "bfloat16"
    assert figures(outcome)["recall@1"] > 0.9
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path).values())


def test_a_student_without_new_towers_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither tower"):
        run(tmp_path, student=Student(None, None))


def test_embeddings_that_are_no_numbers_are_an_error(tmp_path):
    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make_student().image.module

        def forward(self, planes):
            rows = self.inner(planes)
            return rows if self.training else rows * float("nan")

    student = Student(ImageTower(Broken(), make_student().image.spec), None)
    with pytest.raises(ConversionError, match="validation data are not finite"):
        run(tmp_path, student=student, steps=4, evaluate=1)


def test_the_checkpoints_clock(tmp_path):
    run(tmp_path, steps=6, evaluate=1, checkpoint=0.0)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000000005.checkpoint", "step-000000006.checkpoint"]
    assert json.loads((tmp_path / "outcome.json").read_text())["steps"] == 6
