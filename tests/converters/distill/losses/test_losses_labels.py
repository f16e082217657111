"""Losses of labelled images alone: labels, contrastive, sigmoid; and which texts a batch has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.losses.contrastive import contrastive
from edgekit.converters.distill.losses.labels import labels
from edgekit.converters.distill.losses.matched import labelled, taught
from edgekit.converters.distill.losses.sigmoid import sigmoid
from loss_inputs import batch, unit

LOSSES = [labels, contrastive, sigmoid]


def names(loss):
    return loss.__name__


def shares(logits):
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def arrays(given_):
    return given_.images.numpy(), given_.bank.detach().numpy(), given_.labels.numpy()


def test_labels_is_the_cross_entropy_over_the_bank():
    given_ = batch((3, -1, 0, 3))
    images, bank, own = arrays(given_)
    known = own >= 0
    found = shares(5 * images @ bank.T)[known, own[known]]
    assert labels(given_).item() == pytest.approx(-np.log(found).mean())


def test_contrastive_without_repeats_is_clips_loss():
    given_ = batch((2, 0, 3))
    images, bank, own = arrays(given_)
    logits = 5 * images @ bank[own].T
    to_texts, to_images = np.log(np.diag(shares(logits))), np.log(np.diag(shares(logits.T)))
    assert contrastive(given_).item() == pytest.approx(-(to_texts.mean() + to_images.mean()) / 2)


def test_images_that_share_a_text_are_not_each_others_negatives():
    given_ = batch((2, 0, 2))
    images, bank, _ = arrays(given_)
    logits = 5 * images @ bank[[0, 2]].T
    to_texts = np.log(shares(logits)[[0, 1, 2], [1, 0, 1]]).mean()
    back = np.log(shares(logits.T))
    to_images = (back[0, 1] + (back[1, 0] + back[1, 2]) / 2) / 2
    assert contrastive(given_).item() == pytest.approx(-(to_texts + to_images) / 2)


def test_sigmoid_is_the_published_formula():
    given_ = batch((2, 0, 2))
    images, bank, _ = arrays(given_)
    logits = 5 * images @ bank[[0, 2]].T - 1
    signs = np.array([[-1, 1], [1, -1], [-1, 1]])
    assert sigmoid(given_).item() == pytest.approx(np.log1p(np.exp(-signs * logits)).sum() / 3)


@pytest.mark.parametrize("loss", LOSSES, ids=names)
def test_images_without_a_label_change_nothing(loss):
    all_of_them = batch((2, -1, 0, 3, -1))
    kept = torch.tensor([0, 2, 3])
    without = replace(all_of_them, images=all_of_them.images[kept], labels=all_of_them.labels[kept])
    assert loss(all_of_them).item() == pytest.approx(loss(without).item())


@pytest.mark.parametrize("loss", LOSSES, ids=names)
def test_without_a_label_there_is_no_loss(loss):
    assert loss(batch((-1, -1, -1))) is None


@pytest.mark.parametrize("absent", ["images", "bank", "labels"])
@pytest.mark.parametrize("loss", LOSSES, ids=names)
def test_without_images_bank_or_labels_there_is_no_loss(loss, absent):
    assert loss(replace(batch(), **{absent: None})) is None


@pytest.mark.parametrize("loss", LOSSES, ids=names)
def test_the_teacher_plays_no_part(loss):
    assert loss(batch(image=None, teacher_images=None, teacher_bank=None)).item() == loss(batch()).item()


@pytest.mark.parametrize("loss", [contrastive, sigmoid], ids=names)
def test_one_text_alone_is_nothing_to_tell_apart(loss):
    assert loss(batch((2, 2, -1))) is None


def test_a_bank_of_one_text_has_no_classes():
    assert labels(batch((0, 0), texts=1)) is None


@pytest.mark.parametrize("loss", LOSSES, ids=names)
def test_gradients_are_right(loss):
    given_ = batch()
    learns = [given_.images.clone(), given_.bank.detach().clone(), given_.scale.clone(), given_.bias.clone()]

    def value(images, bank, scale, bias):
        return loss(replace(given_, images=images, bank=bank, scale=scale, bias=bias))

    assert torch.autograd.gradcheck(value, tuple(each.requires_grad_() for each in learns))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1, 3), min_size=3, max_size=8), st.randoms(), st.sampled_from(LOSSES))
def test_the_order_of_a_batch_and_of_the_bank_does_not_matter(own, random, loss):
    given_ = batch(own)
    order, texts = random.sample(range(len(own)), len(own)), random.sample(range(4), 4)
    place = torch.tensor([*np.argsort(texts), -1])
    moved = replace(given_, images=given_.images[order], labels=place[given_.labels[order]], bank=given_.bank[texts])
    expected, found = loss(given_), loss(moved)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.item() == pytest.approx(expected.item())
        assert found.item() >= 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=8))
def test_matched_texts_are_distinct_and_each_image_has_its_own(own):
    given_ = batch(own)
    found, known = labelled(given_), [text for text in own if text >= 0]
    if len(set(known)) < 2:
        assert found is None
        return
    assert torch.equal(found.texts, given_.bank[sorted(set(known))])
    assert [sorted(set(known))[column] for column in found.right.int().argmax(1)] == known
    assert found.right.sum(1).tolist() == [1] * len(known)


def test_the_teachers_nearest_text_stands_for_a_missing_label():
    given_ = batch((3, -1, -1))
    nearest = (given_.teacher_images @ given_.teacher_bank.T).argmax(1)
    student, teacher = taught(given_)
    wanted = [3, *nearest[1:].tolist()]
    distinct = sorted(set(wanted))
    assert [distinct[column] for column in student.right.int().argmax(1)] == wanted
    assert torch.equal(teacher.texts, given_.teacher_bank[distinct])
    assert torch.equal(student.texts, given_.bank[distinct])


def test_labels_may_be_absent_altogether_where_the_teacher_stands_for_them():
    student, _ = taught(batch(labels=(0, 1, 2, 3, 3)))
    alone, _ = taught(replace(batch((0,) * 5, seed=3), labels=None))
    assert len(student.images) == len(alone.images) == 5


@pytest.mark.parametrize("absent", ["images", "bank", "teacher_images", "teacher_bank"])
def test_nothing_is_taught_without_both_sides(absent):
    assert taught(batch(**{absent: None})) is None


def test_nothing_is_taught_of_one_text_or_no_image():
    assert taught(batch((1, 1, 1))) is None
    assert taught(batch((0, 0), texts=1)) is None
    assert taught(replace(batch(), images=unit(0, 6, 0), teacher_images=unit(0, 6, 0))) is None
