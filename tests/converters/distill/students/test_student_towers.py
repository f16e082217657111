"""Every architecture: made, stored, rebuilt without the teacher, exported, and right in ONNX Runtime."""

from __future__ import annotations

import onnx
import pytest
import torch

from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import conv, trunks, weights
from edgekit.converters.distill.students.finish import finish

IMAGES = {
    "conv": ImageStudent("conv", width=4),
    "conv deeper": ImageStudent("conv", size=48, width=4, layers=6),
    "hybrid": ImageStudent("hybrid", width=8, layers=7),
    "vit": ImageStudent("vit-tiny", width=24, layers=2, heads=2),
    "timm": ImageStudent("timm:test_resnet", size=64),
    "timm of a fixed size": ImageStudent("timm:test_vit", size=32),
}
TEXTS = {
    "static": TextStudent("static", width=8),
    "static that mixes": TextStudent("static", width=8, layers=1, heads=2),
    "transformer": TextStudent("transformer", width=16, layers=2, heads=2),
    "transformer of short texts": TextStudent("transformer", width=16, layers=1, heads=2, context_length=6),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_architecture(name, make, check_student):
    student, folder = make(IMAGES[name])
    assert student.text is None
    assert sorted(file.name for file in folder.iterdir()) == ["initial-image.safetensors", "student.json"]
    check_student(student, folder)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_architecture(name, make, check_student):
    student, folder = make(None, TEXTS[name])
    assert student.image is None
    check_student(student, folder)


def test_both_towers_of_open_clip(make, check_student, clip_source, tmp_path):
    config = clip_source.partition(":")[2]
    student, folder = make(ImageStudent(f"open_clip:{config}"), None, dimension=16)
    assert student.image.spec.mean == (0.48145466, 0.4578275, 0.40821073)
    check_student(student, folder)


@pytest.mark.parametrize("train", ["all", "lora", "probe"])
@pytest.mark.parametrize("kind", ["bundle", "open_clip"])
def test_the_teacher_itself(train, kind, make, check_student, clip_source):
    arch = {"train": train, "rank": 2}
    source = clip_source if kind == "open_clip" else None
    student, folder = make(ImageStudent("teacher", **arch), TextStudent("teacher", **arch), source=source)
    check_student(student, folder)


@pytest.mark.parametrize("train", ["lora", "probe"])
def test_a_merged_tower_has_no_more_operators(train, make, clip_source, tmp_path):
    from edgekit.converters import towers

    counts = []
    for mode in ("all", train):
        student, _ = make(None, TextStudent("teacher", train=mode), source=clip_source)
        plain = finish(student.text.module)
        towers.text_tower(plain, 8, student.text.pad_id).export(tmp_path / "text.onnx")
        counts.append(len(onnx.load(str(tmp_path / "text.onnx")).graph.node))
    assert counts[1] <= counts[0]


def test_sizes_of_the_convolutional_network():
    count = weights.count
    assert count(conv.ConvEncoder(32, 4, 32, 384)) == 358_392
    assert count(conv.ConvEncoder(16, 4, 32, 384)) == 106_812
    assert count(conv.ConvEncoder(16, 4, 128, 384)) == 106_812  # the size of the picture changes none


def test_a_stride_keeps_the_map_small():
    planes = torch.zeros(1, 3, 64, 64)
    assert conv.ConvEncoder(4, 4, 64, 8).body(planes).shape[-1] == 4
    assert conv.ConvEncoder(4, 4, 32, 8).body(planes).shape[-1] == 8


def test_branches_of_a_hybrid_are_merged():
    module = trunks.hybrid(8, 7, 16)
    with torch.no_grad():
        for part in module.modules():  # as after some training
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    planes = torch.randn(2, 3, 32, 32)
    plain = finish(module)
    with torch.no_grad():
        torch.testing.assert_close(plain(planes), module.eval()(planes), atol=1e-4, rtol=1e-4)
    kernels = [sum(isinstance(part, torch.nn.Conv2d) for part in one.modules()) for one in (plain, module)]
    assert kernels[0] < kernels[1]
    assert weights.count(plain) < weights.count(module)


def test_finishing_leaves_the_module_alone():
    module = trunks.hybrid(8, 7, 16).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    finish(module)
    assert module.training
    after = module.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("text", [TextStudent("static", width=8), TextStudent("transformer", width=16, layers=1)])
def test_padding_changes_nothing(text, make):
    student, _ = make(None, text)
    module = student.text.module.eval()
    short = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, *[student.text.pad_id] * 5]])
    with torch.no_grad():
        torch.testing.assert_close(module(short), module(padded), atol=1e-6, rtol=1e-5)
        assert not torch.allclose(module(short), module(torch.tensor([[5, 6, 8]])))


def test_a_large_vocabulary_is_factorized():
    from edgekit.converters.distill.students.transformer import default_factor

    assert default_factor(500, 64) == 64
    assert default_factor(30_000, 256) == 64
    assert default_factor(30_000, 64) == 32
    assert default_factor(30_000, 16) == 16
