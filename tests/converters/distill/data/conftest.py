"""Small sets of pictures, a tiny teacher and students for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from torch import nn

import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.recipe import DataSpec, Recipe, StudentSpec, TeacherSpec, Training
from edgekit.converters.distill.students.records import ImageTower, Student, TextTower
from made_material import texts_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CLASSES = ("cat", "cup", "rocket")


def paint(path: Path, number: int, size: tuple[int, int] = (40, 32)) -> Path:
    """Write a picture of its own for each number: a coloured slope with some noise."""
    random = np.random.default_rng(number)
    width, height = size
    slope = np.linspace(0, 160, width)[None, :, None] * random.uniform(0, 1, 3) + random.integers(0, 60, 3)
    pixels = slope + random.integers(0, 36, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def make_classes() -> Callable[..., Path]:
    """Write a folder with a sub-folder for each class; its pictures are `numbers`, dealt out in turn."""

    def make(folder: Path, numbers: Sequence[int], classes: Sequence[str] = CLASSES) -> Path:
        for place, number in enumerate(numbers):
            paint(folder / classes[place % len(classes)] / f"p{number:04d}.png", number)
        return folder

    return make


@pytest.fixture
def make_captions() -> Callable[..., Path]:
    """Write a folder of pictures with two captions each."""

    def make(folder: Path, numbers: Sequence[int]) -> Path:
        for number in numbers:
            path = paint(folder / f"p{number:04d}.png", number)
            path.with_suffix(".txt").write_text(f"a photo of picture {number}\nthe cat on the car {number}\n")
        return folder

    return make


@pytest.fixture
def make_plain() -> Callable[..., Path]:
    """Write a folder of pictures without texts."""

    def make(folder: Path, numbers: Sequence[int]) -> Path:
        for number in numbers:
            paint(folder / f"x{number:04d}.png", number)
        return folder

    return make


@pytest.fixture
def student(tiny_bundle: Path) -> Student:
    """Both towers are new; 24 px pictures, the teacher's tokenizer."""
    manifest = open_bundle(tiny_bundle).manifest
    spec = replace(manifest.image, height=24, width=24, shortest_edge=24, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    text = TextTower(nn.Identity(), tiny.make_tokenizer().to_str(), tiny.CONTEXT_LENGTH, 0, "none")
    return Student(ImageTower(nn.Identity(), spec), text)


@pytest.fixture
def make_recipe(tiny_bundle: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe for the tiny teacher; arguments are of `DataSpec`, but for the batch and the training's seed."""

    def make(batch: int = 4, order: int = 0, **data: object) -> Recipe:
        given = DataSpec(**{"views": 2, "store": str(tmp_path / "store"), **data})  # type: ignore[arg-type]
        return Recipe((TeacherSpec(str(tiny_bundle)),), given, StudentSpec(), {}, Training(batch=batch, seed=order))

    return make


@pytest.fixture
def recipe(tmp_path, make_recipe, make_classes):
    folder = make_classes(tmp_path / "set", range(14))
    return make_recipe(images=(str(folder),), texts=(texts_file(tmp_path),), held_out=0.4)
