"""Which layers, channels, heads and neurons are chosen, and that a cut leaves the weights of just those."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import student_kit
from edgekit.converters.distill.students import blocks, inherit
from edgekit.converters.distill.students.attention import Attention
from edgekit.converters.distill.students.plan import Sizes
from edgekit.errors import InputError, UnsupportedModelError

_WIDTH, _HEADS, _SIZE, _HIDDEN, _LAYERS = 6, 3, 2, 5, 3
_SOME = settings(max_examples=20, deadline=None)


class Own(Attention):
    def forward(self, tokens):
        return super().forward(tokens)


class Part(nn.Module):
    """A block with the names of open_clip's."""

    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.attn = Own(_WIDTH, _HEADS, _SIZE)
        self.ls_1, self.ls_2 = nn.Identity(), nn.Identity()
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(_WIDTH, _HIDDEN))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(_HIDDEN, _WIDTH))

    def forward(self, tokens):
        tokens = tokens + self.attn(self.ln_1(tokens))
        return tokens + self.mlp(self.ln_2(tokens))


class Text(nn.Module):
    """A text tower with the names of open_clip's."""

    def __init__(self, tokens=11, length=4, dimension=4):
        super().__init__()
        self.token_embedding = nn.Embedding(tokens, _WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(length, _WIDTH))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Part() for _ in range(_LAYERS))
        self.ln_final = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear(_WIDTH, dimension)
        self.eos_id = tokens - 1

    def forward(self, ids):
        tokens = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        for part in self.transformer.resblocks:
            tokens = part(tokens)
        return self.head(self.ln_final(tokens).mean(1))


@pytest.fixture
def tower():
    torch.manual_seed(0)
    return Text().eval()


def _ids(rows=2):
    return torch.randint(0, 11, (rows, 4), generator=torch.Generator().manual_seed(0))


def _sizes(width=_WIDTH, layers=_LAYERS, heads=_HEADS, hidden=_HIDDEN):
    return Sizes(width, layers, heads, hidden)


@_SOME
@given(st.integers(1, _WIDTH), st.integers(1, _LAYERS), st.integers(1, _HEADS), st.integers(1, _HIDDEN), st.booleans())
def test_any_sizes_can_be_cut(width, layers, heads, hidden, learnt):
    torch.manual_seed(0)
    tower, sizes = Text().eval(), _sizes(width, layers, heads, hidden)
    kept = inherit.rank(tower, sizes, "taylor" if learnt else "magnitude", lambda: [_ids()])
    for chosen, of, count in [
        (kept.channels, _WIDTH, width),
        *((heads_of, _HEADS, heads) for heads_of in kept.heads),
        *((neurons, _HIDDEN, hidden) for neurons in kept.hidden),
        (torch.tensor(kept.layers), _LAYERS, layers),
    ]:
        assert len(chosen) == count
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        assert set(chosen.tolist()) <= set(range(of))
    inherit.cut(tower, kept)
    body = blocks.body_of(tower)
    assert (body.width, len(body.blocks)) == (width, layers)
    assert {(block.heads, block.hidden) for block in body.blocks} == {(heads, hidden)}
    assert tower(_ids()).shape == (2, 4)
    tower(_ids()).sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())


def test_the_largest_weights_win(tower):
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.fill_(0.01)
        tower.head.weight[:, [1, 4]] = 9
        for part in tower.transformer.resblocks:
            part.mlp.c_fc.weight[[0, 3]] = 0.5
            part.attn.out.weight[:, 4:6] = 0.5
    kept = inherit.rank(tower, _sizes(width=2, heads=1, hidden=2), "magnitude", tuple)
    assert kept.channels.tolist() == [1, 4]
    assert [chosen.tolist() for chosen in kept.heads] == [[2]] * _LAYERS
    assert [chosen.tolist() for chosen in kept.hidden] == [[0, 3]] * _LAYERS


def test_signs_do_not_count(tower):
    before = inherit.rank(tower, _sizes(3, 2, 1, 2), "magnitude", tuple)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.neg_()
    after = inherit.rank(tower, _sizes(3, 2, 1, 2), "magnitude", tuple)
    assert after.channels.tolist() == before.channels.tolist()
    assert [h.tolist() for h in after.heads] == [h.tolist() for h in before.heads]


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_ranking_changes_no_weight_and_is_deterministic(tower, importance):
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    first, second = (inherit.rank(tower, _sizes(4, 2, 2, 3), importance, lambda: [_ids()]) for _ in range(2))
    assert first.channels.tolist() == second.channels.tolist()
    assert first.layers == second.layers
    assert all(torch.equal(tower.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in tower.parameters())


def test_magnitude_asks_for_no_inputs(tower):
    def refused():
        raise AssertionError("asked for inputs")

    assert inherit.rank(tower, _sizes(layers=2), "magnitude", refused).layers == (0, 2)


def test_a_cut_linear_layer_keeps_rows_and_columns():
    layer = nn.Linear(4, 3)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    blocks.cut_linear(layer, torch.tensor([0, 2]), torch.tensor([1, 3]))
    assert torch.equal(layer.weight, weight[[0, 2]][:, [1, 3]])
    assert torch.equal(layer.bias, bias[[0, 2]])
    assert (layer.in_features, layer.out_features) == (2, 2)
    plain = nn.Linear(2, 2, bias=False)
    blocks.cut_linear(plain, torch.tensor([1]), torch.tensor([0]))
    assert plain.bias is None
    assert plain(torch.ones(1, 1)).shape == (1, 1)


@pytest.mark.parametrize("affine", [True, False], ids=["with weights", "without"])
def test_a_cut_norm_normalizes_fewer_channels(affine):
    norm = nn.LayerNorm(4, elementwise_affine=affine)
    blocks.cut_norm(norm, torch.tensor([0, 3]))
    assert norm(torch.tensor([[1.0, 3.0]])).detach().tolist()[0] == pytest.approx([-1, 1], abs=1e-4)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((0, 0, 0), (_WIDTH, _LAYERS, _HEADS, _HIDDEN)),
        ((4, 0, 0), (4, _LAYERS, 2, 3)),
        ((1, 1, 0), (1, 1, 1, 1)),
        ((2, 2, 3), (2, 2, 3, 2)),
    ],
    ids=str,
)
def test_heads_and_neurons_follow_the_width(tower, wanted, expected):
    assert inherit.sizes_of(tower, "student.text", *wanted) == Sizes(*expected)


@pytest.mark.parametrize(
    ("wanted", "field", "most"),
    [((7, 0, 0), "width", 6), ((0, 4, 0), "layers", 3), ((0, 0, 4), "heads", 3), ((-1, 0, 0), "width", 6)],
    ids=["width", "layers", "heads", "negative"],
)
def test_sizes_that_the_teacher_lacks_are_named(tower, wanted, field, most):
    with pytest.raises(InputError, match=rf"student\.text\.{field}: must be between 1 and the teacher's {most}"):
        inherit.sizes_of(tower, "student.text", *wanted)


@pytest.mark.parametrize("change", ["block", "perceptron", "attention", "head"])
def test_a_tower_with_other_parts_is_refused(tower, change):
    part = tower.transformer.resblocks[1]
    if change == "block":
        part.adapter = nn.Identity()
    elif change == "perceptron":
        part.mlp.add_module("norm", nn.Identity())
    elif change == "attention":
        part.attn = nn.MultiheadAttention(_WIDTH, 1)
    else:
        tower.head = nn.Identity()
    with pytest.raises(UnsupportedModelError, match="arch inherit: only vision transformers and text transformers"):
        blocks.body_of(tower)


@pytest.mark.parametrize(("kept", "end"), [((0, 4, 10), 2), ((10,), 0), ((0, 1), 10)], ids=["some", "one", "no end"])
def test_rows_of_the_table_and_the_id_of_the_end(tower, kept, end):
    before = tower.token_embedding.weight.detach().clone()
    inherit.cut_table(tower, kept)
    assert torch.equal(tower.token_embedding.weight, before[list(kept)])
    assert tower.token_embedding.num_embeddings == len(kept)
    assert tower.eos_id == end


def test_no_rows_are_refused(tower):
    with pytest.raises(InputError, match="vocabulary: must be at least 1, got 0"):
        inherit.cut_table(tower, ())


@pytest.mark.parametrize("count", [1, 127, 128, 129, 200, 255, 1000])
def test_texts_to_rank_by_come_from_everywhere(count):
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts = [f"{letters[i // 676 % 26]} {letters[i // 26 % 26]} {letters[i % 26]}" for i in range(count)]
    batches = inherit.id_batches(student_kit.word_piece(140), "none", texts)
    rows = torch.cat(list(batches))
    assert len(rows) == min(count, 128)
    assert max(len(batch) for batch in batches) <= 32
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    last = inherit.id_batches(student_kit.word_piece(140), "none", texts[-1:] * 1)[0][0]
    if count <= 128:
        assert torch.equal(rows[-1], last)
    # The second half is asked as often as the first.
    second = inherit.id_batches(student_kit.word_piece(140), "none", texts[count // 2 :][:128])
    known = {tuple(row) for batch in second for row in batch.tolist()}
    if 2 <= count <= 255:
        share = sum(tuple(row) in known for row in rows.tolist()) / len(rows)
        assert share == pytest.approx(0.5, abs=0.02)


def test_only_a_teacher_given_by_its_source_can_be_inherited_from():
    manifest = SimpleNamespace(source=SimpleNamespace(uri="open_clip:ViT-B-32:x"))
    reference = SimpleNamespace(open_clip=lambda: "", manifest=manifest)
    with pytest.raises(InputError, match=r"student\.text\.arch inherit: .*such as open_clip:ViT-B-32:x"):
        inherit.source_of(reference, "student.text")
    manifest.source.uri = "hf:someone/model"
    with pytest.raises(InputError, match="such as open_clip:NAME:WEIGHTS"):
        inherit.source_of(reference, "student.text")
    reference.open_clip = lambda: "ViT-B-32:x"
    assert inherit.source_of(reference, "student.text") == "ViT-B-32:x"
