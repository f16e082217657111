"""What is written for a student, what is refused, and that nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import student_kit
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import create, specs, static_plans, text_plans, weights
from edgekit.converters.distill.students import open as opening
from edgekit.errors import InputError

CONV = ImageStudent("conv", width=4)
TRANSFORMER = TextStudent("transformer", width=16, layers=1, heads=2)


def test_the_seed_decides_the_weights_and_nothing_else_is_touched(make):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    student, folder = make(CONV, TRANSFORMER, seed=1)
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert torch.equal(torch.get_rng_state(), before)
    make(CONV, TRANSFORMER, seed=1)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
    other, _ = make(CONV, TRANSFORMER, seed=2)
    assert not torch.equal(student.image.module.head.weight, other.image.module.head.weight)


def test_a_student_is_rebuilt_without_its_teacher(make, teacher, tmp_path):
    bundle = student_kit.bundle(tmp_path / "gone.edge")
    student, folder = make(CONV, TRANSFORMER, bundle=bundle)
    bundle.unlink()
    again = opening.open_student(folder, trained=False)
    for ours, theirs in ((student.image, again.image), (student.text, again.text)):
        state = theirs.module.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in ours.module.state_dict().items())
    assert again.image.spec == student.image.spec
    assert (again.text.tokenizer_json, again.text.context_length) == (student.text.tokenizer_json, 8)
    assert all(parameter.requires_grad for parameter in again.image.module.parameters())


def test_the_record_says_what_the_student_is(make):
    _, folder = make(CONV, replace(TRANSFORMER, context_length=6))
    plan = opening.read_plan(folder)
    assert (plan.image.kind, plan.image.width, plan.image.layers) == ("conv", 4, 4)
    assert (plan.image.spec.height, plan.image.spec.mean) == (32, (0.5, 0.5, 0.5))
    assert (plan.text.kind, plan.text.context_length, plan.text.pad_id) == ("transformer", 6, 0)
    assert plan.image.dimension == plan.text.dimension == 16
    assert plan.parameters["image"] == weights.count(opening.open_student(folder, trained=False).image.module)
    assert "torch" in plan.versions
    written = json.loads((folder / "tokenizer.json").read_text())
    assert written["truncation"]["max_length"] == written["padding"]["strategy"]["Fixed"] == 6


def test_another_version_of_the_record_is_refused(make):
    _, folder = make(CONV)
    path = folder / "student.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(InputError, match="is of version 99"):
        opening.open_student(folder, trained=False)
    path.unlink()
    with pytest.raises(InputError, match="there is no student"):
        opening.open_student(folder, trained=False)


def test_weights_of_another_student_are_refused(make, tmp_path):
    _, folder = make(CONV)
    with pytest.raises(InputError, match=r"trained-image\.safetensors: no such file"):
        opening.open_student(folder, trained=True)
    weights.save(torch.nn.Linear(2, 2), weights.trained(folder, "image"))
    with pytest.raises(InputError, match=r"not the weights of this architecture: body.* is missing.* and \d+ more"):
        opening.open_student(folder, trained=True)


REFUSED = {
    "an unknown architecture": (ImageStudent("resnet"), None, r"student\.image\.arch: 'resnet' is none of conv"),
    "a name where there is none": (ImageStudent("conv:x"), None, r"student\.image\.arch"),
    "no name": (ImageStudent("timm"), None, r"student\.image\.arch"),
    "an unknown timm model": (ImageStudent("timm:resnet19"), None, r"timm has no model 'resnet19'; close: "),
    "an unknown text architecture": (None, TextStudent("lstm"), r"student\.text\.arch: 'lstm' is none of static"),
    "a setting without effect": (ImageStudent("conv", heads=2), None, r"student\.image\.heads: conv has no such"),
    "too few layers": (ImageStudent("conv", layers=2), None, r"student\.image\.layers: must be at least 4"),
    "a width for no heads": (ImageStudent("hybrid", width=6), None, r"student\.image\.width: 6 is no multiple of 4"),
    "heads": (ImageStudent("vit-tiny", width=30, heads=4), None, r"student\.image\.heads: 4 does not divide"),
    "a patch": (ImageStudent("vit-tiny", width=8, heads=2, patch=7), None, r"student\.image\.patch: 7 does not"),
    "LoRA of random weights": (ImageStudent("conv", train="lora"), None, r"student\.image\.train: lora changes a part"),
    "a probe of a random text tower": (
        None,
        TextStudent("transformer", width=16, heads=2, train="probe"),
        r"student\.text\.train: probe",
    ),
    "rank 0": (ImageStudent("teacher", train="lora", rank=0), None, r"student\.image\.rank: must be at least 1"),
    "another size than the teacher's": (ImageStudent("teacher", size=64), None, r"student\.image\.size: must be 32"),
    "a longer text than the teacher's": (
        None,
        TextStudent("transformer", context_length=9),
        r"student\.text\.context_length: 9 is longer than the teacher's, 8",
    ),
    "missing weights": (
        ImageStudent("timm:test_resnet", weights="/no/such.safetensors"),
        None,
        r"/no/such\.safetensors: no such file of weights",
    ),
    "nothing": (None, None, r"student: names no new tower"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_does_not_fit_is_named(name, make):
    image, text, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        make(image, text)


def test_another_dimension_needs_both_towers(make):
    with pytest.raises(InputError, match=r"student\.dimension: must be 16"):
        make(CONV, dimension=8)
    student, _ = make(CONV, TRANSFORMER, dimension=8)
    assert student.image.module.head.out_features == student.text.module.head.out_features == 8


def test_embeddings_alone_need_a_dimension_and_a_size(tmp_path):
    def made(image, dimension=0):
        recipe = student_kit.recipe(tmp_path, image, None, dimension=dimension)
        create.create(recipe, None, tmp_path / "student")
        return opening.open_student(tmp_path / "student", trained=False)

    with pytest.raises(InputError, match=r"student\.dimension: must be given"):
        made(CONV)
    with pytest.raises(InputError, match=r"student\.image\.size: must be given"):
        made(CONV, 12)
    student = made(replace(CONV, size=48), 12)
    assert (student.image.spec.height, student.image.module.head.out_features) == (48, 12)


def test_weights_of_timm_are_taken_over(make, tmp_path):
    import timm

    with weights.seeded(7):
        source = timm.create_model("test_resnet", num_classes=10)
    weights.save(source, tmp_path / "timm.safetensors")
    spec = ImageStudent("timm:test_resnet", size=32, weights=str(tmp_path / "timm.safetensors"), train="probe")
    student, _ = make(spec)
    assert torch.equal(student.image.module.base.trunk.conv1[0].weight, source.conv1[0].weight)
    other = ImageStudent("timm:test_vit", size=32, weights=str(tmp_path / "timm.safetensors"))
    with pytest.raises(InputError, match=r"timm\.safetensors: not the weights of this architecture"):
        make(other)


def test_weights_of_open_clip_are_taken_over(make, clip_source, tmp_path):
    from edgekit.converters.distill.students import openclip

    model = openclip.whole_model(openclip.request_of(clip_source.partition(":")[2]))
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    spec = ImageStudent(clip_source, weights=str(tmp_path / "clip.pt"), train="lora")
    student, _ = make(spec)
    planes = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            student.image.module.eval()(planes), model.encode_image(planes), atol=1e-5, rtol=1e-4
        )
    with pytest.raises(InputError, match=r"student\.image\.size: must be 32"):
        make(replace(spec, size=64))


def test_a_static_tower_starts_from_the_teacher(make, teacher):
    import edgekit

    student, _ = make(None, TextStudent("static", width=16))
    module = student.text.module.eval()
    counts = static_plans.token_counts(student.text.tokenizer_json, "none", student_kit.TEXTS, 140)
    assert counts.sum() == sum(min(8, len(text.split()) + 2) for text in student_kit.TEXTS)
    with edgekit.load(teacher) as model:
        expected = model.embed_texts(["cat", "dog", "coffee"])
    tokenizer = Tokenizer.from_str(student.text.tokenizer_json)
    ids = torch.tensor([tokenizer.encode(word).ids for word in ("cat", "dog", "coffee")])
    with torch.no_grad():
        found = torch.nn.functional.normalize(module(ids), dim=-1).numpy()
    closeness = found @ expected.T
    assert closeness.argmax(1).tolist() == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["shortest", "longest", "squash"]),
    st.integers(16, 400),
    st.integers(16, 400),
    st.floats(1, 1.3),
    st.integers(0, 256),
)
def test_a_student_frames_pictures_as_the_teacher(mode, height, width, margin, size):
    edge = round(height * margin) if mode == "shortest" and height == width else 0
    teacher = ImageSpec(height, width, mode, edge, "bilinear", (1, 2, 3), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "floor")
    found = specs.framed(teacher, size)
    assert (found.resize_mode, found.interpolation, found.fill) == (mode, "bilinear", (1, 2, 3))
    assert found.crop_rounding == "floor"
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    if not size:
        assert (found.height, found.width, found.shortest_edge) == (height, width, edge)
        return
    assert (found.height, found.width) == (size, size)
    if mode == "shortest":
        assert found.shortest_edge >= size
        assert edge == 0 or abs(found.shortest_edge / size - edge / height) <= 0.5 / size + 1e-9
    else:
        assert found.shortest_edge == 0


def test_values_are_scaled_as_timm_says():
    spec = specs.framed(None, 64)
    settings_ = {"mean": (0.1, 0.2, 0.3), "std": (1, 1, 1), "interpolation": "bilinear"}
    found = specs.scaled_as(spec, settings_)
    assert (found.mean, found.std, found.interpolation) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "bilinear")
    assert specs.scaled_as(spec, {}) == spec
    assert specs.scaled_as(spec, {"interpolation": "random"}).interpolation == "bicubic"


def test_a_tokenizer_cuts_and_pads_to_another_length(teacher):
    with_words = student_kit.word_piece(140)
    shorter = Tokenizer.from_str(text_plans.shortened(with_words, 5))
    encoded = shorter.encode("a photo of a cat")
    assert len(encoded.ids) == 5
    assert (encoded.tokens[0], encoded.tokens[-1]) == ("[BOS]", "[EOS]")
    assert len(shorter.encode("a").ids) == 5


def test_files_of_weights(tmp_path):
    module = torch.nn.Linear(3, 2)
    for name, content in (("plain", module.state_dict()), ("nested", {"state_dict": module.state_dict()})):
        torch.save(content, tmp_path / f"{name}.pt")
        found = weights.read(tmp_path / f"{name}.pt")
        assert torch.equal(found["weight"], module.weight)
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "noise.safetensors").write_bytes(b"noise" * 10)
    for name, message in (("list.pt", "holds no tensors by name"), ("noise.safetensors", "not a readable file")):
        with pytest.raises(InputError, match=message):
            weights.read(tmp_path / name)
    assert weights.count(module) == 8
