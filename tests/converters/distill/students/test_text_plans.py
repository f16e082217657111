"""Plans of text towers that start from weights, or whose padding takes part; and sizes that an image tower refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import student_kit
import tiny_bundle as tiny
from edgekit.converters.distill.recipe import ImageStudent, TextStudent
from edgekit.converters.distill.students import openclip, weights
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.padded import Padded
from edgekit.errors import InputError

LENGTH = 8


def ids(pad=0, used=5):
    """Texts of a few tokens below 100, the largest one last, as an end of text is."""
    found = torch.full((3, LENGTH), pad)
    draw = torch.Generator().manual_seed(1)
    found[:, :used] = torch.randint(3, 90, (3, used), generator=draw)
    found[:, used - 1] = 99
    return found


def checkpoint(source, folder):
    """Save the model of an open_clip source; returns it and the file."""
    model = openclip.whole_model(openclip.request_of(source.partition(":")[2])).eval()
    torch.save(model.state_dict(), folder / "clip.pt")
    return model, str(folder / "clip.pt")


def pooled_last(folder):
    """A source whose text tower reads its last position, so that padding takes part."""
    return student_kit.open_clip_config(folder, "student-pooled", no_causal_mask=True, pool_type="last")


@pytest.mark.parametrize("train", ["lora"])
def test_a_text_tower_of_open_clip_takes_its_weights_over(make, clip_source, tmp_path, train):
    model, path = checkpoint(clip_source, tmp_path)
    student, folder = make(None, TextStudent(clip_source, weights=path, train=train))
    module = student.text.module.eval()
    learning = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    assert len(learning) < len(list(module.parameters())) or train == "all"
    with torch.no_grad():
        torch.testing.assert_close(module(ids()), model.encode_text(ids()), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(finish(module)(ids()), model.encode_text(ids()), atol=1e-5, rtol=1e-4)
    assert json.loads((folder / "student.json").read_text())["text"]["train"] == train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 6}, r"student\.text\.context_length: must be 8, that of the weights it starts from; got 6"),
        ({"layers": 2}, r"student\.text\.layers: open_clip:.* has no such choice; leave it out"),
        ({"vocabulary": 100}, r"student\.text\.vocabulary: open_clip:.* has no such choice"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_sizes_that_weights_do_not_have_are_refused(make, clip_source, tmp_path, changes, message):
    _, path = checkpoint(clip_source, tmp_path)
    with pytest.raises(InputError, match=message):
        make(None, TextStudent(clip_source, weights=path, **changes))


def test_weights_of_another_dimension_are_refused(make, clip_source, tmp_path):
    _, path = checkpoint(clip_source, tmp_path)
    image = ImageStudent("conv", width=8)
    with pytest.raises(InputError, match=r"student\.dimension: must be 16, that of the weights it starts from; got 24"):
        make(image, TextStudent(clip_source, weights=path), dimension=24)


def test_where_padding_takes_part_given_weights_are_found_inside_the_padding(make, tmp_path):
    source = pooled_last(tmp_path)
    model, path = checkpoint(source, tmp_path)
    student, folder = make(None, TextStudent(source, weights=path))
    module = student.text.module.eval()
    assert type(module) is Padded
    with torch.no_grad():
        whole = ids(pad=student.text.pad_id)
        torch.testing.assert_close(module(whole[:, :5]), model.encode_text(whole), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(model.encode_text(whole), model.encode_text(ids(pad=7)), atol=1e-3)
    assert all(name.startswith("base.") for name in weights.read(weights.initial(folder, "text")))


def test_where_padding_takes_part_a_part_of_it_keeps_its_length(make, tmp_path):
    source = pooled_last(tmp_path)
    with pytest.raises(InputError, match=r"student\.text\.context_length: must be 8, .*; got 6"):
        make(None, TextStudent("inherit", layers=2, context_length=6), source=source)
    student, _ = make(None, TextStudent("inherit", layers=2), source=source)
    with torch.no_grad():
        module, whole = student.text.module.eval(), ids(pad=student.text.pad_id)
        torch.testing.assert_close(module(whole[:, :5]), module(whole))


def test_a_teachers_graph_whose_padding_takes_part_gets_it(make, tmp_path):
    def untrimmed(manifest):
        return replace(manifest, text=replace(manifest.text, trim_padding=False))

    bundle = tiny.build(tmp_path / "untrimmed.edge", change=untrimmed)
    with pytest.raises(InputError, match=r"student\.text\.context_length: must be 8, .*; got 6"):
        make(None, TextStudent("teacher", context_length=6), bundle=bundle)
    student, _ = make(None, TextStudent("teacher"), bundle=bundle)
    assert type(student.text.module) is Padded
    with torch.no_grad():
        short = ids(pad=student.text.pad_id) % 40
        short[:, 5:] = student.text.pad_id
        torch.testing.assert_close(student.text.module(short[:, :5]), student.text.module(short))


def test_a_teachers_graph_that_trims_takes_shorter_texts_as_they_are(make, teacher):
    student, folder = make(None, TextStudent("teacher", context_length=6), bundle=teacher)
    assert type(student.text.module) is not Padded
    assert student.text.context_length == 6
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert tokenizer["truncation"]["max_length"] == 6
    assert tokenizer["padding"]["strategy"] == {"Fixed": 6}


def test_a_model_of_a_fixed_size_says_which_pictures_it_does_not_take(make):
    with pytest.raises(
        InputError, match=r"timm:test_vit: does not take pictures of 33 x 33 pixels .*student\.image\.si"
    ):
        make(ImageStudent("timm:test_vit", size=33))


def test_pictures_that_are_not_square_need_a_size(make, clip_source, tmp_path):
    def wide(manifest):
        return replace(manifest, image=replace(manifest.image, width=48, shortest_edge=0, resize_mode="squash"))

    bundle = tiny.build(tmp_path / "wide.edge", change=wide)
    with pytest.raises(InputError, match=r"student\.image\.size: must be given, the teacher's pictures are not square"):
        make(ImageStudent(clip_source), bundle=bundle)
    student, _ = make(ImageStudent(clip_source, size=40), bundle=bundle)
    assert (student.image.spec.height, student.image.spec.width, student.image.spec.resize_mode) == (40, 40, "squash")
    # Other towers take the teacher's own frame.
    student, _ = make(ImageStudent("conv", width=8), bundle=bundle)
    with torch.no_grad():
        assert student.image.module.eval()(torch.zeros(1, 3, 32, 48)).shape == (1, 16)
