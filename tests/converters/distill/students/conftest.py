"""Teachers and ways to make a student of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import student_kit
from edgekit.converters import towers
from edgekit.converters.distill.students import create, weights
from edgekit.converters.distill.students import open as opening
from edgekit.converters.distill.students.finish import finish


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A bundle: 32 px, D = 16, L = 8, 140 tokens."""
    return student_kit.bundle(tmp_path_factory.mktemp("teacher") / "tiny.edge")


@pytest.fixture(scope="session")
def clip_source(tmp_path_factory):
    """The name of a small open_clip model with random weights, which the bundle can stand for."""
    return student_kit.open_clip_config(tmp_path_factory.mktemp("clip"), "student-clip")


@pytest.fixture
def make(teacher, tmp_path):
    """Make a student; returns (untrained towers, its folder)."""

    def made(image=None, text=None, *, bundle=teacher, source=None, dimension=0, seed=0):
        name = source or str(bundle)
        recipe = student_kit.recipe(tmp_path, image, text, teacher=name, dimension=dimension, seed=seed)
        folder = tmp_path / "student"
        create.create(recipe, bundle, folder)
        return opening.open_student(folder, trained=False), folder

    return made


@pytest.fixture
def check_student(check_tower, tmp_path):
    """Finish, store and open a student's towers, export them and hold the files against the untrained modules."""

    def check(student, folder):
        sizes = {}
        for name in ("image", "text"):
            tower = getattr(student, name)
            if tower is not None:
                weights.save(finish(tower.module), weights.trained(folder, name))
        trained = opening.open_student(folder, trained=True)
        for name, inputs in (("image", pixels), ("text", ids)):
            tower = getattr(trained, name)
            if tower is None:
                continue
            batch = inputs(tower)
            export = (
                towers.image_tower(tower.module, tower.spec)
                if name == "image"
                else towers.text_tower(tower.module, tower.context_length, tower.pad_id)
            )
            check_tower(export, tmp_path / f"{name}.onnx", batch)
            before = rows(getattr(student, name), batch)
            np.testing.assert_allclose(export.reference(batch), before, atol=1e-5)
            sizes[name] = weights.count(tower.module)
        assert opening.read_plan(folder).parameters == sizes
        return sizes

    return check


def pixels(tower):
    shape = (5, tower.spec.height, tower.spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def ids(tower):
    batch = np.full((5, tower.context_length), tower.pad_id, np.int32)
    random = np.random.default_rng(0)
    for row, length in enumerate((2, 3, tower.context_length - 2, tower.context_length - 1, tower.context_length)):
        batch[row, :length] = random.integers(4, 90, length)
        batch[row, length - 1] = 95
    return batch


def rows(tower, batch):
    """Unit rows of a module that is not exported."""
    module = tower.module.eval()
    with torch.no_grad():
        if batch.ndim == 2:
            found = module(torch.from_numpy(batch).long())
        else:
            mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (tower.spec.mean, tower.spec.std))
            found = module((torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - mean) / std)
    return torch.nn.functional.normalize(found, dim=-1).numpy()
