"""Low-rank additions, probes and their folding at the edges: width 1, rank above the matrix, no bias, other layers."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from edgekit.converters.distill.students.adapt import (
    ALPHA_OVER_RANK,
    Frozen,
    LowRank,
    Mapped,
    Probe,
    adapted,
    last_linear,
    merged,
)
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.padded import Padded

_SOME = settings(max_examples=25, deadline=None)
_SIZES = st.integers(1, 6)


class Tower(nn.Module):
    """Two linear layers; says which is the last."""

    def __init__(self, inputs=3, hidden=4, outputs=2, *, bias=True, last="head"):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(hidden, outputs, bias=bias)
        self.last = last

    def forward(self, given):
        return self.head(self.drop(torch.tanh(self.first(given))))


def _filled(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module.eval()


def _batch(rows, inputs):
    return torch.randn(rows, inputs, generator=torch.Generator().manual_seed(9))


@_SOME
@given(_SIZES, _SIZES, st.integers(1, 9))
def test_an_addition_is_the_product_of_its_factors(outputs, inputs, rank):
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0))
    addition = _filled(LowRank(weight, rank))
    expected = weight.double() + ALPHA_OVER_RANK * addition.up.double() @ addition.down.double()
    torch.testing.assert_close(addition(weight).double(), expected, atol=1e-5, rtol=1e-5)
    assert addition.down.shape == (min(rank, outputs, inputs), inputs)
    assert addition.up.shape == (outputs, min(rank, outputs, inputs))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 3, 1, 1), (2, 1, 3, 3)], ids=str)
def test_at_full_rank_any_matrix_is_within_reach(shape):
    weight, target = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    addition = LowRank(weight, 99)
    outputs = shape[0]
    wanted = (target - weight).reshape(outputs, -1) / ALPHA_OVER_RANK
    u, s, v = torch.linalg.svd(wanted.double(), full_matrices=False)
    with torch.no_grad():
        addition.up.copy_((u * s).float())
        addition.down.copy_(v.float())
    torch.testing.assert_close(addition(weight), target, atol=1e-5, rtol=1e-5)


def test_only_the_second_factor_gets_a_gradient_at_first():
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    addition = LowRank(weight, 2)
    addition(weight).square().sum().backward()
    assert float(addition.up.grad.abs().max()) > 0
    assert float(addition.down.grad.abs().max()) == 0


@_SOME
@given(_SIZES, _SIZES, _SIZES, st.integers(1, 8), st.sampled_from(["lora", "probe"]), st.booleans())
def test_merging_changes_no_number_whatever_the_sizes(inputs, hidden, outputs, rank, train, bias):
    torch.manual_seed(0)
    tower = Tower(inputs, hidden, outputs, bias=bias)
    module = _filled(adapted(tower, train, rank, outputs))
    batch = _batch(3, inputs)
    with torch.no_grad():
        expected = module(batch)
        plain = finish(module)
        torch.testing.assert_close(plain(batch), expected, atol=1e-5, rtol=1e-4)
    assert type(plain) is Tower
    assert not parametrize.is_parametrized(plain.head)
    assert not plain.training


@pytest.mark.parametrize("train", ["lora", "probe"])
@pytest.mark.parametrize(("inputs", "hidden", "outputs"), [(1, 1, 1), (1, 6, 2), (6, 1, 6)], ids=str)
def test_it_starts_as_the_tower(train, inputs, hidden, outputs):
    torch.manual_seed(0)
    tower = Tower(inputs, hidden, outputs).eval()
    batch = _batch(1, inputs)
    expected = tower(batch).detach()
    torch.testing.assert_close(adapted(tower, train, 3, outputs).eval()(batch), expected, atol=0, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3, 50])
def test_the_number_of_learning_weights_follows_the_rank(rank):
    module = adapted(Tower(5, 3, 4), "lora", rank, 4)
    used = min(rank, 3)
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == used * (5 + 3) + used * (3 + 4)


def test_all_makes_everything_learn_and_is_the_tower_itself():
    tower = Tower().requires_grad_(False)
    assert adapted(tower, "all", 8, 2) is tower
    assert all(parameter.requires_grad for parameter in tower.parameters())
    assert merged(tower) is tower


@pytest.mark.parametrize("train", ["lora", "probe"])
def test_a_frozen_tower_stays_at_inference(train):
    module = adapted(Tower(), train, 2, 2)
    assert module.train() is module
    assert module.training
    assert not any(part.training for part in module.base.modules())
    batch = _batch(4, 3)
    assert torch.equal(module(batch), module(batch))  # no dropout


@pytest.mark.parametrize("train", ["lora", "probe"])
def test_finishing_leaves_what_was_trained_able_to_go_on(train):
    module = _filled(adapted(Tower(), train, 2, 2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    learning = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    finish(module)
    assert list(module.state_dict()) == list(before)
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    assert [name for name, parameter in module.named_parameters() if parameter.requires_grad] == learning
    module(_batch(2, 3)).sum().backward()


def test_two_copies_learn_apart():
    module = _filled(adapted(Tower(), "lora", 2, 2))
    other = copy.deepcopy(module)
    batch = _batch(2, 3)
    expected = other(batch).detach()
    _filled(module, seed=5)
    assert not torch.allclose(module(batch), expected)
    assert torch.equal(other(batch), expected)


def test_a_probes_map_is_folded_from_the_left():
    """A map that swaps the two numbers and adds to them, in numbers that show which side it stands on."""
    tower = Tower(2, 2, 2)
    probe = Probe(tower, 2)
    with torch.no_grad():
        tower.head.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tower.head.bias.copy_(torch.tensor([10.0, 20.0]))
        probe.map.weight.copy_(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
        probe.map.bias.copy_(torch.tensor([100.0, 200.0]))
    plain = finish(probe)
    assert plain.head.weight.tolist() == [[3.0, 4.0], [2.0, 4.0]]
    assert plain.head.bias.tolist() == [120.0, 220.0]


@pytest.mark.parametrize("last", ["", "drop"], ids=["says nothing", "says a layer without a matrix"])
def test_a_probe_that_cannot_be_folded_stays_the_last_layer(last):
    module = _filled(adapted(Tower(last=last), "probe", 1, 2))
    plain = finish(module)
    assert type(plain) is Mapped
    assert last_linear(plain) is plain.map
    torch.testing.assert_close(plain(_batch(2, 3)), module(_batch(2, 3)).detach())


def test_a_wrong_path_to_the_last_layer_is_no_silent_matter():
    with pytest.raises(AttributeError, match="missing"):
        last_linear(Tower(last="missing"))


def test_a_padded_tower_hands_on_where_its_last_layer_is():
    tower = Tower()
    assert last_linear(Padded(tower, 3, 0)) is tower.head
    tower.last = ""
    assert last_linear(Padded(tower, 3, 0)) is None


def test_a_probe_wants_the_towers_own_dimension():
    with pytest.raises(RuntimeError, match="shapes"):
        Probe(Tower(outputs=2), 3)(_batch(1, 3))


def test_a_frozen_tower_passes_gradients_to_what_is_before_it_a_probe_none():
    for module, reaches in ((Frozen(Tower()), True), (Probe(Tower(), 2), False)):
        given = _batch(2, 3).requires_grad_()
        module.eval()(given).sum().backward()
        assert (given.grad is not None) == reaches


@pytest.mark.parametrize("width", [2, 8], ids=["one head of two", "two heads of four"])
def test_torchs_own_attention_is_merged_too(width):
    torch.manual_seed(0)
    inner = nn.MultiheadAttention(width, max(1, width // 4), batch_first=True)

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, tokens):
            return self.inner(tokens, tokens, tokens, need_weights=False)[0]

    tokens = torch.randn(2, 3, width)
    module = _filled(adapted(Attending(), "lora", 2, width))
    with torch.no_grad():
        torch.testing.assert_close(finish(module)(tokens), module(tokens), atol=1e-5, rtol=1e-4)
    assert {n for n, p in module.named_parameters() if p.requires_grad} == {
        f"base.inner.{path}.0.{part}"
        for path in ("parametrizations.in_proj_weight", "out_proj.parametrizations.weight")
        for part in ("down", "up")
    }
