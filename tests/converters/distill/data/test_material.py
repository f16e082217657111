"""From a recipe to batches: what the student sees is what the teacher saw, whoever asks and however often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_bundle as tiny
import tiny_towers
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data import transform
from edgekit.converters.distill.data.material import open_material
from edgekit.converters.distill.data.parameters import NONE, draw
from edgekit.converters.distill.data.prepare import read_made
from edgekit.converters.distill.data.sets import collect
from edgekit.converters.distill.recipe import TeacherSpec
from edgekit.converters.distill.students.records import Student
from edgekit.errors import InputError
from edgekit.preprocess import preprocess
from made_material import TEXTS, embed_ids, make, material, same, teacher_weights, texts_file, unit


def test_a_batch_has_what_was_agreed(recipe, student, tmp_path):
    found = material(recipe, student, tmp_path / "work")
    batch = found.images(0, 0, 1)
    assert (batch.planes.shape, batch.planes.dtype) == ((4, 3, 24, 24), torch.float32)
    assert (batch.rows[0].shape, batch.rows[0].dtype) == ((4, 16), torch.float32)
    assert torch.allclose(batch.rows[0].norm(dim=1), torch.ones(4), atol=1e-6)
    assert (batch.labels.shape, batch.labels.dtype) == ((4,), torch.int64)
    assert batch.planes.min() >= -1 - 1e-6
    assert batch.planes.max() <= 1 + 1e-6
    texts = found.texts(0, 0, 1)
    assert (texts.token_ids.dtype, len(texts.token_ids)) == (torch.int64, 4)
    assert texts.rows[0].shape == (4, 16)


def test_the_teacher_is_described(recipe, student, tmp_path, tiny_bundle):
    (teacher,) = material(recipe, student, tmp_path / "work").teachers
    manifest = open_bundle(tiny_bundle).manifest
    assert teacher.model == str(tiny_bundle)
    assert teacher.digest == f"sha256:{open_bundle(tiny_bundle).digest}"
    assert (teacher.space, teacher.dimension, teacher.logit_scale) == ("tiny-0", 16, 20.0)
    assert (teacher.weight, teacher.image, teacher.text) == (1.0, manifest.image, manifest.text)


def test_the_teacher_saw_the_students_view(recipe, student, tmp_path):
    found = material(recipe, student, tmp_path / "work")
    train = collect(recipe.data).train
    size, weights = 32, teacher_weights()
    # The stored pixels are of the larger size: here the teacher's.
    spec = read_made(tmp_path / "work").plan.images.pixels
    assert (spec.height, spec.shortest_edge, spec.mean) == (size, size, (0.5, 0.5, 0.5))
    pixels = np.stack([preprocess(item.read(), spec) for item in train.items])
    views = draw(recipe.data.augmentation, 0, [item.sha256 for item in train.items], 2)
    order = found._images._make._order
    seen = set()
    for step in range(2 * len(pixels) // 4):
        batch, turn = found.images(step, 0, 1), order.turn(step, 0, 1)
        view = turn.epochs % 2
        seen |= set(zip(turn.indices.tolist(), view.tolist(), strict=True))
        planes = transform.apply(pixels[turn.indices], views[turn.indices, view], (size, size))
        assert torch.allclose(batch.planes, transform.normalize(transform.resize(planes, (24, 24)), spec), atol=1e-4)
        rows = tiny_towers.embed_pixels(weights, transform.to_pixels(planes))
        assert np.abs(batch.rows[0].numpy() - rows).max() < 2e-3
    assert len(seen) >= 2 * len(pixels) - 4


def test_labels_are_those_of_the_images(recipe, student, tmp_path):
    found = material(recipe, student, tmp_path / "work")
    train = collect(recipe.data).train
    assert found.bank.texts == train.texts == ("cat", "cup", "rocket")
    for step in range(4):
        turn = found._images._make._order.turn(step, 0, 1)
        labels = found.images(step, 0, 1).labels.tolist()
        assert labels == [train.targets[index][0] for index in turn.indices]


def test_the_bank_is_the_teachers_prompts(recipe, student, tmp_path):
    found = material(recipe, student, tmp_path / "work")
    assert found.bank.prompts == 1
    prompts = [f"a photo of {name}" for name in found.bank.texts]
    assert np.abs(found.bank.rows[0].numpy() - embed_ids(prompts)).max() < 1e-5
    ids = [tiny.make_tokenizer().encode(prompt).ids for prompt in prompts]
    width = found.bank.token_ids.shape[1]
    assert found.bank.token_ids.tolist() == [one[:width] for one in ids]
    assert all(not any(one[width:]) for one in ids)


def test_several_prompts_are_averaged(recipe, student, tmp_path):
    given = replace(recipe, data=replace(recipe.data, templates=("a photo of {}", "the {}")))
    bank = material(given, student, tmp_path / "work").bank
    assert bank.prompts == 2
    assert len(bank.token_ids) == 6
    both = np.stack([embed_ids([f"a photo of {name}", f"the {name}"]).mean(axis=0) for name in bank.texts])
    assert np.abs(bank.rows[0].numpy() - unit(both)).max() < 1e-5


def test_texts_are_the_teachers(recipe, student, tmp_path):
    found = material(recipe, student, tmp_path / "work")
    seen = []
    for step in range(5):
        batch = found.texts(step, 0, 1)
        indices = found._texts._make._order.turn(step, 0, 1).indices
        texts = [TEXTS[index] for index in indices]
        assert np.abs(batch.rows[0].numpy() - embed_ids(texts)).max() < 2e-3
        ids = [tiny.make_tokenizer().encode(text).ids for text in texts]
        width = max(sum(value != 0 for value in one) for one in ids)
        assert batch.token_ids.tolist() == [one[:width] for one in ids]
        seen += texts
    assert set(seen) == set(TEXTS)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_batch_of_one(recipe, student, tmp_path, world):
    whole, parts = material(recipe, student, tmp_path / "work"), open_material(recipe, student, tmp_path / "work")
    for step in (0, 3):
        one, many = whole.images(step, 0, 1), [parts.images(step, rank, world) for rank in range(world)]
        assert torch.equal(torch.cat([part.planes for part in many]), one.planes)
        assert torch.equal(torch.cat([part.rows[0] for part in many]), one.rows[0])
        assert torch.equal(torch.cat([part.labels for part in many]), one.labels)
        texts = [parts.texts(step, rank, world) for rank in range(world)]
        assert torch.equal(torch.cat([part.rows[0] for part in texts]), whole.texts(step, 0, 1).rows[0])


def test_a_batch_follows_from_its_step_alone(recipe, student, tmp_path):
    walked, fresh = (material(recipe, student, tmp_path / "work", prefetch=ahead) for ahead in (True, False))
    for step in range(7):
        one = walked.images(step, 0, 1), walked.texts(step, 0, 1)
    two = fresh.images(6, 0, 1), fresh.texts(6, 0, 1)
    assert same(one[0], two[0])
    assert same(one[1], two[1])


def test_the_seed_of_the_training_orders(recipe, student, tmp_path):
    one = material(recipe, student, tmp_path / "work")
    other = replace(recipe, training=replace(recipe.training, seed=1))
    # The same data serves another training.
    assert not same(one.images(0, 0, 1), open_material(other, student, tmp_path / "work").images(0, 0, 1))


def test_validation_is_without_augmentation(recipe, student, tmp_path):
    validation, planes = material(recipe, student, tmp_path / "work").validation()
    held = collect(recipe.data).validation
    assert (validation.images, validation.targets) == (len(held.items), held.targets)
    assert (validation.name, validation.digest) == (held.name, held.digest)
    assert validation.bank.texts == held.texts
    spec = student.image.spec
    pixels = np.stack([preprocess(item.read(), spec) for item in held.items])
    assert len(held.items) >= 3
    found = planes(1, 3)
    assert torch.equal(found, transform.normalize(torch.from_numpy(pixels[1:3]).permute(0, 3, 1, 2).float(), spec))
    teacher = open_bundle(recipe.teachers[0].model).manifest.image
    seen = np.stack([preprocess(item.read(), teacher) for item in held.items])
    assert np.abs(validation.rows[0].numpy() - tiny_towers.embed_pixels(teacher_weights(), seen)).max() < 1e-5


def test_without_augmentation_pixels_are_exact(recipe, student, tmp_path):
    given = replace(recipe, data=replace(recipe.data, augmentation=NONE, resolution=24))
    found = material(given, student, tmp_path / "work")
    train = collect(given.data).train
    assert read_made(tmp_path / "work").plan.images.views == 1
    turn, spec = found._images._make._order.turn(2, 0, 1), student.image.spec
    pixels = np.stack([preprocess(train.items[index].read(), spec) for index in turn.indices])
    expected = transform.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), spec)
    assert torch.equal(found.images(2, 0, 1).planes, expected)


def test_some_labels_only(recipe, student, tmp_path):
    given = replace(recipe, data=replace(recipe.data, labelled=0.4))
    found = material(given, student, tmp_path / "work")
    sets = collect(given.data)
    assert 0 < sum(sets.labelled) < len(sets.labelled)
    assert found.bank.texts == ("cat", "cup", "rocket")
    for step in range(4):
        turn = found._images._make._order.turn(step, 0, 1)
        expected = [sets.train.targets[i][0] if sets.labelled[i] else -1 for i in turn.indices]
        assert found.images(step, 0, 1).labels.tolist() == expected


def test_captions_of_unlabelled_images_stay_unknown(tmp_path, make_recipe, make_captions, student):
    folder = make_captions(tmp_path / "set", range(20))
    recipe = make_recipe(images=(str(folder),), held_out=0.2, labelled=0.4)
    found = material(recipe, student, tmp_path / "work")
    sets = collect(recipe.data)
    known = {
        sets.train.texts[i] for one, may in zip(sets.train.targets, sets.labelled, strict=True) if may for i in one
    }
    assert set(found.bank.texts) == known
    assert 0 < len(known) < len(sets.train.texts)
    assert found.bank.prompts == 1
    assert np.abs(found.bank.rows[0].numpy() - embed_ids(found.bank.texts)).max() < 1e-5
    assert len(found.validation()[0].targets[0]) == 2


def test_epochs_take_turns_with_captions(tmp_path, make_recipe, make_captions, student):
    recipe = make_recipe(images=(str(make_captions(tmp_path / "set", range(15))),), held_out=0.4, batch=1)
    found = material(recipe, student, tmp_path / "work")
    count = len(collect(recipe.data).train.items)
    seen = {}
    for step in range(2 * count):
        turn = found._images._make._order.turn(step, 0, 1)
        text = found.bank.texts[int(found.images(step, 0, 1).labels[0])]
        seen.setdefault(int(turn.indices[0]), set()).add(text)
    assert all(len(texts) == 2 for texts in seen.values())


@pytest.mark.parametrize("labelled", [0.0, 1.0], ids=["no labels used", "no labels there"])
def test_a_bank_without_labels_is_empty(tmp_path, make_recipe, make_classes, make_plain, student, labelled):
    folder = (make_plain if labelled else make_classes)(tmp_path / "set", range(15))
    recipe = make_recipe(images=(str(folder),), held_out=0.4, labelled=labelled)
    found = material(recipe, student, tmp_path / "work")
    assert found.bank.texts == ()
    assert found.bank.rows[0].shape == (0, 16)
    assert len(found.bank.token_ids) == 0
    assert (found.images(0, 0, 1).labels == -1).all()
    validation, _ = found.validation()
    assert all(bool(target) != bool(labelled) for target in validation.targets)


def test_a_kept_image_tower_needs_no_views(recipe, student, tmp_path):
    kept = Student(None, student.text)
    found = material(recipe, kept, tmp_path / "work")
    batch = found.images(0, 0, 1)
    assert batch.planes is None
    train = collect(recipe.data).train
    turn = found._images._make._order.turn(0, 0, 1)
    teacher = open_bundle(recipe.teachers[0].model).manifest.image
    pixels = np.stack([preprocess(train.items[index].read(), teacher) for index in turn.indices])
    assert np.abs(batch.rows[0].numpy() - tiny_towers.embed_pixels(teacher_weights(), pixels)).max() < 1e-5
    assert not list((tmp_path / "work" / "data").glob("*pixels*"))
    with pytest.raises(InputError, match="the image tower is kept"):
        found.validation()[1](0, 1)


def test_a_kept_text_tower_needs_no_tokens(recipe, student, tmp_path):
    found = material(recipe, Student(student.image, None), tmp_path / "work")
    assert found.texts(0, 0, 1) is None
    assert found.bank.token_ids is None
    assert found.validation()[0].bank.token_ids is None
    assert found.bank.rows[0].shape == (3, 16)


def test_texts_alone(tmp_path, make_recipe, student):
    recipe = make_recipe(texts=(texts_file(tmp_path),))
    found = material(recipe, Student(None, student.text), tmp_path / "work")
    assert found.images(0, 0, 1) is None
    assert found.validation() is None
    assert found.bank.texts == ()
    assert found.texts(0, 0, 1).rows[0].shape == (4, 16)


def test_nothing_to_learn_from_is_refused(tmp_path, make_recipe, student):
    recipe = make_recipe(texts=(texts_file(tmp_path),))
    with pytest.raises(InputError, match="data: names neither images nor texts"):
        make(recipe, Student(student.image, None), tmp_path / "work")


def test_too_many_pixels_are_decoded_each_time(recipe, student, tmp_path):
    cached = material(recipe, student, tmp_path / "a")
    decoded = material(replace(recipe, data=replace(recipe.data, memory=0.0)), student, tmp_path / "b")
    assert not list((tmp_path / "b" / "data").glob("*pixels.npy"))
    assert same(cached.images(1, 0, 1), decoded.images(1, 0, 1))
    assert torch.equal(cached.validation()[1](0, 2), decoded.validation()[1](0, 2))


def test_several_teachers_see_the_same_views(recipe, student, tmp_path):
    other = tiny.build(tmp_path / "other.edge", seed=5)
    given = replace(recipe, teachers=(*recipe.teachers, TeacherSpec(str(other), weight=0.5)))
    both, one = material(given, student, tmp_path / "a"), material(recipe, student, tmp_path / "b")
    batch = both.images(0, 0, 1)
    assert [teacher.weight for teacher in both.teachers] == [1.0, 0.5]
    assert torch.equal(batch.rows[0], one.images(0, 0, 1).rows[0])
    assert not torch.allclose(batch.rows[0], batch.rows[1], atol=0.1)
    assert len(both.bank.rows) == len(both.validation()[0].rows) == len(both.texts(0, 0, 1).rows) == 2
    assert len(read_made(tmp_path / "a").costs) == 2
