"""Losses that compare rows, and distances between rows, with the teacher's: feature, cosine, geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.losses.feature import cosine, feature
from edgekit.converters.distill.losses.geometry import geometry
from loss_inputs import batch, images_alone, nothing, pair, texts, unit


def test_feature_is_the_mean_squared_distance_of_rows():
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    teacher = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert feature(images_alone(student, teacher)).item() == pytest.approx((2 + 0) / 2)


def test_cosine_is_half_of_feature_for_unit_rows():
    given_ = images_alone(unit(7, 5, 0), unit(7, 5, 1))
    assert cosine(given_).item() == pytest.approx(feature(given_).item() / 2)


def test_towers_are_added():
    image, text = images_alone(unit(3, 5, 0), unit(3, 5, 1)), texts(unit(4, 5, 2), unit(4, 5, 3))
    both = nothing(image=image.image, text=text.text)
    for loss in (feature, cosine, geometry):
        assert loss(both).item() == pytest.approx(loss(image).item() + loss(text).item())


def test_mapped_rows_are_compared_where_dimensions_differ():
    student, teacher, mapped = unit(3, 4, 0), unit(3, 6, 1), 2 * unit(3, 6, 2)
    given_ = images_alone(student, teacher, mapped)
    distances = ((mapped - teacher).numpy() ** 2).sum(1)
    assert feature(given_).item() == pytest.approx(distances.mean())
    angles = (mapped.numpy() / 2 * teacher.numpy()).sum(1)
    assert cosine(given_).item() == pytest.approx(1 - angles.mean())


def test_cosine_is_blind_to_length_and_feature_is_not():
    student, teacher = unit(3, 4, 0), unit(3, 6, 1)
    near, far = images_alone(student, teacher, teacher), images_alone(student, teacher, 3 * teacher)
    assert cosine(far).item() == pytest.approx(0, abs=1e-12)
    assert (feature(near).item(), feature(far).item()) == (0, pytest.approx(4))


@pytest.mark.parametrize("loss", [feature, cosine, geometry], ids=lambda loss: loss.__name__)
def test_a_student_that_is_its_teacher_loses_nothing(loss):
    rows = unit(6, 5, 0)
    assert loss(images_alone(rows, rows)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", [feature, cosine, geometry], ids=lambda loss: loss.__name__)
def test_without_a_tower_that_learns_there_is_no_loss(loss):
    kept = batch(image=None)
    assert loss(kept) is None


@pytest.mark.parametrize("loss", [feature, cosine, geometry], ids=lambda loss: loss.__name__)
def test_gradients_are_right(loss):
    teacher = unit(4, 5, 1)
    rows = unit(4, 5, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda student: loss(nothing(image=pair(student, teacher))), (rows,))


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(6)), st.sampled_from([feature, cosine, geometry]))
def test_the_order_of_a_batch_does_not_matter(order, loss):
    student, teacher, moved = unit(6, 5, 0), unit(6, 5, 1), list(order)
    expected = loss(images_alone(student, teacher)).item()
    assert loss(images_alone(student[moved], teacher[moved])).item() == pytest.approx(expected)


def test_geometry_is_the_published_formula():
    student, teacher = unit(4, 3, 0).numpy(), unit(4, 7, 1).numpy()

    def distances(rows):
        apart = [np.linalg.norm(rows[i] - rows[j]) for i in range(4) for j in range(i + 1, 4)]
        return np.array(apart) / np.mean(apart)

    off = np.abs(distances(student) - distances(teacher))
    huber = np.where(off < 1, off**2 / 2, off - 0.5).mean()
    found = geometry(images_alone(torch.from_numpy(student), torch.from_numpy(teacher)))
    assert found.item() == pytest.approx(huber)


def test_geometry_does_not_see_a_rotation():
    teacher = unit(6, 5, 0)
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    assert geometry(images_alone(teacher @ turn, teacher)).item() == pytest.approx(0, abs=1e-12)
    assert feature(images_alone(teacher @ turn, teacher)).item() > 0.1


def test_geometry_has_a_finite_slope_where_rows_are_equal():
    rows = unit(1, 5, 0).repeat(4, 1).requires_grad_()
    geometry(images_alone(rows, unit(4, 5, 1))).backward()
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("count", [1, 2])
def test_geometry_needs_three_rows(count):
    assert geometry(images_alone(unit(count, 5, 0), unit(count, 5, 1))) is None
