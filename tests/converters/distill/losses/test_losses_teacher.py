"""Losses that compare similarities with the teacher's: relation, affinity, interactive, gradient, bank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from edgekit.converters.distill.losses.affinity import affinity
from edgekit.converters.distill.losses.bank import bank
from edgekit.converters.distill.losses.gradient import gradient, slopes
from edgekit.converters.distill.losses.interactive import interactive
from edgekit.converters.distill.losses.matched import Matched
from edgekit.converters.distill.losses.relation import relation
from loss_inputs import agreed, batch, images_alone, nothing, pair, texts, unit

ACROSS = [relation, affinity, interactive, gradient, bank]


def names(loss):
    return loss.__name__


def shares(logits):
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def divergence(student, teacher):
    return (teacher * np.log(teacher / student)).sum(1).mean()


def rows(given_, chosen):
    """Images, texts, and the teacher's, as arrays."""
    return (
        given_.images.numpy(),
        given_.bank.detach().numpy()[chosen],
        given_.teacher_images.numpy(),
        given_.teacher_bank.numpy()[chosen],
    )


def test_bank_is_the_divergence_over_all_texts():
    given_ = batch()
    images, own, taught_images, taught_texts = rows(given_, slice(None))
    expected = divergence(shares(5 * images @ own.T), shares(8 * taught_images @ taught_texts.T))
    assert bank(given_).item() == pytest.approx(expected)


def test_bank_needs_no_label():
    assert bank(batch(labels=(-1,) * 5)).item() == bank(batch()).item() == bank(replace(batch(), labels=None)).item()


def test_relation_compares_both_directions_over_distinct_texts():
    given_ = batch((2, 0, 2))
    images, own, taught_images, taught_texts = rows(given_, [0, 2])
    ours, theirs = 5 * images @ own.T, 8 * taught_images @ taught_texts.T
    expected = (divergence(shares(ours), shares(theirs)) + divergence(shares(ours.T), shares(theirs.T))) / 2
    assert relation(given_).item() == pytest.approx(expected)


def test_affinity_is_the_cross_entropy_at_the_teachers_temperature():
    given_ = batch((2, 0, 2))
    images, own, taught_images, taught_texts = rows(given_, [0, 2])
    ours, theirs = 8 * images @ own.T, 8 * taught_images @ taught_texts.T
    to_texts = -(shares(theirs) * np.log(shares(ours))).sum(1).mean()
    to_images = -(shares(theirs.T) * np.log(shares(ours.T))).sum(1).mean()
    assert affinity(given_).item() == pytest.approx(to_texts + to_images)


def test_affinity_is_least_where_the_student_is_its_teacher():
    best = agreed()
    assert affinity(best).item() < affinity(replace(best, images=unit(5, 6, 9))).item()
    images = best.images.clone().requires_grad_()
    affinity(replace(best, images=images)).backward()
    assert images.grad.abs().max() < 1e-9


@pytest.mark.parametrize("loss", [relation, gradient, bank], ids=names)
def test_a_student_that_is_its_teacher_loses_nothing(loss):
    assert loss(agreed()).item() == pytest.approx(0, abs=1e-12)
    assert loss(replace(agreed(), images=unit(5, 6, 9))).item() > 1e-3


def test_interactive_is_infonce_across_the_two():
    given_ = batch((2, 0, 2))
    images, own, taught_images, taught_texts = rows(given_, [0, 2])
    ours = np.log(shares(5 * images @ taught_texts.T))[[0, 1, 2], [1, 0, 1]].mean()
    back = np.log(shares(5 * own @ taught_images.T))
    theirs = (back[0, 1] + (back[1, 0] + back[1, 2]) / 2) / 2
    assert interactive(given_).item() == pytest.approx(-(ours + theirs) / 2)


def test_interactive_leaves_a_kept_tower_out():
    given_ = batch((2, 0, 2))
    only_images = interactive(replace(given_, bank=given_.bank.detach()))
    only_texts = interactive(replace(given_, image=None))
    assert interactive(given_).item() == pytest.approx((only_images.item() + only_texts.item()) / 2)
    assert interactive(replace(given_, image=None, bank=given_.bank.detach())) is None


def test_interactive_maps_images_of_another_dimension_and_leaves_its_texts_out():
    teacher, mapped = unit(3, 7, 4), 3 * unit(3, 7, 5)
    given_ = batch(
        (2, 0, 2),
        image=pair(unit(3, 6, 0), teacher, mapped),
        teacher_images=teacher,
        teacher_bank=unit(4, 7, 6),
    )
    logits = 5 * (mapped / 3) @ given_.teacher_bank[[0, 2]].T
    expected = functional.cross_entropy(logits, torch.tensor([1, 0, 1]))
    assert interactive(given_).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("make", [texts, images_alone], ids=lambda make: make.__name__)
def test_interactive_within_a_tower_finds_each_rows_own(make):
    student, teacher = unit(5, 6, 0), unit(5, 6, 1)
    expected = functional.cross_entropy(5 * student @ teacher.T, torch.arange(5))
    assert interactive(make(student, teacher)).item() == pytest.approx(expected.item())
    assert interactive(make(student[:1], teacher[:1])) is None


@pytest.mark.parametrize("make", [texts, images_alone], ids=lambda make: make.__name__)
def test_relation_within_a_tower_leaves_each_rows_own_out(make):
    student, teacher = unit(4, 3, 0), unit(4, 7, 1)
    others = [[j for j in range(4) if j != i] for i in range(4)]
    ours = shares(np.array([5 * (student @ student.T).numpy()[i, others[i]] for i in range(4)]))
    theirs = shares(np.array([8 * (teacher @ teacher.T).numpy()[i, others[i]] for i in range(4)]))
    assert relation(make(student, teacher)).item() == pytest.approx(divergence(ours, theirs))
    assert relation(make(student[:2], teacher[:2])) is None


def test_texts_beside_images_are_added():
    text = pair(unit(4, 6, 8), unit(4, 6, 9))
    for loss in (relation, interactive):
        together = loss(replace(batch(), text=text)).item()
        assert together == pytest.approx(loss(batch()).item() + loss(nothing(text=text)).item())


def test_a_relation_of_exactly_zero_across_is_not_taken_for_a_missing_one():
    rows_ = functional.one_hot(torch.tensor([0, 1, 0]), 2).double()
    bank_ = torch.eye(2, dtype=torch.float64)
    same = {"teacher_images": rows_, "bank": bank_, "teacher_bank": bank_, "teacher_scale": 5.0}
    given_ = batch((0, 1, 0), image=pair(unit(3, 2, 0), unit(3, 2, 1)), images=rows_, **same)
    assert relation(given_).item() == 0


def test_slopes_are_the_gradients_of_the_summed_cross_entropies():
    images, own = unit(4, 5, 0).requires_grad_(), unit(3, 5, 1).requires_grad_()
    targets = torch.tensor([0, 1, 2, 1])
    logits = 7 * images @ own.T
    back = -logits.T.log_softmax(1)
    right = functional.one_hot(targets).bool()
    to_images = (back * right.T / right.T.sum(1, keepdim=True)).sum()
    loss = (functional.cross_entropy(logits, targets, reduction="sum") + to_images) / 2
    expected = torch.autograd.grad(loss, (images, own))
    found = slopes(Matched(images, own, right), 7.0)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


def test_gradient_is_the_mean_square_of_their_difference():
    given_ = batch((2, 0, 2))
    right = torch.tensor([[False, True], [True, False], [False, True]])
    ours = slopes(Matched(given_.images, given_.bank[[0, 2]], right), 5.0)
    theirs = slopes(Matched(given_.teacher_images, given_.teacher_bank[[0, 2]], right), 8.0)
    expected = (ours[0] - theirs[0]).square().mean() + (ours[1] - theirs[1]).square().mean()
    assert gradient(given_).item() == pytest.approx(expected.item())


def test_gradients_of_different_dimensions_are_not_compared():
    assert gradient(batch(teacher_images=unit(5, 7, 0), teacher_bank=unit(4, 7, 1))) is None


@pytest.mark.parametrize("loss", [relation, affinity, bank], ids=names)
def test_dimensions_may_differ(loss):
    assert loss(batch(teacher_images=unit(5, 7, 0), teacher_bank=unit(4, 7, 1))).item() > 0


@pytest.mark.parametrize("absent", ["images", "bank", "teacher_images", "teacher_bank"])
@pytest.mark.parametrize("loss", [affinity, gradient, bank], ids=names)
def test_without_images_and_texts_of_both_there_is_no_loss(loss, absent):
    assert loss(batch(**{absent: None})) is None


def test_a_bank_of_one_text_or_a_batch_of_no_image_says_nothing():
    assert bank(batch((0, 0), texts=1)) is None
    assert bank(replace(batch(), images=unit(0, 6, 0), teacher_images=unit(0, 6, 0))) is None


@pytest.mark.parametrize("loss", ACROSS, ids=names)
def test_gradients_are_right(loss):
    given_ = batch()
    learns = [given_.images.clone(), given_.bank.detach().clone(), given_.scale.clone()]

    def value(images, own, scale):
        image = pair(images, given_.image.teacher)
        return loss(replace(given_, images=images, image=image, bank=own, scale=scale))

    assert torch.autograd.gradcheck(value, tuple(each.requires_grad_() for each in learns))


@pytest.mark.parametrize("loss", [relation, interactive], ids=names)
def test_gradients_within_a_tower_are_right(loss):
    teacher, student = unit(4, 6, 1), unit(4, 6, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda own: loss(texts(own, teacher)), (student,))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-1, 3), min_size=3, max_size=7), st.randoms(), st.sampled_from(ACROSS))
def test_the_order_of_a_batch_does_not_matter(own, random, loss):
    given_ = batch(own)
    order = random.sample(range(len(own)), len(own))
    images, taught_images = given_.images[order], given_.teacher_images[order]
    moved = replace(
        given_,
        images=images,
        teacher_images=taught_images,
        labels=given_.labels[order],
        image=pair(images, taught_images),
    )
    expected, found = loss(given_), loss(moved)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.item() == pytest.approx(expected.item())
        assert found.item() > -1e-12
