"""What rounding does to any values: how many levels, how far off, what stays, and what gradients see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn
from torch.nn.utils import parametrize

from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.rounding import (
    LEVELS,
    RoundInput,
    RoundRows,
    RoundWeight,
    add_rounding,
    affine,
    remove_rounding,
    symmetric,
)

_NORMAL = st.floats(-100, 100, width=32, allow_subnormal=False)
_MATRICES = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=_NORMAL)
_VECTORS = arrays.arrays(np.float32, st.integers(1, 40), elements=_NORMAL)
_SOME = settings(max_examples=25, deadline=None)


@_SOME
@given(_MATRICES, st.sampled_from([1, 7, 63, 127]))
def test_a_row_has_codes_within_its_levels_and_is_off_by_half_a_step_at_most(values, levels):
    found = symmetric(torch.from_numpy(values), levels).numpy().astype(np.float64)
    step = np.abs(values).max(1, keepdims=True).astype(np.float64) / levels
    codes = np.divide(found, step, out=np.zeros_like(found), where=step > 0)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    assert np.abs(np.rint(codes)).max() <= levels
    assert (np.abs(found - values) <= step * 0.5001 + 1e-37).all()


@_SOME
@given(_MATRICES, st.sampled_from([7, 63, 127]))
def test_rounding_a_weight_again_changes_nothing(values, levels):
    once = symmetric(torch.from_numpy(values), levels)
    torch.testing.assert_close(symmetric(once, levels), once, rtol=1e-5, atol=1e-36)


@_SOME
@given(_MATRICES, st.integers(-8, 8))
def test_a_weight_times_a_power_of_two_is_rounded_to_the_same_codes(values, exponent):
    values = np.where(np.abs(values) < 1e-20, np.float32(0), values)  # no product leaves the normal numbers
    weight, factor = torch.from_numpy(values), 2.0**exponent
    assert torch.equal(symmetric(weight * factor, 63), symmetric(weight, 63) * factor)


@_SOME
@given(_MATRICES)
def test_rounding_a_weight_is_odd_and_keeps_signs_and_the_largest_value(values):
    weight = torch.from_numpy(values)
    found = symmetric(weight, 63)
    assert torch.equal(symmetric(-weight, 63), -found)
    assert bool((found * weight >= 0).all())
    places = weight.abs().argmax(1, keepdim=True)
    torch.testing.assert_close(found.gather(1, places), weight.gather(1, places), rtol=1e-6, atol=1e-36)


@pytest.mark.parametrize("levels", [63, 127])
@pytest.mark.parametrize("tiny", [1e-45, 3e-44, 1e-40], ids=["one unit", "twenty units", "subnormal"])
def test_numbers_too_small_for_a_scale_stay_finite(tiny, levels):
    found = symmetric(torch.tensor([[tiny, 0.0, -tiny], [1.0, 0.5, 0.0]]), levels)
    assert bool(torch.isfinite(found).all())
    assert float(found[0].abs().max()) <= 2e-40
    assert found[1, 0] == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 1, 1), (2, 3, 5), (4, 1, 3, 3)], ids=str)
def test_each_index_of_the_first_axis_has_its_own_scale(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scaled = weight.clone()
    scaled[0] *= 1024
    before, after = symmetric(weight, 63), symmetric(scaled, 63)
    assert before.shape == shape
    assert torch.equal(after[0], before[0] * 1024)
    assert torch.equal(after[1:], before[1:])


@_SOME
@given(_VECTORS)
def test_activations_have_at_most_256_levels_and_hold_zero(values):
    x = torch.from_numpy(values)
    found = affine(x)
    assert found.shape == x.shape
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    step = (high - low) / 255
    assert len(torch.unique(found)) <= 256
    assert bool(((found - x).abs() <= 1.01 * step + 1e-30).all())
    assert bool((found[x == 0] == 0).all())
    if step > 1e-30:
        codes = found.double().numpy() / step
        np.testing.assert_allclose(codes, np.rint(codes), atol=5e-3)


@_SOME
@given(_VECTORS, st.integers(-6, 6))
def test_activations_times_a_power_of_two_are_rounded_alike(values, exponent):
    values = np.where(np.abs(values) < 1e-20, np.float32(0), values)
    factor = 2.0**exponent
    assert torch.equal(affine(torch.from_numpy(values) * factor), affine(torch.from_numpy(values)) * factor)


def test_rounding_activations_keeps_their_order():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).sort().values
    found = affine(x)
    assert bool((found.diff() >= 0).all())
    assert 100 < len(torch.unique(found)) <= 256


@pytest.mark.parametrize("values", [[5.0], [-5.0], [0.0], [1e-44, 0.0], [3.0, 3.0]], ids=str)
def test_one_value_alone(values):
    x = torch.tensor(values)
    torch.testing.assert_close(affine(x), x, rtol=1e-6, atol=1e-43)


@pytest.mark.parametrize("levels", [3, 63])
def test_a_weights_gradient_is_that_of_its_rounded_value(levels):
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    direction = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    rounded = RoundWeight(levels)(weight)
    torch.testing.assert_close(rounded, symmetric(weight.detach(), levels))
    (rounded * direction).sum().backward()
    assert torch.equal(weight.grad, direction)


def test_an_inputs_gradient_passes_and_other_arguments_too():
    x = torch.tensor([[0.1, -0.7, 0.3]], requires_grad=True)
    other = object()
    rounded, left = RoundInput()(nn.Identity(), (x, other))
    assert left is other
    torch.testing.assert_close(rounded, affine(x.detach()))
    (rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 1, 4), (2, 3, 4)], ids=str)
def test_looked_up_rows_of_any_shape_are_rounded_one_by_one(shape):
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = RoundRows()(nn.Identity(), (), rows)
    expected = torch.stack([symmetric(row[None], 127)[0] for row in rows.reshape(-1, 4)])
    torch.testing.assert_close(found.reshape(-1, 4), expected)
    assert found.shape == shape


KINDS = {
    "linear": (lambda: nn.Linear(5, 3), lambda: torch.randn(2, 5)),
    "linear of one": (lambda: nn.Linear(1, 1, bias=False), lambda: torch.randn(1, 1)),
    "convolution": (lambda: nn.Conv2d(2, 4, 3, groups=2), lambda: torch.randn(1, 2, 5, 5)),
    "table": (lambda: nn.Embedding(7, 4), lambda: torch.tensor([[1, 6]])),
    "bag": (lambda: nn.EmbeddingBag(7, 4, mode="sum"), lambda: torch.tensor([[1, 6]])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_rounded_and_comes_back_bit_by_bit(kind):
    torch.manual_seed(4)
    module, batch = KINDS[kind][0](), KINDS[kind][1]()
    net = nn.Sequential(module)
    expected, before = net(batch).detach(), {name: value.clone() for name, value in net.state_dict().items()}
    add_rounding(net)
    assert kind == "linear of one" or not torch.equal(net(batch), expected)
    torch.testing.assert_close(net(batch), expected, atol=0.1, rtol=0.1)
    remove_rounding(net)
    assert torch.equal(net(batch), expected)
    after = net.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert type(net[0]) is type(KINDS[kind][0]())
    assert not parametrize.is_parametrized(net[0])


@pytest.mark.parametrize("kind", KINDS)
def test_adding_twice_is_adding_once(kind):
    torch.manual_seed(4)
    module, batch = KINDS[kind][0](), KINDS[kind][1]()
    add_rounding(module)
    once = module(batch).detach()
    names = list(module.state_dict())
    add_rounding(module)
    assert list(module.state_dict()) == names
    assert torch.equal(module(batch), once)
    remove_rounding(module)
    remove_rounding(module)
    assert not any("parametrizations" in name for name in module.state_dict())


def test_fewer_levels_are_further_off():
    torch.manual_seed(0)
    errors = []
    for levels in (127, LEVELS, 7, 1):
        layer = nn.Linear(32, 16)
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
        plain = layer.weight.detach().clone()
        add_rounding(layer, levels=levels)
        errors.append(float((layer.weight.detach() - plain).square().mean()))
    assert errors == sorted(errors)
    assert errors[0] < errors[-1] / 1000


def test_norms_and_what_has_no_weight_are_left_alone():
    net = nn.Sequential(nn.LayerNorm(4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5)).eval()
    batch = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = net(batch).detach()
    add_rounding(net)
    assert torch.equal(net(batch), expected)


def test_a_biass_precision_stays():
    layer = nn.Linear(4, 2)
    bias = layer.bias.detach().clone()
    add_rounding(layer, levels=1)
    torch.testing.assert_close(layer(torch.zeros(1, 4))[0], bias, rtol=0, atol=0)


def test_a_weight_at_zero_can_still_learn():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.zero_()
    add_rounding(layer)
    layer(torch.ones(1, 3)).sum().backward()
    assert torch.equal(layer.parametrizations.weight.original.grad, torch.ones(2, 3))


def test_finishing_one_of_two_rounded_modules_leaves_the_other():
    torch.manual_seed(0)
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    for layer in (first, second):
        add_rounding(layer)
    batch = torch.randn(2, 4)
    expected = second(batch).detach()
    finish(first)
    assert torch.equal(second(batch), expected)
    assert parametrize.is_parametrized(first, "weight")
