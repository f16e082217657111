"""What is refused before any work, in words that name the field and the way out; and files of weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import student_kit
from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import checks, image_plans, text_plans, vocabulary, weights
from edgekit.converters.distill.students.reference import Reference, dimension_of, read_reference
from edgekit.errors import InputError

NOTHING = Reference("open_clip:ViT-B-32:x", None, None)


def _bundle(*precisions, text=True):
    tower = SimpleNamespace(text="tower" if text else None, format="onnx")
    variants = [SimpleNamespace(**{**vars(tower), "precision": precision}) for precision in precisions]
    source = SimpleNamespace(uri="hf:someone/model")
    return SimpleNamespace(manifest=SimpleNamespace(variants=variants, source=source))


CHECKS = {
    "a choice it lacks": (
        lambda: checks.unused("student.image", "conv", {"heads": 0, "patch": 4}),
        "student.image.patch: conv has no such choice; leave it out",
    ),
    "a file it lacks": (
        lambda: checks.unused("student.text", "static", {"weights": "w"}),
        "student.text.weights: static",
    ),
    "too few": (
        lambda: checks.at_least("student.image.layers", 3, 4),
        "student.image.layers: must be at least 4, got 3",
    ),
    "heads": (lambda: checks.check_heads("student.text", 10, 4), "student.text.heads: 4 does not divide the width, 10"),
    "a part of nothing": (
        lambda: checks.check_train("student.text", "probe", 8, False),
        "give student.text.weights, or arch teacher",
    ),
    "no rank": (
        lambda: checks.check_train("student.image", "lora", 0, True),
        "student.image.rank: must be at least 1, got 0",
    ),
    "another size": (
        lambda: checks.must_be("student.dimension", 8, 16),
        "student.dimension: must be 16, that of the weights it starts from; got 8",
    ),
    "only embeddings": (
        lambda: NOTHING.needed("student.text.arch teacher"),
        "student.text.arch teacher: needs the first teacher itself, not only its embeddings; give teachers.model",
    ),
    "no path": (lambda: NOTHING.path("student.text.arch static"), "student.text.arch static: needs the first teacher"),
    "no texts": (lambda: NOTHING.texts("student.text.arch static"), "give teachers.model"),
    "no float variant": (
        lambda: Reference("x", Path("a"), _bundle("int8", "fp16")).float_variant("f"),
        (
            "f: needs the teacher in float32 ONNX, the bundle holds int8 (onnx), fp16 (onnx); convert it again: "
            "edgekit convert hf:someone/model -o FLOAT.edge --weights float32"
        ),
    ),
    "frozen labels": (
        lambda: Reference("x", Path("a"), _bundle("fp32", text=False)).text_tower("f"),
        "f: the teacher has no text tower, only frozen labels; give the bundle before",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_refusal_names_field_and_fix(name):
    call, message = CHECKS[name]
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)


def test_what_fits_is_let_through():
    checks.unused("student.image", "conv", {"heads": 0, "weights": ""})
    checks.check_heads("student.text", 1, 1)
    checks.check_train("student.text", "all", 0, False)
    checks.check_train("student.text", "probe", 0, True)
    checks.must_be("student.dimension", 0, 16)
    checks.must_be("student.dimension", 16, 16)
    assert checks.at_least("x", 4, 4) == 4


@pytest.mark.parametrize(
    ("name", "spec"),
    [("open_clip:ViT-B-32:x", "ViT-B-32:x"), ("hf:open_clip:x", ""), ("a/open_clip.edge", ""), ("open_clip", "")],
    ids=str,
)
def test_which_teachers_are_open_clips(name, spec):
    assert Reference(name, None, None).open_clip() == spec


def test_the_float_variant_is_found_among_others():
    reference = Reference("x", Path("a"), _bundle("int8", "fp32"))
    assert reference.float_variant("f").precision == "fp32"
    assert reference.text_tower("f") == "tower"


@pytest.mark.parametrize(
    ("wanted", "kept", "expected"), [(0, True, 16), (16, True, 16), (0, False, 16), (8, False, 8)], ids=str
)
def test_the_dimension_is_the_recipes_or_the_teachers(tmp_path, teacher, wanted, kept, expected):
    text = None if kept else TextStudent("transformer")
    recipe = student_kit.recipe(tmp_path, ImageStudent("conv"), text, dimension=wanted)
    assert dimension_of(recipe, read_reference(recipe, teacher)) == expected


@pytest.mark.parametrize("arch", ["", "conv:x", "timm", "timm:", "open_clip:", "vit", "Conv", "teacher:x"])
def test_an_unknown_image_architecture_is_named_with_all_there_are(arch, tmp_path):
    with pytest.raises(InputError, match=r"student\.image\.arch: .* is none of conv, hybrid, vit-tiny"):
        image_plans.plan_image(ImageStudent(arch), NOTHING, 4, tmp_path, lambda spec: ())


@pytest.mark.parametrize("arch", ["", "lstm", "open_clip", "static:x", "conv"])
def test_an_unknown_text_architecture_is_named_with_all_there_are(arch, tmp_path):
    with pytest.raises(InputError, match=r"student\.text\.arch: .* is none of static, transformer"):
        text_plans.plan_text(TextStudent(arch), NOTHING, 4, tmp_path, tuple)


@pytest.mark.parametrize("size", [1, 2, 30])
def test_a_vocabulary_too_small_for_its_letters_names_the_least(size):
    tokenizer = student_kit.word_piece(140)
    with pytest.raises(InputError, match=rf"student\.text\.vocabulary: {size} tokens are fewer than the \d+") as caught:
        vocabulary.reduce(tokenizer, 0, ["a red cat"], size)
    least = int(str(caught.value).split("fewer than the ")[1].split()[0])
    assert len(vocabulary.reduce(tokenizer, 0, ["a red cat"], least).kept) == least


def test_a_vocabulary_of_one_empty_text_is_the_least_one():
    tokenizer = student_kit.word_piece(140)
    reduced = vocabulary.reduce(tokenizer, 0, [""], 0)
    assert len(reduced.counts) == len(reduced.kept)
    assert reduced.counts.sum() == 2  # the two ends
    assert reduced.pad_id == 0


FAULTS = {
    "missing": (lambda state: {k: v for k, v in state.items() if k != "bias"}, "bias is missing"),
    "unknown": (lambda state: {**state, "more": torch.ones(1)}, "more is unknown"),
    "another shape": (lambda state: {**state, "bias": torch.ones(5)}, r"bias is \(5,\), not \(2,\)"),
    "nothing": (lambda state: {}, "weight is missing; bias is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_weights_that_do_not_fit_are_named_and_nothing_is_filled(name):
    change, message = FAULTS[name]
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    state = {key: value + 1 for key, value in layer.state_dict().items()}
    with pytest.raises(InputError, match=rf"here: not the weights of this architecture: {message}"):
        weights.put(layer, change(state), "here")
    assert torch.equal(layer.weight, before)


def test_weights_come_back_and_shared_ones_count_once(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    net[2].weight = net[0].weight
    weights.save(net, tmp_path / "w.safetensors")
    other = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    weights.load(other, tmp_path / "w.safetensors")
    assert all(torch.equal(other.state_dict()[name], value) for name, value in net.state_dict().items())
    assert weights.count(net) == 4 + 2 + 2 + 2 + 2
    assert weights.count(other) == weights.count(net) + 4


def test_a_seed_holds_inside_its_block_alone_whatever_happens_there():
    before = torch.get_rng_state()
    with weights.seeded(7):
        first = torch.randn(3)
    with pytest.raises(KeyError), weights.seeded(7):
        assert torch.equal(torch.randn(3), first)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_a_recipe_without_a_bundle_has_a_reference_that_knows_nothing(tmp_path):
    recipe = student_kit.recipe(tmp_path, ImageStudent("conv"))
    found = read_reference(recipe, None)
    assert (found.manifest, found.image, found.dimension) == (None, None, None)
    with pytest.raises(InputError, match=r"student\.dimension: must be given"):
        dimension_of(recipe, found)
    assert dimension_of(replace(recipe, student=replace(recipe.student, dimension=7)), found) == 7
