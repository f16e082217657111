"""Padding in every text tower and masks in attention, down to one token, one head, width 1 and padding alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.converters.distill.students.attention import Attention, OpenClipAttention, unpack, unpacked
from edgekit.converters.distill.students.padded import Padded
from edgekit.converters.distill.students.static import make_static
from edgekit.converters.distill.students.transformer import Block, TextTransformer, default_factor
from edgekit.converters.graph.masks import MASKED

_PAD, _LENGTH, _TOKENS, _DIMENSION = 1, 9, 30, 5
_SOME = settings(max_examples=25, deadline=None)
_IDS = st.lists(st.integers(2, _TOKENS - 1), min_size=1, max_size=_LENGTH - 2)


def _transformer(width=8, heads=2, layers=1, factor=0):
    torch.manual_seed(0)
    made = TextTransformer(_TOKENS, factor or width, width, layers, heads, _LENGTH, _DIMENSION, _PAD)
    nn.init.normal_(made.table.weight)
    return made.eval()


def _static(width=8, heads=2, layers=0):
    torch.manual_seed(0)
    made = make_static(
        _TOKENS, dimension=_DIMENSION, pad_id=_PAD, context_length=_LENGTH, width=width, layers=layers, heads=heads
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
        made.table.weight[_PAD].zero_()
    return made.eval()


TOWERS = {
    "transformer": _transformer(),
    "transformer of one head": _transformer(heads=1),
    "transformer of width 1": _transformer(width=1, heads=1),
    "transformer of two layers": _transformer(layers=2),
    "factorized transformer": _transformer(factor=3),
    "transformer without layers": _transformer(layers=0),
    "bag": _static(),
    "bag of width 1": _static(width=1, heads=1),
    "bag that mixes": _static(layers=1),
    "bag of one head that mixes": _static(layers=1, heads=1),
}


@pytest.mark.parametrize("name", TOWERS)
@settings(max_examples=8, deadline=None)
@given(ids=_IDS, padding=st.integers(1, 2))
def test_padding_behind_a_text_changes_nothing(name, ids, padding):
    tower = TOWERS[name]
    with torch.inference_mode():
        short, padded = tower(torch.tensor([ids])), tower(torch.tensor([ids + [_PAD] * padding]))
    torch.testing.assert_close(short, padded, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", TOWERS)
def test_rows_of_a_batch_do_not_see_each_other(name):
    tower = TOWERS[name]
    ids = torch.tensor([[2, 3, 4, 5], [6, _PAD, _PAD, _PAD], [_PAD] * 4, [7, 8, 9, _PAD]])
    with torch.inference_mode():
        together = tower(ids)
        alone = torch.cat([tower(row[None]) for row in ids])
    assert together.shape == (4, _DIMENSION)
    assert bool(torch.isfinite(together).all())
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", TOWERS)
def test_padding_alone_is_the_same_at_any_length_and_has_finite_gradients(name):
    tower = TOWERS[name]
    rows = [tower(torch.full((1, length), _PAD)) for length in (1, 4, _LENGTH)]
    for row in rows[1:]:
        torch.testing.assert_close(row, rows[0], atol=1e-5, rtol=1e-5)
    tower.zero_grad()
    rows[-1].sum().backward()
    found = [parameter.grad for parameter in tower.parameters() if parameter.grad is not None]
    assert found
    assert all(bool(torch.isfinite(gradient).all()) for gradient in found)


@pytest.mark.parametrize("name", TOWERS)
def test_no_gradient_reaches_the_vector_of_the_padding(name):
    tower = TOWERS[name]
    tower.zero_grad()
    tower(torch.tensor([[2, 3, _PAD, _PAD]])).square().sum().backward()
    gradient = tower.table.weight.grad
    assert float(gradient[_PAD].abs().max()) == 0
    assert float(gradient[4:].abs().max()) == 0


@pytest.mark.parametrize("name", [name for name in TOWERS if "width 1" not in name])
def test_a_text_of_one_token_tells_tokens_apart(name):
    with torch.inference_mode():
        rows = TOWERS[name](torch.tensor([[2], [3]]))
    assert float((rows[0] - rows[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["transformer", "bag that mixes", "transformer without layers"])
def test_the_order_of_tokens_counts_where_there_are_positions(name):
    with torch.inference_mode():
        first, second = TOWERS[name](torch.tensor([[2, 3, 4], [4, 3, 2]]))
    # A mean of tokens that nothing mixed only sees positions through its norm.
    assert float((first - second).abs().max()) > 1e-5


def test_a_transformer_without_layers_is_a_mean_of_normalized_tokens():
    tower = TOWERS["transformer without layers"]
    ids = [5, 9, 2]
    with torch.inference_mode():
        found = tower(torch.tensor([[*ids, _PAD]]))[0].double().numpy()
    table, places = (value.detach().double().numpy() for value in (tower.table.weight, tower.positions))
    tokens = table[ids] + places[: len(ids)]
    centred = tokens - tokens.mean(1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(1, keepdims=True) + tower.norm.eps)
    head, bias = tower.head.weight.detach().double().numpy(), tower.head.bias.detach().double().numpy()
    np.testing.assert_allclose(found, normal.mean(0) @ head.T + bias, atol=1e-5)


def _by_hand(attention, tokens, mask):
    """Return softmax(q kᵀ / √d + mask) v, head by head, in NumPy."""
    weight, bias = (p.detach().double().numpy() for p in (attention.qkv.weight, attention.qkv.bias))
    q, k, v = np.split(tokens @ weight.T + bias, 3, axis=-1)
    size, mixed = attention.head_dim, []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[:, part] @ k[:, part].T / math.sqrt(size) + mask
        weights = np.exp(logits - logits.max(1, keepdims=True))
        mixed.append(weights / weights.sum(1, keepdims=True) @ v[:, part])
    out, more = (p.detach().double().numpy() for p in (attention.out.weight, attention.out.bias))
    return np.concatenate(mixed, 1) @ out.T + more


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize(
    ("width", "heads", "size"),
    [(1, 1, 1), (6, 1, 6), (6, 3, 2), (6, 2, 2), (4, 3, 3)],
    ids=["width 1", "one head", "three heads", "narrower heads", "wider heads"],
)
def test_attention_is_its_formula(width, heads, size, length):
    torch.manual_seed(0)
    attention = Attention(width, heads, size)
    tokens = torch.randn(1, length, width)
    mask = torch.zeros(length)
    mask[1:] = MASKED
    with torch.no_grad():
        found = attention(tokens, mask[None, None, None])[0].numpy()
        free = attention(tokens)[0].numpy()
    np.testing.assert_allclose(found, _by_hand(attention, tokens[0].double().numpy(), mask.numpy()), atol=1e-5)
    np.testing.assert_allclose(free, _by_hand(attention, tokens[0].double().numpy(), 0.0), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
def test_the_traced_form_of_attention_gives_the_same_numbers(masked, monkeypatch):
    from edgekit.converters.distill.students import attention as module

    torch.manual_seed(0)
    attention, tokens = Attention(6, 2, 3), torch.randn(2, 4, 6)
    mask = torch.tensor([0, 0, MASKED, MASKED])[None, None, None] if masked else None
    with torch.no_grad():
        fast = attention(tokens, mask)
        monkeypatch.setattr(module, "is_tracing", lambda: True)
        torch.testing.assert_close(attention(tokens, mask), fast, atol=1e-5, rtol=1e-5)


def test_a_boolean_mask_hides_and_a_causal_token_sees_no_later_one():
    torch.manual_seed(0)
    attention, tokens = OpenClipAttention(6, 2, 3), torch.randn(1, 4, 6)
    mask = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    changed = tokens.clone()
    changed[0, 3] += 5
    with torch.no_grad():
        (before, _), (after, _) = (attention(t, t, t, attn_mask=mask) for t in (tokens, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [{"add_bias_kv": True}, {"add_zero_attn": True}, {"bias": False}, {"dropout": 0.1}, {"kdim": 4, "vdim": 4}],
    ids=lambda options: next(iter(options)),
)
def test_attention_of_another_kind_is_refused(options):
    with pytest.raises(ValueError, match="this kind of attention is not covered"):
        unpacked(nn.MultiheadAttention(8, 2, batch_first=True, **options))


def test_only_plain_blocks_are_unpacked():
    class ResidualAttentionBlock(nn.Module):
        def __init__(self, crossed):
            super().__init__()
            self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
            if crossed:
                self.ln_1_kv = nn.LayerNorm(4)

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(4, 2, batch_first=True)

    parts = nn.ModuleList([ResidualAttentionBlock(False), ResidualAttentionBlock(True), Other()])
    unpack(parts)
    assert [type(part.attn) for part in parts] == [OpenClipAttention, nn.MultiheadAttention, nn.MultiheadAttention]


def test_a_block_that_writes_nothing_is_the_identity():
    block = Block(6, 2)
    for layer in (block.attention.out, block.mlp[2]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    tokens = torch.randn(2, 3, 6)
    assert torch.equal(block(tokens, torch.zeros(2, 1, 1, 3)), tokens)


class Seen(nn.Module):
    """Returns the ids it was given."""

    def forward(self, ids):
        return ids.float()


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_padded_tower_always_sees_whole_texts(length):
    ids = torch.arange(2, 2 + 2 * length).reshape(2, length)
    found = Padded(Seen(), 5, _PAD)(ids)
    assert found.shape == (2, 5)
    assert torch.equal(found[:, :length], ids.float())
    assert bool((found[:, length:] == _PAD).all())


@_SOME
@given(st.integers(1, 50_000), st.integers(1, 512))
def test_the_token_tables_columns_are_never_more_than_the_width(vocabulary, width):
    found = default_factor(vocabulary, width)
    assert 1 <= found <= width
    assert found == width or (vocabulary > 2048 and found == max(32, width // 4))
