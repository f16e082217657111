"""A part of the teacher's weights: all of it is the teacher, and a part is a better start than none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import student_kit
from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import inherit, openclip, weights
from edgekit.converters.distill.students.blocks import body_of
from edgekit.converters.distill.students.plan import Sizes
from edgekit.errors import InputError, UnsupportedModelError


@pytest.fixture(scope="module")
def model(clip_source):
    return openclip.whole_model(openclip.request_of(clip_source.partition(":")[2]))


def _planes(rows, seed=0):
    return torch.randn(rows, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def _ids(rows, seed=0):
    ids = torch.randint(4, 100, (rows, 8), generator=torch.Generator().manual_seed(seed))
    ids[:, -1] = 130
    return ids


TOWERS = {"image": (openclip.image_of, _planes), "text": (openclip.text_of, _ids)}


@pytest.mark.parametrize("name", TOWERS)
def test_all_of_it_is_the_teacher(name, model):
    of, inputs = TOWERS[name]
    tower, batch = of(model), inputs(3)
    with torch.no_grad():
        expected = model.encode_image(batch) if name == "image" else model.encode_text(batch)
        torch.testing.assert_close(tower(batch), expected, atol=1e-5, rtol=1e-5)
        whole = tower(batch)
        inherit.cut(tower, inherit.rank(tower, inherit.sizes_of(tower, "t", 0, 0, 0), "magnitude", tuple))
        assert torch.equal(tower(batch), whole)


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
@pytest.mark.parametrize("name", TOWERS)
def test_a_part_has_its_sizes_and_the_teachers_numbers(name, importance, model):
    of, inputs = TOWERS[name]
    tower = of(model)
    sizes = inherit.sizes_of(tower, "student.image", 24, 2, 2)
    assert sizes == Sizes(24, 2, 2, 96)
    kept = inherit.rank(tower, sizes, importance, lambda: inputs(8).split(4))
    whole = of(model)
    inherit.cut(tower, kept)
    first = kept.layers[0]
    ours, theirs = body_of(tower).blocks[0].part, body_of(whole).blocks[first].part
    rows = theirs.mlp.c_fc.weight[kept.hidden[0]][:, kept.channels]
    assert torch.equal(ours.mlp.c_fc.weight, rows)
    assert ours.attn.qkv.weight.shape == (3 * 2 * 8, 24)
    heads = theirs.attn.out.weight.reshape(32, 4, 8)[kept.channels][:, kept.heads[0]]
    assert torch.equal(ours.attn.out.weight, heads.reshape(24, 16))
    assert tower(inputs(2)).shape == (2, 16)
    empty = of(model)
    inherit.cut_to(empty, sizes)
    weights.put(empty, tower.state_dict(), "here")
    assert torch.equal(empty(inputs(2)), tower(inputs(2)))


def test_what_matters_is_found(model):
    """A head, a neuron and a channel are made large: both rankings must keep them."""
    for importance in ("magnitude", "taylor"):
        tower = openclip.image_of(model)
        part = body_of(tower).blocks[3].part
        with torch.no_grad():
            for other in (0, 1, 3):
                part.attn.out.weight[:, 8 * other : 8 * other + 8] *= 0.01
                part.attn.qkv.weight.reshape(3, 4, 8, 32)[:, other] *= 0.01
            part.mlp.c_fc.weight[1:] *= 0.01
            part.mlp.c_proj.weight[:, 1:] *= 0.01
        kept = inherit.rank(tower, Sizes(32, 4, 1, 1), importance, lambda: _planes(8).split(4))
        assert kept.heads[3].tolist() == [2]
        assert kept.hidden[3].tolist() == [0]


def test_a_layer_that_does_nothing_goes_first(model):
    tower = openclip.image_of(model)
    idle = body_of(tower).blocks[1].part
    with torch.no_grad():
        for layer in (idle.attn.out, idle.mlp.c_proj):
            layer.weight.zero_()
            layer.bias.zero_()
    kept = inherit.rank(tower, Sizes(32, 3, 4, 128), "taylor", lambda: _planes(8).split(4))
    assert kept.layers == (0, 2, 3)
    with torch.no_grad():
        before = tower(_planes(2))
        inherit.cut(tower, kept)
        torch.testing.assert_close(tower(_planes(2)), before)


def _trained(tower, target, batches, steps=12):
    optimizer = torch.optim.AdamW(tower.parameters(), 1e-3)
    tower.train().requires_grad_(True)
    for step in range(steps):
        batch = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = (functional.normalize(tower(batch), dim=-1) - target(batch)).square().sum(1).mean()
        loss.backward()
        optimizer.step()
    return tower.eval()


@pytest.mark.parametrize("name", TOWERS)
def test_a_part_starts_closer_than_a_random_tower(name, model):
    """Of a random teacher: what a tower has learnt is not needed for its weights to matter."""
    of, inputs = TOWERS[name]
    teacher = of(model)

    def target(batch):
        with torch.no_grad():
            return functional.normalize(teacher(batch), dim=-1)

    sizes = inherit.sizes_of(teacher, "t", 0, 3, 0)
    part, fresh = of(model), of(model)
    inherit.cut(part, inherit.rank(part, sizes, "magnitude", tuple))
    with weights.seeded(5):
        inherit.cut_to(fresh, sizes)
        for parameter in fresh.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=float(parameter.detach().std()))
    distances = []
    held = inputs(32, seed=99)
    for tower in (part, fresh):
        _trained(tower, target, [inputs(16, seed) for seed in range(6)])
        with torch.no_grad():
            distances.append(float((functional.normalize(tower(held), dim=-1) - target(held)).square().sum(1).mean()))
    assert distances[0] < 0.7 * distances[1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_layers_are_evenly_spaced(of, count):
    count = min(of, count)
    found = inherit.evenly(of, count)
    assert len(set(found)) == count
    assert list(found) == sorted(found)
    assert found[-1] == of - 1
    if count > 1:
        assert found[0] == 0
        gaps = np.diff(found)
        assert gaps.max() - gaps.min() <= 1


def test_a_student_of_both_towers(make, check_student, clip_source):
    text = TextStudent("inherit", layers=2, importance="taylor", context_length=6)
    student, folder = make(ImageStudent("inherit", width=16, layers=2), text, source=clip_source)
    sizes = check_student(student, folder)
    assert sizes["image"] == 10_240
    assert len(student.text.module.transformer.resblocks) == 2


def test_a_smaller_vocabulary_keeps_the_rows_of_its_tokens(tmp_path, make, check_student, clip_source, model):
    bundle = student_kit.bundle(tmp_path / "pieces.edge", pieces=True)
    spec = TextStudent("inherit", vocabulary=120)
    student, folder = make(None, spec, bundle=bundle, source=clip_source)
    table = student.text.module.token_embedding.weight
    assert len(table) <= 120
    assert student.text.pad_id == 0
    own = openclip.text_of(model).token_embedding.weight
    assert all(any(torch.equal(row, other) for other in own) for row in table[:8])
    check_student(student, folder)


def test_a_bundle_has_no_blocks_and_the_message_says_what_to_do(make):
    with pytest.raises(InputError, match=r"student\.image\.arch inherit: needs the teacher's own blocks.*open_clip:"):
        make(ImageStudent("inherit"))


def test_more_than_the_teacher_has(make, clip_source):
    with pytest.raises(InputError, match=r"student\.text\.layers: must be between 1 and the teacher's 4"):
        make(None, TextStudent("inherit", layers=9), source=clip_source)


def test_another_architecture_cannot_be_cut():
    from edgekit.converters.distill.students.conv import ConvEncoder

    with pytest.raises(UnsupportedModelError, match="another architecture"):
        body_of(ConvEncoder(4, 4, 32, 8))
