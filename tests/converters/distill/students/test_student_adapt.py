"""Low-rank additions and probes: nothing changes at the start, little learns, and merging is exact."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.converters.distill.students.adapt import Frozen, LowRank, Mapped, Probe, adapted, last_linear
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.rounding import add_rounding
from edgekit.converters.distill.students.weights import count


class Net(nn.Module):
    """A convolution with normalization, a linear layer, and one at the end."""

    def __init__(self, bias=True, last="head"):
        super().__init__()
        self.kernel = nn.Conv2d(3, 6, 3, padding=1, groups=3)
        self.norm = nn.BatchNorm2d(6)
        self.middle = nn.Linear(6, 8)
        self.head = nn.Linear(8, 5, bias=bias)
        self.last = last

    def forward(self, planes):
        x = torch.relu(self.norm(self.kernel(planes))).mean((2, 3))
        return self.head(torch.relu(self.middle(x)))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def planes():
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def _learnt(module, planes, steps=5):
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 0.05)
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        (module(planes) - 1).square().mean().backward()
        optimizer.step()
    return module.eval()


@pytest.mark.parametrize("train", ["lora", "probe"])
def test_the_tower_starts_unchanged_and_then_learns(train, planes):
    net = Net().eval()
    expected = net(planes).detach()
    module = adapted(net, train, 2, 5)
    torch.testing.assert_close(module.eval()(planes), expected)
    learnt = _learnt(module, planes)(planes)
    assert (learnt - 1).square().mean() < 0.8 * (expected - 1).square().mean()


@pytest.mark.parametrize("train", ["lora", "probe"])
def test_only_the_addition_learns(train, planes):
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    module = adapted(net, train, 2, 5)
    learning = {name for name, p in module.named_parameters() if p.requires_grad}
    expected = {"map.weight", "map.bias"} if train == "probe" else set()
    if train == "lora":
        layers = ("kernel", "middle", "head")
        expected = {f"base.{n}.parametrizations.weight.0.{part}" for n in layers for part in ("up", "down")}
    assert learning == expected
    _learnt(module, planes)
    after = {name.replace("parametrizations.weight.original", "weight"): v for name, v in net.state_dict().items()}
    # The statistics of the normalization too, although the module was in training mode.
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("bias", [True, False], ids=["with a bias", "without"])
@pytest.mark.parametrize("train", ["lora", "probe"])
def test_merging_is_exact_and_leaves_plain_layers(train, bias, planes):
    module = _learnt(adapted(Net(bias), train, 2, 5), planes)
    plain = finish(module)
    with torch.no_grad():
        torch.testing.assert_close(plain(planes), module(planes), atol=1e-6, rtol=1e-5)
    assert type(plain) is Net
    assert [type(part) for part in plain.modules()] == [type(part) for part in Net().modules()]
    assert count(plain) == count(Net(bias)) + (5 if train == "probe" and not bias else 0)
    assert not any(p.requires_grad for p in plain.parameters())


def test_a_probe_behind_anything_else_stays_a_layer(planes):
    module = _learnt(adapted(Net(last=""), "probe", 2, 5), planes)
    plain = finish(module)
    assert type(plain) is Mapped
    torch.testing.assert_close(plain(planes), module(planes).detach(), atol=1e-6, rtol=1e-5)
    assert last_linear(plain) is plain.map


def test_no_gradient_reaches_a_probed_tower(planes):
    module = Probe(Net(), 5)
    given = planes.clone().requires_grad_(True)
    module(given).sum().backward()
    assert given.grad is None


def test_rounding_on_top_of_low_rank_additions_goes_and_they_stay(planes):
    module = adapted(Net(), "lora", 2, 5)
    _learnt(module, planes)
    expected = module(planes).detach()
    add_rounding(module)
    assert not torch.allclose(module(planes), expected, atol=1e-4)
    torch.testing.assert_close(finish(module)(planes), expected, atol=1e-6, rtol=1e-5)


def test_attention_of_torch_gets_an_addition_too():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    module = Frozen(nn.Sequential(attention))
    adapted(attention, "lora", 2, 8)
    with torch.no_grad():
        attention.parametrizations.in_proj_weight[0].up.fill_(0.3)
    tokens = torch.randn(2, 3, 8)
    before = attention(tokens, tokens, tokens)[0].detach()
    merged = finish(module)[0]
    torch.testing.assert_close(merged(tokens, tokens, tokens)[0], before, atol=1e-6, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9))
def test_an_addition_has_at_most_its_rank(outputs, inputs, rank):
    weight = torch.zeros(outputs, inputs, 1, 1)
    addition = LowRank(weight, rank)
    assert torch.equal(addition(weight), weight)
    with torch.no_grad():
        addition.up.normal_(generator=torch.Generator().manual_seed(0))
    found = addition(weight)
    assert found.shape == weight.shape
    allowed = min(rank, outputs, inputs)
    assert torch.linalg.matrix_rank(found.detach().reshape(outputs, inputs).double(), rtol=1e-5) <= allowed
    assert sum(p.numel() for p in addition.parameters()) == min(rank, outputs, inputs) * (outputs + inputs)
