"""Whole trainings against the same ones written out: the loss, its gradient, clipping, AdamW and the schedule."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from distill_material import SPEC, Clusters, make_recipe, make_student
from edgekit.converters.distill.batches import TextBatch
from edgekit.converters.distill.students.records import ImageTower, Student
from edgekit.converters.distill.training.metrics_log import read_metrics
from edgekit.converters.distill.training.train import train

BETAS, EPSILON = (0.9, 0.999), 1e-8
INSIDE = 3 * 8 * 8


pytestmark = pytest.mark.usefixtures("one_thread")


def linear_student(dimension=6):
    torch.manual_seed(11)
    return Student(ImageTower(nn.Sequential(nn.Flatten(), nn.Linear(INSIDE, dimension)), SPEC), None)


def run(folder, material=None, student=None, **options):
    return train(make_recipe(**options), student or linear_student(), material or Clusters(), folder, lambda _: None)


def lines(folder):
    return [line for line in read_metrics(folder / "metrics.jsonl") if "losses" in line]


def written_out(material, training, factors):
    """Train a matrix and a bias in float64, every formula in full; returns them, and the losses of each step."""
    layer = linear_student().image.module[1]
    weight, bias = (value.detach().double().clone().requires_grad_() for value in (layer.weight, layer.bias))
    moments = {id(p): [torch.zeros_like(p), torch.zeros_like(p)] for p in (weight, bias)}
    losses = []
    for step in range(training.steps):
        batch = material.images(step, 0, 1)
        rows = functional.normalize(batch.planes.double().flatten(1) @ weight.T + bias, dim=1)
        parts = [(rows - teacher.double()).square().sum(1).mean() for teacher in batch.rows]
        loss = sum(factor * part for factor, part in zip(factors, parts, strict=True))
        losses.append(float(loss.detach()))
        gradients = torch.autograd.grad(loss, (weight, bias))
        if training.clip:
            length = math.sqrt(sum(float(g.square().sum()) for g in gradients))
            gradients = [g * min(1.0, training.clip / (length + 1e-6)) for g in gradients]
        share = step / training.steps
        if share < training.warmup:
            rate = training.rate * max(share / training.warmup, 0.01)
        else:
            turn = math.pi * (share - training.warmup) / (1 - training.warmup)
            rate = training.rate * (1 + math.cos(turn)) / 2
        with torch.no_grad():
            for parameter, gradient in zip((weight, bias), gradients, strict=True):
                first, second = moments[id(parameter)]
                first.mul_(BETAS[0]).add_((1 - BETAS[0]) * gradient)
                second.mul_(BETAS[1]).add_((1 - BETAS[1]) * gradient.square())
                if parameter is weight:
                    parameter.mul_(1 - rate * training.decay)
                ready = first / (1 - BETAS[0] ** (step + 1)), second / (1 - BETAS[1] ** (step + 1))
                parameter.sub_(rate * ready[0] / (ready[1].sqrt() + EPSILON))
    return weight.detach(), bias.detach(), losses


@pytest.mark.parametrize(
    ("teachers", "options"),
    [
        (1, {"decay": 0.0, "clip": 0.0, "warmup": 0.0}),
        (1, {"decay": 0.3, "clip": 0.05, "warmup": 0.25}),
        (2, {"decay": 0.05, "clip": 1.0, "warmup": 0.5}),
    ],
    ids=["plain", "decay, clipping and a rise", "two teachers of different weight"],
)
def test_a_training_is_its_formulas(tmp_path, teachers, options):
    material = Clusters(dimensions=(6,) * teachers)
    settings_ = {"steps": 24, "teachers": teachers, **options}
    training = make_recipe(**settings_).training
    outcome = run(tmp_path, Clusters(dimensions=(6,) * teachers), **settings_)
    weight, bias, losses = written_out(material, training, [teacher.weight for teacher in material.teachers])
    found = load_file(tmp_path / "student" / "trained-image.safetensors")
    assert outcome.delivered == "last"
    torch.testing.assert_close(found["1.weight"].double(), weight, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found["1.bias"].double(), bias, atol=2e-5, rtol=1e-4)
    assert [line["losses"]["total"] for line in lines(tmp_path)] == pytest.approx(losses, rel=1e-4)


def test_weights_of_losses_scale_what_is_added_and_not_what_is_told(tmp_path):
    run(tmp_path / "one", steps=4, losses={"feature": 1.0, "cosine": 0.5})
    first = lines(tmp_path / "one")[0]["losses"]
    assert first["total"] == pytest.approx(first["feature"] + 0.5 * first["cosine"], rel=1e-6)
    # Unit rows: the squared distance is twice what the cosine lacks.
    assert first["feature"] == pytest.approx(2 * first["cosine"], rel=1e-5)
    run(tmp_path / "other", steps=4, losses={"feature": 3.0, "cosine": 0.0})
    other = lines(tmp_path / "other")[0]["losses"]
    assert other == {"feature": pytest.approx(first["feature"]), "total": pytest.approx(3 * first["feature"])}


class CrashError(Exception):
    """Ends a training in the middle of a step."""


class Crashing(Clusters):
    """Fails when a step of a list is asked for; each of them once over all trainings."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def images(self, step, rank, world):
        if step in self.left:
            self.left.remove(step)
            raise CrashError
        return super().images(step, rank, world)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(folder, student=make_student(dropout=0.2), steps=12, evaluate=3, quantize=0.3)
    return folder


@settings(max_examples=6, deadline=None, derandomize=True)
@given(crashes=st.lists(st.integers(0, 11), min_size=1, max_size=5, unique=True), clock=st.sampled_from([0.0, 1e9]))
def test_however_often_it_crashes_and_whatever_the_checkpoints_the_end_is_the_same(
    tmp_path_factory, whole, crashes, clock
):
    folder, left = tmp_path_factory.mktemp("crashes"), set(crashes)
    options = {"steps": 12, "evaluate": 3, "quantize": 0.3, "checkpoint": clock}
    for _ in range(len(crashes)):
        with pytest.raises(CrashError):
            run(folder, Crashing(left), make_student(dropout=0.2), **options)
        assert not (folder / "outcome.json").exists()
        assert not (folder / "student").exists()
    run(folder, Crashing(left), make_student(dropout=0.2), **options)
    expected, found = (load_file(at / "student" / "trained-image.safetensors") for at in (whole, folder))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    told = [[(line["step"], line["losses"]) for line in lines(at)] for at in (whole, folder)]
    assert told[0] == told[1]


class OneText(Clusters):
    """Texts of which only one is ever held out."""

    def texts(self, step, rank, world):
        found = super().texts(step, rank, world)
        ids = found.token_ids[:1].expand(4, -1)
        return TextBatch(ids, tuple(rows[:1].expand(4, -1) for rows in found.rows))


def test_texts_of_which_none_can_be_judged_on_are_trained_on_and_the_last_weights_delivered(tmp_path):
    options = {"kept": "image", "has_images": False, "has_texts": True}
    material = OneText(**options)
    outcome = run(tmp_path, material, make_student(kept="image"), steps=6, **options)
    assert (outcome.evaluations, outcome.teacher) == ((), ())
    assert (outcome.delivered, outcome.reason) == ("last", "there was nothing to judge on")
    assert outcome.delivered_step == 6


class Unlabelled(Clusters):
    """Images without texts, of which a single one may be judged on."""

    def __init__(self, count):
        super().__init__(labelled=0.0)
        self.count = count

    def validation(self):
        found, planes = super().validation()
        rows = tuple(of[: self.count] for of in found.rows)
        return replace(found, images=self.count, targets=found.targets[: self.count], rows=rows), planes


@pytest.mark.parametrize(("count", "judged"), [(1, False), (2, True)])
def test_agreement_needs_two_images(tmp_path, count, judged):
    outcome = run(tmp_path, Unlabelled(count), steps=4, evaluate=2)
    assert bool(outcome.evaluations) == judged
    assert (outcome.reason == "there was nothing to judge on") == (not judged)
    if judged:
        assert {figure.n for figure in outcome.evaluations[-1].figures} == {count}


def test_more_evaluations_than_steps_are_one_a_step(tmp_path):
    outcome = run(tmp_path, steps=3, evaluate=50)
    assert [one.step for one in outcome.evaluations] == [1, 2, 3]
    assert outcome.evaluations[-1].figures[0].n == 120


def test_what_was_held_before_an_unfinished_training_survives_it(tmp_path):
    """The weights of a finished training stay until another one is finished too."""
    (tmp_path / "student").mkdir()
    before = tmp_path / "student" / "trained-image.safetensors"
    before.write_bytes(b"of an older training")
    with pytest.raises(CrashError):
        run(tmp_path, Crashing({5}), steps=8)
    assert before.read_bytes() == b"of an older training"
    run(tmp_path, steps=8)
    assert set(load_file(before)) == {"1.weight", "1.bias"}
