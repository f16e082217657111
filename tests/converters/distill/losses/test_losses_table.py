"""The table of losses, and their weighted sum over teachers."""

from __future__ import annotations

import pytest
import torch

from edgekit.converters.distill.losses.table import LOSSES, total
from edgekit.errors import InputError
from loss_inputs import agreed, batch, images_alone, nothing, texts, unit


def test_every_loss_tells_what_it_is_and_where_it_comes_from():
    for name, loss in LOSSES.items():
        assert loss.compute.__name__ == name
        assert loss.description
        assert "arXiv" in loss.source
        assert loss.source.split("arXiv ")[1][:10] in (loss.compute.__doc__ or "").replace("\n    ", " ")


def test_losses_without_a_teacher_are_marked():
    given_, blind = batch(), batch(image=None, teacher_images=None, teacher_bank=None)
    for name, loss in LOSSES.items():
        assert loss.compute(given_) is not None, name
        assert (loss.compute(blind) is None) == loss.teacher, name


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_finite_and_goes_down_its_slope(name):
    given_ = batch((0, 1, 2, 0, 3), dimension=8)
    raw = given_.images.clone().requires_grad_()

    def value(rows):
        images = torch.nn.functional.normalize(rows, dim=1)
        shown = {"image": images_alone(images, given_.teacher_images).image, "images": images}
        return LOSSES[name].compute(batch((0, 1, 2, 0, 3), dimension=8, **shown))

    before = value(raw)
    before.backward()
    after = value(raw.detach() - 0.01 * raw.grad / raw.grad.norm())
    assert torch.isfinite(before)
    assert after < before


def test_a_total_is_the_weighted_sum_and_tells_its_parts():
    given_ = batch()
    found, parts = total([(1.0, given_)], {"feature": 2.0, "labels": 0.5})
    assert set(parts) == {"feature", "labels"}
    assert parts["labels"].item() == LOSSES["labels"].compute(given_).item()
    assert found.item() == pytest.approx(2 * parts["feature"].item() + 0.5 * parts["labels"].item())
    assert not parts["labels"].requires_grad


def test_teachers_are_weighted_and_labels_counted_once():
    first, second = batch(), batch(teacher_images=unit(5, 6, 7), teacher_bank=unit(4, 6, 8))
    _, parts = total([(1.0, first), (3.0, second)], {"bank": 1.0, "labels": 1.0})
    expected = LOSSES["bank"].compute(first).item() + 3 * LOSSES["bank"].compute(second).item()
    assert parts["bank"].item() == pytest.approx(expected)
    assert parts["labels"].item() == LOSSES["labels"].compute(first).item()


def test_a_teacher_that_a_loss_does_not_apply_to_is_left_out():
    other = batch(teacher_images=unit(5, 7, 0), teacher_bank=unit(4, 7, 1))
    _, parts = total([(1.0, batch()), (1.0, other)], {"gradient": 1.0})
    assert parts["gradient"].item() == LOSSES["gradient"].compute(batch()).item()


def test_a_loss_that_does_not_apply_is_left_out():
    found, parts = total([(1.0, texts(unit(4, 6, 0), unit(4, 6, 1)))], {"labels": 1.0, "feature": 1.0})
    assert set(parts) == {"feature"}
    assert found.item() == parts["feature"].item()


def test_a_weight_of_zero_is_not_computed():
    _, parts = total([(1.0, agreed())], {"labels": 0.0, "feature": 1.0})
    assert set(parts) == {"feature"}


def test_a_batch_without_any_loss_is_refused_with_what_it_has():
    with pytest.raises(InputError, match=r"none of labels, sigmoid applies to this batch of 3 images, 0 of them"):
        total([(1.0, batch((-1, -1, -1)))], {"labels": 1.0, "sigmoid": 1.0})
    with pytest.raises(InputError, match="no loss"):
        total([(1.0, nothing())], {})


def test_an_unknown_loss_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="losses: wrong is not known; there are feature, cosine"):
        total([(1.0, batch())], {"wrong": 1.0})


def test_the_gradient_reaches_scale_and_bias():
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    found, _ = total([(1.0, batch(scale=scale, bias=bias))], {"sigmoid": 1.0})
    found.backward()
    assert scale.grad is not None
    assert bias.grad is not None
