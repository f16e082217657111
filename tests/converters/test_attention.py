from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.attention import PlainAttention, written_out


def attention(**changes):
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(**{"embed_dim": 12, "num_heads": 3, "batch_first": True, **changes}).eval()
    if module.in_proj_bias is not None:
        torch.nn.init.normal_(module.in_proj_bias)
    return module


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 4),
    length=st.integers(1, 6),
    context=st.integers(1, 6),
    bias=st.booleans(),
    batch_first=st.booleans(),
    heads=st.sampled_from([1, 2, 3]),
    mask=st.sampled_from(["none", "float", "bool", "each"]),
)
def test_it_computes_what_pytorch_computes(rows, length, context, bias, batch_first, heads, mask):
    original = attention(bias=bias, batch_first=batch_first, num_heads=heads)
    plain = PlainAttention(original)
    query, other = torch.randn(rows, length, 12), torch.randn(rows, context, 12)
    if not batch_first:
        query, other = query.transpose(0, 1), other.transpose(0, 1)
    masks = {
        "none": None,
        "float": torch.randn(length, context),
        "bool": torch.zeros(length, context, dtype=torch.bool).index_fill(1, torch.tensor([context - 1]), context > 1),
        "each": torch.randn(rows * heads, length, context),
    }
    with torch.no_grad():
        expected, weights = original(query, other, other, attn_mask=masks[mask])
        found, found_weights = plain(query, other, other, attn_mask=masks[mask])
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found_weights, weights, atol=2e-6, rtol=1e-5)


def test_self_attention_and_weights_per_head():
    original, x = attention(), torch.randn(2, 5, 12)
    plain = PlainAttention(original)
    expected, weights = original(x, x, x, average_attn_weights=False)
    found, found_weights = plain(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found_weights, weights, atol=2e-6, rtol=1e-5)
    assert plain(x, x, x, need_weights=False)[1] is None


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_padding_masks(kind):
    original, x = attention(), torch.randn(3, 4, 12)
    padding = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]], dtype=torch.bool)
    if kind == "float":
        padding = torch.zeros(3, 4).masked_fill(padding, -1e9)
    expected, _ = original(x, x, x, key_padding_mask=padding)
    found, _ = PlainAttention(original)(x, x, x, key_padding_mask=padding)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_keys_and_values_of_other_widths():
    original = attention(kdim=7, vdim=5)
    query, key, value = torch.randn(2, 3, 12), torch.randn(2, 4, 7), torch.randn(2, 4, 5)
    expected, _ = original(query, key, value)
    found, _ = PlainAttention(original)(query, key, value)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_the_copy_shares_weights_and_the_original_stays():
    model = torch.nn.Sequential(torch.nn.Linear(12, 12), torch.nn.ModuleDict({"attention": attention()}))
    copy = written_out(model)
    assert type(copy[1]["attention"]) is PlainAttention
    assert type(model[1]["attention"]) is torch.nn.MultiheadAttention
    assert copy[0].weight is model[0].weight
    assert copy[1]["attention"].in_proj_weight is model[1]["attention"].in_proj_weight
    assert not copy[1]["attention"].training


def test_nothing_to_replace_means_no_copy():
    model = torch.nn.Linear(3, 3)
    assert written_out(model) is model


@pytest.mark.parametrize("setting", ["add_bias_kv", "add_zero_attn"])
def test_extra_keys_are_not_covered(setting):
    original = attention(**{setting: True})
    model = torch.nn.Sequential(original)
    assert written_out(model) is model
    with pytest.raises(ValueError, match="extra key"):
        PlainAttention(original)
