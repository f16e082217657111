"""The texts and pictures that a student is made by, before any training; and attention as separate layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgekit.converters.distill.recipe import DataSpec, ImageStudent
from edgekit.converters.distill.students import attention, inherit, samples, specs, static_plans
from edgekit.converters.distill.students.blocks import body_of
from edgekit.errors import InputError


@pytest.fixture
def pictures(tmp_path):
    """Two classes of eight pictures each."""
    for name, level in (("cats", 40), ("dogs", 200)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.full((20, 20, 3), level + i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{i}.png")
    return str(tmp_path / "set")


def test_texts_are_those_of_the_files_and_of_the_pictures(tmp_path, pictures):
    (tmp_path / "texts.txt").write_text("a red bicycle\na cup\na red bicycle\n")
    data = DataSpec(images=(pictures,), texts=(str(tmp_path / "texts.txt"),), held_out=0.5)
    found = samples.training_texts(data, ("a photo of {}", "{}"))
    assert found[:2] == ("a red bicycle", "a cup")
    assert set(found[2:]) == {"a photo of cats", "cats", "a photo of dogs", "dogs"}
    own = DataSpec(images=(pictures,), templates=("my {}",), held_out=0.5)
    assert set(samples.training_texts(own, ("{}",))) == {"my cats", "my dogs"}
    assert samples.training_texts(DataSpec(), ("{}",)) == ()


def test_pictures_are_normalized(pictures):
    spec = specs.framed(None, 16)
    batches = samples.picture_batches(DataSpec(images=(pictures,), held_out=0.5), spec)
    planes = torch.cat(batches)
    assert planes.shape[1:] == (3, 16, 16)
    levels = ((planes.mean((1, 2, 3)) * 0.5 + 0.5) * 255).round().tolist()
    assert set(levels) <= {*range(40, 48), *range(200, 208)}
    with pytest.raises(InputError, match=r"student\.image\.importance: taylor needs pictures"):
        samples.picture_batches(DataSpec(), spec)


def test_ids_to_rank_by_need_texts():
    with pytest.raises(InputError, match=r"student\.text\.importance: taylor needs texts"):
        inherit.id_batches("{}", "none", ())


def test_a_student_ranked_by_pictures(teacher, clip_source, pictures, tmp_path):
    from dataclasses import replace

    import student_kit
    from edgekit.converters.distill.students import create
    from edgekit.converters.distill.students import open as opening

    image = ImageStudent("inherit", layers=2, importance="taylor")
    recipe = student_kit.recipe(tmp_path, image, None, teacher=clip_source)
    recipe = replace(recipe, data=DataSpec(images=(pictures,), held_out=0.5))
    create.create(recipe, teacher, tmp_path / "student")
    student = opening.open_student(tmp_path / "student", trained=False)
    assert len(body_of(student.image.module).blocks) == 2


def test_counts_of_tokens(teacher):
    import student_kit

    tokenizer = student_kit.word_piece(140)
    counts = static_plans.token_counts(tokenizer, "lower", ["A CAT", "a cat"], 140)
    assert counts.shape == (140,)
    assert counts.sum() == 8
    assert sorted(counts[counts > 0]) == [2, 2, 2, 2]
    assert static_plans.token_counts(tokenizer, "none", [], 5).tolist() == [0] * 5


@pytest.mark.parametrize("masked", [False, True], ids=["open", "causal"])
def test_attention_in_separate_layers_is_that_of_torch(masked):
    torch.manual_seed(0)
    source = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        source.in_proj_bias.normal_()
        source.out_proj.bias.normal_()
    made = attention.unpacked(source)
    tokens = torch.randn(2, 5, 16)
    mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if masked else None
    expected, _ = source(tokens, tokens, tokens, attn_mask=mask, need_weights=False)
    found, nothing = made(tokens, tokens, tokens, attn_mask=mask)
    assert nothing is None
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_other_kinds_of_attention_are_left_alone():
    with pytest.raises(ValueError, match="not covered"):
        attention.unpacked(nn.MultiheadAttention(16, 4, batch_first=False))
    made = attention.unpacked(nn.MultiheadAttention(16, 4, batch_first=True))
    with pytest.raises(ValueError, match="to itself"):
        made(torch.zeros(1, 2, 16), torch.zeros(1, 3, 16), torch.zeros(1, 3, 16))
