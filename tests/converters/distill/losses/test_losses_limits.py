"""Losses at their limits: one image, one label for all, no label, two texts, extreme scales, mixed teachers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.losses.records import Inputs
from edgekit.converters.distill.losses.table import LOSSES, total
from loss_inputs import batch, images_alone, nothing, pair, texts, unit

EVERY = pytest.mark.parametrize("name", LOSSES)
# What each loss is left with where the batch offers nothing to tell apart.
ROWS = {"feature", "cosine"}
BY_TEACHER = {"relation", "affinity", "interactive", "gradient"}
BY_LABEL = {"contrastive", "sigmoid"}
EXTREMES = [1e-6, 1e-3, 1.0, 100.0, 1e4, 1e6]


def value(name, given_):
    return LOSSES[name].compute(given_)


def applying(given_):
    return {name for name in LOSSES if value(name, given_) is not None}


def in_float32(given_):
    """Return the same batch as the training has it."""

    def cast(part):
        return part.float() if isinstance(part, torch.Tensor) and part.is_floating_point() else part

    fields = {name: cast(getattr(given_, name)) for name in Inputs.__dataclass_fields__}
    for tower in ("image", "text"):
        if (one := getattr(given_, tower)) is not None:
            fields[tower] = pair(one.student.float(), one.teacher.float(), one.mapped.float())
    return Inputs(**fields)


def learning(given_):
    """Return a batch whose images are unit rows of leaves, and the leaves."""
    raw = given_.images.detach().clone().requires_grad_()
    rows = torch.nn.functional.normalize(raw, dim=1)
    image = pair(rows, given_.teacher_images) if given_.image is not None else None
    return replace(given_, images=rows, image=image), raw


def test_one_labelled_image_is_compared_with_its_teacher_and_over_the_bank():
    assert applying(batch((2,))) == ROWS | {"bank", "labels"}


def test_one_image_without_a_label_has_its_teacher_only():
    assert applying(batch((-1,))) == ROWS | {"bank"}


def test_one_text_alone_has_its_teacher_only():
    assert applying(texts(unit(1, 6, 0), unit(1, 6, 1))) == ROWS


def test_two_texts_can_be_told_apart_and_three_have_distances():
    assert applying(texts(unit(2, 6, 0), unit(2, 6, 1))) == ROWS | {"interactive"}
    assert applying(texts(unit(3, 6, 0), unit(3, 6, 1))) == ROWS | {"interactive", "relation", "geometry"}


def test_images_of_one_text_are_still_compared_with_each_other():
    same = applying(batch((1, 1, 1, 1)))
    assert same == ROWS | {"bank", "labels", "geometry", "relation", "interactive"}
    assert not same & (BY_LABEL | {"affinity", "gradient"})


def test_without_any_label_the_teacher_says_which_text_is_meant():
    given_ = batch((-1,) * 6)
    nearest = (given_.teacher_images @ given_.teacher_bank.T).argmax(1)
    assert len(nearest.unique()) > 1
    assert applying(given_) == set(LOSSES) - BY_LABEL - {"labels"}


@EVERY
def test_a_label_that_is_the_teachers_own_answer_changes_nothing_for_the_teachers_losses(name):
    blind = batch((-1,) * 6)
    nearest = (blind.teacher_images @ blind.teacher_bank.T).argmax(1)
    told = replace(blind, labels=nearest)
    if LOSSES[name].teacher:
        assert value(name, told).item() == pytest.approx(value(name, blind).item())
    else:
        assert value(name, blind) is None
        assert value(name, told) is not None


def test_a_bank_of_two_is_the_smallest_that_can_be_told_apart():
    assert applying(batch((0, 1), texts=2)) == set(LOSSES) - {"geometry"}
    assert applying(batch((0, 1, 0), texts=2)) == set(LOSSES)
    assert not applying(batch((0, 0, 0), texts=1)) & (BY_LABEL | {"bank", "labels", "affinity", "gradient"})


def test_of_two_texts_the_bank_loss_is_that_of_a_coin():
    given_ = batch((0,), texts=2)
    student = given_.scale * given_.images @ given_.bank.T
    teacher = given_.teacher_scale * given_.teacher_images @ given_.teacher_bank.T
    p = torch.sigmoid(teacher[0, 0] - teacher[0, 1]).item()
    q = torch.sigmoid(student[0, 0] - student[0, 1]).item()
    assert value("bank", given_).item() == pytest.approx(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))


@pytest.mark.parametrize("name", ["labels", "contrastive"])
def test_texts_that_are_all_alike_are_a_guess(name):
    alike = unit(1, 6, 5).repeat(4, 1)
    given_ = batch((0, 1, 2, 3), bank=alike)
    assert value(name, given_).item() == pytest.approx(math.log(4), abs=0.5 if name == "contrastive" else 1e-9)


@pytest.mark.parametrize("scale", EXTREMES)
@EVERY
def test_extreme_scales_overflow_nothing_in_float32(name, scale):
    given_ = in_float32(batch((0, 1, 2, 0, 3, -1), scale=torch.tensor(scale), teacher_scale=scale))
    shown, raw = learning(given_)
    found = value(name, shown)
    assert found.dtype == torch.float32
    assert torch.isfinite(found)
    found.backward()
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize(("student", "teacher"), [(1e-6, 1e6), (1e6, 1e-6)], ids=["blurred", "sharp"])
@EVERY
def test_scales_that_are_far_apart_overflow_nothing(name, student, teacher):
    given_ = in_float32(batch((0, 1, 2, 0, 3), scale=torch.tensor(student), teacher_scale=teacher))
    assert torch.isfinite(value(name, given_))


@pytest.mark.parametrize("bias", [-1e6, -100.0, 100.0, 1e6])
def test_an_extreme_bias_overflows_nothing(bias):
    shown, raw = learning(in_float32(batch((0, 1, 2), bias=torch.tensor(bias))))
    found = value("sigmoid", shown)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(raw.grad).all()
    # Every pair that the bias decides wrongly costs as much as the bias is large.
    wrong = 1 if bias < 0 else 2
    assert found.item() == pytest.approx(wrong * abs(bias), rel=0.2)


@EVERY
def test_a_scale_of_zero_knows_nothing_and_breaks_nothing(name):
    found = value(name, batch((0, 1, 2, 0), scale=torch.tensor(0.0, dtype=torch.float64), teacher_scale=0.0))
    assert torch.isfinite(found)
    if name in {"bank", "gradient"}:
        assert found.item() == pytest.approx(0, abs=1e-12)
    if name == "labels":
        assert found.item() == pytest.approx(math.log(4))


@EVERY
def test_equal_rows_have_finite_slopes(name):
    rows = unit(1, 6, 0).repeat(5, 1)
    shown, raw = learning(batch((0, 1, 2, 0, 3), images=rows))
    value(name, shown).backward()
    assert torch.isfinite(raw.grad).all()


@EVERY
def test_opposite_rows_are_the_worst_and_finite(name):
    taught = unit(5, 6, 1)
    far = batch((0, 1, 2, 0, 3), images=-taught, image=pair(-taught, taught), teacher_images=taught)
    found = value(name, far)
    assert torch.isfinite(found)
    if name == "cosine":
        assert found.item() == pytest.approx(2)
    if name == "feature":
        assert found.item() == pytest.approx(4)


def test_a_map_of_zero_has_no_direction_and_no_slope_that_is_infinite():
    mapped = torch.zeros(3, 8, dtype=torch.float64, requires_grad=True)
    given_ = images_alone(unit(3, 6, 0), unit(3, 8, 1), mapped)
    for name in ("feature", "cosine", "interactive"):
        (slope,) = torch.autograd.grad(value(name, given_), mapped)
        assert torch.isfinite(slope).all(), name


@EVERY
def test_a_teacher_of_another_dimension_is_no_error(name):
    own = batch((0, 1, 2, 0, 3))
    taught, bank = unit(5, 9, 3), unit(4, 9, 4)
    mapped = unit(5, 9, 5)
    other = replace(own, image=pair(own.images, taught, mapped), teacher_images=taught, teacher_bank=bank)
    found = value(name, other)
    assert (found is None) == (name == "gradient")
    if found is not None:
        assert torch.isfinite(found)


@settings(deadline=None, max_examples=20)
@given(
    names=st.lists(st.sampled_from(sorted(LOSSES)), min_size=1, max_size=5, unique=True),
    factors=st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)),
    weight=st.floats(0.01, 10),
)
def test_mixed_teachers_add_up(names, factors, weight):
    first = batch((0, 1, 2, 0, 3))
    second = replace(
        first,
        image=pair(first.images, unit(5, 9, 3), unit(5, 9, 5)),
        teacher_images=unit(5, 9, 3),
        teacher_bank=unit(4, 9, 4),
        teacher_scale=3.0,
    )
    found, parts = total([(factors[0], first), (factors[1], second)], dict.fromkeys(names, weight))
    wanted = 0.0
    for name in names:
        own = [value(name, given_) for given_ in (first, second)]
        if LOSSES[name].teacher:
            part = sum(factor * one.item() for factor, one in zip(factors, own, strict=True) if one is not None)
        else:
            part = own[0].item()
        assert parts[name].item() == pytest.approx(part)
        wanted += weight * part
    assert found.item() == pytest.approx(wanted)


def test_one_teacher_may_lack_what_another_has():
    blind = batch(image=None, teacher_images=None, teacher_bank=None)
    _, parts = total([(5.0, blind), (2.0, batch())], {"feature": 1.0, "bank": 1.0, "labels": 1.0})
    assert parts["feature"].item() == pytest.approx(2 * value("feature", batch()).item())
    assert parts["bank"].item() == pytest.approx(2 * value("bank", batch()).item())
    assert parts["labels"].item() == pytest.approx(value("labels", batch()).item())


@EVERY
def test_an_empty_batch_of_images_has_no_loss_or_says_so_as_a_number(name):
    empty = batch((), image=None, images=unit(0, 6, 0), teacher_images=unit(0, 6, 0))
    assert value(name, empty) is None
    assert value(name, nothing()) is None
