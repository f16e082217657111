"""What a recipe's data offers before any training: its texts, and a few of its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.errors import InputError
from edgekit.preprocess import preprocess
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.distill.recipe import DataSpec

_PICTURES, _ROWS = 64, 16


def training_texts(data: DataSpec, templates: tuple[str, ...]) -> tuple[str, ...]:
    """Return every text that a text tower will be trained on.

    Args:
        data: the recipe's.
        templates: prompts that class names are put into, where the recipe has none.

    Returns:
        The texts of `data.texts`, and those of the training images.

    Raises:
        InputError: a file or set is unusable.
    """
    from edgekit.converters.distill.data import sets
    from edgekit.converters.distill.data.texts import read_texts

    found = list(read_texts(data.texts))
    images = sets.collect(data)
    if images is not None and images.train.task == "classification":
        chosen = data.templates or templates
        found += [prompt for text in images.train.texts for prompt in fill_templates(text, chosen)]
    elif images is not None:
        found += images.train.texts
    return tuple(dict.fromkeys(found))


def picture_batches(data: DataSpec, spec: ImageSpec) -> tuple[torch.Tensor, ...]:
    """Return a few training pictures as a tower sees them.

    Args:
        data: the recipe's.
        spec: preprocessing.

    Returns:
        Batches of float32 (N, 3, H, W) normalized planes, 64 pictures at most.

    Raises:
        InputError: there are no pictures.
    """
    from edgekit.converters.distill.data import sets

    images = sets.collect(data)
    if images is None:
        raise InputError("student.image.importance: taylor needs pictures; give data.images, or take magnitude")
    pixels = np.stack([preprocess(item.read(), spec) for item in images.train.items[:_PICTURES]])
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return tuple(torch.split((planes - mean) / std, _ROWS))
