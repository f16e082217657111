"""Batches for losses, of random unit rows in double precision."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from edgekit.converters.distill.losses.records import Inputs, Pair


def unit(count, dimension, seed):
    """Return float64 (count, dimension) unit rows."""
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dimension, dtype=torch.float64, generator=generator), dim=1)


def pair(student, teacher, mapped=None):
    """Return a pair; the student's rows are their own map where the dimensions agree."""
    return Pair(student, teacher, student if mapped is None else mapped)


def batch(labels=(0, 1, 2, 0, -1), texts=4, dimension=6, seed=0, **changed):
    """Return images with texts; student and teacher differ, and both towers of the student learn."""
    count = len(labels)
    images, taught = unit(count, dimension, seed), unit(count, dimension, seed + 1)
    made = Inputs(
        image=pair(images, taught),
        text=None,
        images=images,
        bank=unit(texts, dimension, seed + 2).requires_grad_(),
        teacher_images=taught,
        teacher_bank=unit(texts, dimension, seed + 3),
        labels=torch.tensor(labels, dtype=torch.int64),
        scale=torch.tensor(5.0, dtype=torch.float64),
        bias=torch.tensor(-1.0, dtype=torch.float64),
        teacher_scale=8.0,
    )
    return replace(made, **changed)


def agreed(**changed):
    """Return images with texts whose student is its teacher."""
    images, bank = unit(5, 6, 1), unit(4, 6, 2)
    fields = {
        "images": images,
        "image": pair(images, images),
        "teacher_images": images,
        "bank": bank,
        "teacher_bank": bank,
        "scale": torch.tensor(8.0, dtype=torch.float64),
    }
    return batch(**{**fields, **changed})


def nothing(**changed):
    """Return a batch without anything, but for what is given."""
    parts = ("image", "images", "bank", "teacher_images", "teacher_bank", "labels")
    return replace(batch(), **{**dict.fromkeys(parts), **changed})


def texts(student, teacher, mapped=None):
    """Return a batch of texts alone."""
    return nothing(text=pair(student, teacher, mapped))


def images_alone(student, teacher, mapped=None):
    """Return a batch of images to which no text belongs."""
    shown = {"images": student, "teacher_images": teacher}
    return nothing(image=pair(student, teacher, mapped), labels=torch.full((len(student),), -1), **shown)
