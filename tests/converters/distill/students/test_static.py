"""The static text tower: what it computes, how it starts, and the graph it becomes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from edgekit.converters import towers
from edgekit.converters.distill.students import rounding, static
from edgekit.errors import InputError

_PAD, _LENGTH, _VOCABULARY, _DIMENSION = 2, 12, 100, 24


def _tower(layers=0, width=16, seed=0):
    torch.manual_seed(seed)
    tower = static.make_static(
        _VOCABULARY,
        dimension=_DIMENSION,
        pad_id=_PAD,
        context_length=_LENGTH,
        width=width,
        layers=layers,
        heads=2,
    )
    for block in tower.blocks:
        torch.nn.init.normal_(block.attention.out.weight)
        torch.nn.init.normal_(block.mlp[2].weight)
    if tower.positions is not None:
        torch.nn.init.normal_(tower.positions)
    return tower.eval()


_ids = st.lists(st.integers(3, _VOCABULARY - 1), min_size=1, max_size=_LENGTH - 3)


@pytest.mark.parametrize("layers", [0, 1])
@settings(deadline=None, max_examples=25)
@given(ids=_ids, padding=st.integers(1, 3))
def test_padding_changes_nothing(layers, ids, padding):
    tower = _tower(layers)
    with torch.inference_mode():
        short, padded = tower(torch.tensor([ids])), tower(torch.tensor([ids + [_PAD] * padding]))
    torch.testing.assert_close(short, padded, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(ids=_ids, order=st.randoms(use_true_random=False))
def test_without_layers_the_order_of_tokens_is_lost(ids, order):
    tower, shuffled = _tower(), list(ids)
    order.shuffle(shuffled)
    with torch.inference_mode():
        torch.testing.assert_close(tower(torch.tensor([ids])), tower(torch.tensor([shuffled])), rtol=1e-4, atol=1e-4)


def test_with_a_layer_the_order_of_tokens_counts():
    tower = _tower(1)
    with torch.inference_mode():
        first, second = tower(torch.tensor([[5, 6, 7], [7, 6, 5]]))
    assert (first - second).abs().max() > 1e-3


def test_a_fresh_layer_changes_nothing():
    torch.manual_seed(0)
    tower = static.make_static(_VOCABULARY, dimension=_DIMENSION, pad_id=_PAD, context_length=_LENGTH, layers=1)
    plain = static.make_static(_VOCABULARY, dimension=_DIMENSION, pad_id=_PAD, context_length=_LENGTH)
    plain.load_state_dict({name: value for name, value in tower.state_dict().items() if name in plain.state_dict()})
    ids = torch.tensor([[5, 6, 7, _PAD]])
    torch.testing.assert_close(tower.eval()(ids), plain.eval()(ids), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_text_of_padding_alone_is_finite(layers):
    with torch.inference_mode():
        assert torch.isfinite(_tower(layers)(torch.full((2, 4), _PAD))).all()


@pytest.mark.parametrize("rounded", [False, True])
def test_the_row_of_the_padding_stays_zero(rounded):
    tower = _tower().train()
    if rounded:
        rounding.add_rounding(tower)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        tower(torch.tensor([[3, 4, _PAD, _PAD]])).square().sum().backward()
        optimizer.step()
    assert not tower.table.weight[_PAD].any()
    assert tower.table.weight[3].any()


@pytest.mark.parametrize(("layers", "most"), [(0, 25), (1, 100)])
def test_it_exports_to_a_small_graph_with_free_lengths(layers, most, tmp_path):
    tower = towers.text_tower(_tower(layers), _LENGTH, _PAD)
    tower.export(tmp_path / "text.onnx")
    graph = onnx.load(tmp_path / "text.onnx", load_external_data=False).graph
    assert len(graph.node) <= most
    assert [side.dim_param for side in graph.input[0].type.tensor_type.shape.dim] == ["N", "L"]
    kinds = [node.op_type for node in graph.node]
    assert "Gather" in kinds
    assert ("Equal" in kinds) == bool(layers)  # a bag needs no mask


def test_sizes_default_and_heads_must_divide_the_width():
    made = static.make_static(9, dimension=4, pad_id=0, context_length=5)
    assert made.table.weight.shape == (9, static.WIDTH)
    assert made.positions is None
    with pytest.raises(InputError, match=r"student\.text\.heads: 5"):
        static.make_static(9, dimension=4, pad_id=0, context_length=5, layers=1, heads=5)


def _rows(seed=0, dimension=_DIMENSION):
    return np.random.default_rng(seed).normal(size=(_VOCABULARY, dimension)).astype(np.float32)


def test_it_starts_as_the_weighted_sum_of_the_teachers_vectors():
    tower, rows = _tower(width=_DIMENSION), _rows()
    counts = np.ones(_VOCABULARY, np.int64)
    counts[3] = 10**6
    static.initialize(tower, rows, counts)
    share = counts / counts.sum()
    sums = (rows * (1e-3 / (1e-3 + share))[:, None])[[3, 9, 11]].sum(0)
    with torch.inference_mode():
        made = tower(torch.tensor([[3, 9, 11, _PAD]]))[0].numpy()
    # The normalization takes off the mean of the numbers: one of 24 directions.
    assert float(made @ sums / np.linalg.norm(made) / np.linalg.norm(sums)) > 0.9
    lengths = np.linalg.norm(tower.table.weight.detach().numpy(), axis=1)
    assert lengths[3] < 0.01 * lengths[9]
    assert lengths[_PAD] == 0


def test_the_kept_axes_are_those_along_which_used_tokens_vary():
    rows = np.zeros((_VOCABULARY, 6), np.float32)
    rows[:20, 0] = np.linspace(-5, 5, 20)
    rows[:20, 1] = np.cos(np.arange(20))
    rows[20:, 5] = 100.0
    counts = np.r_[np.ones(20, np.int64), np.zeros(_VOCABULARY - 20, np.int64)]
    tower = _tower(width=2)
    static.initialize(tower, rows, counts)
    kept = tower.head.weight.detach().numpy()[:6, :2]
    np.testing.assert_allclose(kept.T @ kept, np.eye(2), atol=1e-5)
    assert np.abs(kept[5]).max() < 1e-4


def test_more_width_than_the_teacher_has_axes_leaves_the_rest_at_zero():
    tower = _tower(width=30)
    static.initialize(tower, _rows(), np.ones(_VOCABULARY, np.int64))
    assert not tower.table.weight[:, _DIMENSION:].any()
    assert tower.table.weight[3, :_DIMENSION].any()


def test_the_start_needs_one_row_and_one_count_for_each_token():
    with pytest.raises(InputError, match="99 rows and 100 counts for 100 tokens"):
        static.initialize(_tower(), _rows()[:-1], np.ones(_VOCABULARY, np.int64))


def _tokenizer(vocab):
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]"])
    return tokenizer.to_str()


def test_each_token_is_embedded_alone_and_once():
    vocab = {"[PAD]": 0, "[UNK]": 1, "cat": 2, "##ing": 3, "ing": 4, "dog": 5}
    asked, seen = [], []

    def embed(texts):
        asked.extend(texts)
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)

    rows = static.token_rows(embed, _tokenizer(vocab), len(vocab), lambda done, of: seen.append((done, of)))
    assert sorted(asked) == ["cat", "dog", "ing"]
    assert seen == [(3, 3)]
    assert not rows[:2].any()
    np.testing.assert_array_equal(rows[3], rows[4])
    np.testing.assert_allclose(rows[[2, 4, 5]].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(rows[2] - rows[5], [0, ord("c") - ord("d")], atol=1e-5)


def test_a_tokenizer_of_special_tokens_alone_is_refused():
    with pytest.raises(InputError, match="none of its tokens"):
        static.token_rows(lambda texts: np.zeros((len(texts), 2)), _tokenizer({"[PAD]": 0, "[UNK]": 1}), 2, print)
