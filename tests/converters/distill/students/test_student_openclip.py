"""Towers of open_clip one by one: each computes what the whole model does, is rebuilt from its configuration alone."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from edgekit.converters.distill.recipe import TextStudent
from edgekit.converters.distill.students import openclip, weights
from edgekit.converters.distill.students.adapt import adapted, last_linear
from edgekit.converters.distill.students.attention import OpenClipAttention
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.padded import Padded
from edgekit.errors import InputError, UnsupportedModelError

VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8}
TEXT = {"context_length": 8, "vocab_size": 160, "width": 32, "heads": 4, "layers": 2}
FAMILIES = {
    "vit": (VISION, TEXT, {}),
    "quick gelu, pooled by id": (VISION, {**TEXT, "pool_type": "eos", "eos_id": 130}, {"quick_gelu": True}),
    "mean of tokens": ({**VISION, "pool_type": "avg", "final_ln_after_pool": True}, TEXT, {}),
    "resnet": ({"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, TEXT, {}),
    "own blocks": ({**VISION, "qk_norm": True}, {**TEXT, "qk_norm": True}, {"custom_text": True}),
    "timm, both ways": (
        {"timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "avg", "image_size": 32},
        {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
        {"custom_text": True},
    ),
}


@pytest.fixture
def request_for(tmp_path):
    def made(name):
        vision, text, more = FAMILIES[name]
        path = tmp_path / f"student-{name.replace(' ', '-').replace(',', '')}.json"
        path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, **more}))
        return openclip.request_of(str(path))

    return made


def _ids(rows=3):
    ids = torch.randint(4, 120, (rows, 8), generator=torch.Generator().manual_seed(0))
    ids[:, 5], ids[:, 6:] = 130, 0
    return ids


@pytest.mark.parametrize("name", FAMILIES)
def test_towers_compute_what_the_model_does_and_are_rebuilt(name, request_for):
    request = request_for(name)
    model = openclip.whole_model(request)
    size = FAMILIES[name][0]["image_size"]
    planes = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    image, text = openclip.image_of(model).eval(), openclip.text_of(model).eval()
    with torch.no_grad():
        torch.testing.assert_close(image(planes), model.encode_image(planes), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(text(_ids()), model.encode_text(_ids()), atol=1e-5, rtol=1e-4)
        for tower, build, config, given in (
            (image, openclip.image_module, openclip.image_config(request, 0, 0), planes),
            (text, openclip.text_module, openclip.text_config(request, 0, 0), _ids()),
        ):
            again = build(config).eval()
            weights.put(again, tower.state_dict(), "here")
            assert torch.equal(again(given), tower(given))
    assert text.full_length == (name == "timm, both ways")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("train", ["lora", "probe"])
def test_adapting_and_merging_leave_the_numbers(name, train, request_for):
    tower = openclip.image_of(openclip.whole_model(request_for(name))).eval()
    size = FAMILIES[name][0]["image_size"]
    planes = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = tower(planes)
        module = adapted(tower, train, 2, 16).eval()
        torch.testing.assert_close(module(planes), expected, atol=1e-5, rtol=1e-4)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02)
        changed = module(planes)
        assert not torch.allclose(changed, expected, atol=1e-3)
        torch.testing.assert_close(finish(module)(planes), changed, atol=1e-5, rtol=1e-4)


def test_matrices_are_linear_layers(request_for):
    tower = openclip.image_of(openclip.whole_model(request_for("vit")))
    assert not any(isinstance(part, nn.MultiheadAttention) for part in tower.modules())
    assert sum(isinstance(part, OpenClipAttention) for part in tower.modules()) == 2
    assert last_linear(tower) is tower.head
    assert tower.visual.proj is None


@pytest.mark.parametrize("name", ["vit", "timm, both ways"])
def test_shorter_texts(name, request_for):
    text = openclip.text_of(openclip.whole_model(request_for(name))).eval()
    module = Padded(text, 8, 0) if text.full_length else text
    with torch.no_grad():
        torch.testing.assert_close(module(_ids()[:, :6]), text(_ids()), atol=1e-5, rtol=1e-4)


def test_a_padded_tower_ends_where_its_base_does(request_for):
    text = openclip.text_of(openclip.whole_model(request_for("timm, both ways")))
    assert last_linear(Padded(text, 8, 0)) is text.head
    assert Padded(nn.Identity(), 8, 0).last == ""


def test_the_id_of_the_end_follows_a_smaller_vocabulary(request_for):
    config = openclip.text_config(request_for("quick gelu, pooled by id"), 0, 0)
    found = json.loads(openclip.renumbered(config, [0, 5, 130]))
    assert found["text_cfg"]["eos_id"] == 2
    assert json.loads(openclip.renumbered(config, [0, 5]))["text_cfg"]["eos_id"] == 130


def test_sizes_are_changed_in_the_configuration(request_for):
    request = request_for("vit")
    image = json.loads(openclip.image_config(request, 24, 64))
    assert (image["embed_dim"], image["vision_cfg"]["image_size"]) == (24, 64)
    assert openclip.image_module(json.dumps(image))(torch.zeros(1, 3, 64, 64)).shape == (1, 24)
    text = json.loads(openclip.text_config(request, 24, 6))
    assert openclip.text_module(json.dumps(text))(_ids()[:, :6]).shape == (3, 24)


def test_what_cannot_be_rebuilt_is_refused(request_for, tmp_path):
    path = tmp_path / "student-hf.json"
    text = {"hf_model_name": "someone/model", "context_length": 8}
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": VISION, "text_cfg": text}))
    request = openclip.request_of(str(path))
    assert not openclip.has_own_text(str(path))
    assert not openclip.has_own_text("")
    with pytest.raises(UnsupportedModelError, match="is a model of transformers; take 'teacher'"):
        openclip.text_config(request, 0, 0)
    with pytest.raises(UnsupportedModelError, match="configuration is on a hub"):
        openclip.request_of("hf-hub:someone/model")
    with pytest.raises(UnsupportedModelError, match="cannot be rebuilt"):
        openclip._text(nn.Identity())
    broken = openclip.image_config(request_for("vit"), 0, 0).replace('"layers": 2', '"layers": "x"')
    with pytest.raises(UnsupportedModelError, match="cannot build this image tower"):
        openclip.image_module(broken)


def test_padding_is_put_where_it_takes_part(make, tmp_path):
    """A configuration that pools its last position: the student pads each text to its whole length."""
    path = tmp_path / "student-last.json"
    text = {**TEXT, "vocab_size": 49408, "no_causal_mask": True, "pool_type": "last", "width": 8, "heads": 2}
    config = {"embed_dim": 16, "custom_text": True, "vision_cfg": VISION, "text_cfg": text}
    path.write_text(json.dumps(config))
    student, _ = make(None, TextStudent(f"open_clip:{path}"))
    assert type(student.text.module) is Padded
    ids = torch.full((2, 8), student.text.pad_id)
    ids[:, :3] = torch.tensor([[49406, 320, 49407], [49406, 321, 49407]])
    with torch.no_grad():
        torch.testing.assert_close(student.text.module(ids[:, :3]), student.text.module(ids))
    with pytest.raises(InputError, match=r"student\.text\.vocabulary: open_clip:.* has no such choice"):
        make(None, TextStudent(f"open_clip:{path}", vocabulary=500))
