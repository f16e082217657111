"""What the training reads, from a work folder's data: batches that follow from the recipe and their number alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.bundle import schema
from edgekit.converters.distill.batches import Bank, ImageBatch, Teacher, TextBatch, Validation
from edgekit.converters.distill.data import transform
from edgekit.converters.distill.data.ahead import Ahead
from edgekit.converters.distill.data.order import Order
from edgekit.converters.distill.data.parameters import IDENTITY, NONE
from edgekit.converters.distill.data.plan import TextList
from edgekit.converters.distill.data.prepare import prepare, read_made, stored_pixels
from edgekit.converters.distill.data.ragged import Ragged
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from edgekit.converters.distill.batches import Material, Planes
    from edgekit.converters.distill.data.plan import Plan
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.students.records import Student

__all__ = ["open_material", "prepare"]

_IMAGES, _TEXTS = 0, 1


def open_material(recipe: Recipe, student: Student, folder: Path, *, prefetch: bool = True) -> Material:
    """Open what `prepare` made; cheap, and mapped, so that several processes share the memory.

    Args:
        recipe: its batch size, seed and weights; the data is the work folder's.
        student: what learns.
        folder: the work folder.
        prefetch: make the next batch in the background; the batches are the same.

    Returns:
        The material.

    Raises:
        InputError: the data is not complete, or was made for another recipe or student.
    """
    plan = read_made(folder).plan
    if len(plan.teachers) != len(recipe.teachers):
        raise InputError(f"{folder}: its data is of {len(plan.teachers)} teachers, the recipe names other ones")
    image = None if student.image is None else student.image.spec
    if plan.images is not None and plan.images.student != image:
        raise InputError(f"{folder}: its data is for another image student; run the distillation anew")
    if bool(plan.texts.tokenizer) != (student.text is not None):
        raise InputError(f"{folder}: its data is for another text student; run the distillation anew")
    pool = ThreadPoolExecutor(1, thread_name_prefix="edgekit-batches") if prefetch else None
    return _Stored(recipe, plan, folder / "data", pool)


class _Stored:
    """The `Material` of a work folder."""

    def __init__(self, recipe: Recipe, plan: Plan, home: Path, pool: ThreadPoolExecutor | None) -> None:
        self._recipe, self._plan, self._home = recipe, plan, home
        self._images = Ahead(_ImageBatches(recipe, plan, home), pool) if plan.images else None
        self._texts = Ahead(_TextBatches(recipe, plan, home), pool) if plan.texts.count else None

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """The teachers, in the recipe's order."""
        return tuple(
            Teacher(
                model=spec.model or spec.embeddings,
                digest=record.digest,
                space=record.space,
                dimension=record.dimension,
                logit_scale=record.logit_scale,
                logit_bias=record.logit_bias,
                weight=spec.weight,
                image=record.image,
                text=record.text,
            )
            for spec, record in zip(self._recipe.teachers, self._plan.teachers, strict=True)
        )

    @cached_property
    def bank(self) -> Bank:
        """The training images' texts; no texts where nothing is labelled."""
        images = self._plan.images
        if images is None:
            empty = tuple(torch.empty((0, record.dimension)) for record in self._plan.teachers)
            return Bank((), torch.empty((0, 1), dtype=torch.int64) if self._plan.texts.tokenizer else None, 1, empty)
        return self._bank("bank", "bank-rows", classes=images.classes)

    def images(self, step: int, rank: int, world: int) -> ImageBatch | None:
        """Return this process's part of the images of a step; None where the recipe has no images."""
        return None if self._images is None else self._images.get(step, rank, world)

    def texts(self, step: int, rank: int, world: int) -> TextBatch | None:
        """Return this process's part of the texts of a step; None where there are none for a text student."""
        return None if self._texts is None else self._texts.get(step, rank, world)

    def validation(self) -> tuple[Validation, Planes] | None:
        """Return what to judge on, and a function of a range of its images; None where the recipe has no images."""
        images = self._plan.images
        if images is None:
            return None
        targets = Ragged(self._home, "validation-targets")
        found = Validation(
            images=images.validation_count,
            targets=tuple(tuple(map(int, targets[row])) for row in range(len(targets))),
            bank=self._bank("validation", "validation-bank-rows", classes=images.validation_classes),
            rows=self._rows("validation-rows"),
            name=images.validation,
            digest=images.validation_digest,
        )
        return found, _ValidationPlanes(self._plan, self._home)

    def _bank(self, name: str, rows: str, *, classes: bool) -> Bank:
        path = self._home / f"{name}-texts.json"
        texts = schema.loads(TextList, path.read_bytes(), str(path)).texts
        chosen = np.load(self._home / f"{name}-chosen.npy")
        tokens = torch.from_numpy(np.load(self._home / f"{name}-tokens.npy")) if self._plan.texts.tokenizer else None
        prompts = len(self._plan.images.templates) if classes and self._plan.images else 1
        if not texts:
            empty = tuple(torch.empty((0, record.dimension)) for record in self._plan.teachers)
            return Bank((), tokens, prompts, empty)
        return Bank(texts, tokens, prompts, tuple(one[chosen] for one in self._rows(rows)))

    def _rows(self, name: str) -> tuple[Tensor, ...]:
        paths = (self._home / f"{name}-{number}.npy" for number in range(len(self._plan.teachers)))
        return tuple(torch.from_numpy(np.load(path)[:, 0]) for path in paths)


class _ImageBatches:
    """Makes batches of images."""

    def __init__(self, recipe: Recipe, plan: Plan, home: Path) -> None:
        if plan.images is None:
            raise ValueError("the plan has no images")
        images = self._given = plan.images
        self._order = Order(images.count, recipe.training.batch, recipe.training.seed, _IMAGES)
        self._rows = [np.load(home / f"rows-{i}.npy", mmap_mode="r") for i in range(len(plan.teachers))]
        self._targets = Ragged(home, "bank-targets")
        self._views = np.load(home / "views.npy", mmap_mode="r") if images.augmentation != NONE else None
        if images.pixels is not None:
            self._pixels = stored_pixels(home, "pixels", images.pixels, cached=images.cached)

    def __call__(self, step: int, rank: int, world: int) -> ImageBatch:
        """Make a process's part of a step's batch."""
        turn = self._order.turn(step, rank, world)
        views = turn.epochs % self._given.views
        rows = tuple(_unit(one, turn.indices, views) for one in self._rows)
        labels = [self._label(int(i), int(epoch)) for i, epoch in zip(turn.indices, turn.epochs, strict=True)]
        return ImageBatch(self._planes(turn.indices, views), rows, torch.tensor(labels, dtype=torch.int64))

    def _label(self, image: int, epoch: int) -> int:
        """Return an image's text; of several captions, each epoch takes the next."""
        found = self._targets[image]
        return int(found[epoch % len(found)]) if len(found) else -1

    def _planes(self, indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> Tensor | None:
        spec = self._given.student
        if spec is None:
            return None
        if self._views is None:
            given = np.tile(np.array(IDENTITY, np.float32), (len(indices), 1))
        else:
            given = np.asarray(self._views[indices, views])
        planes = transform.apply(self._pixels.take(indices), given, (spec.height, spec.width))
        return transform.normalize(planes, spec)


class _TextBatches:
    """Makes batches of texts."""

    def __init__(self, recipe: Recipe, plan: Plan, home: Path) -> None:
        self._order = Order(plan.texts.count, recipe.training.batch, recipe.training.seed, _TEXTS)
        self._ids, self._pad_id = Ragged(home, "texts"), plan.texts.pad_id
        self._rows = [np.load(home / f"texts-rows-{i}.npy", mmap_mode="r") for i in range(len(plan.teachers))]

    def __call__(self, step: int, rank: int, world: int) -> TextBatch:
        """Make a process's part of a step's batch."""
        indices = self._order.turn(step, rank, world).indices
        ids = torch.from_numpy(self._ids.padded(indices.tolist(), self._pad_id))
        return TextBatch(ids, tuple(_unit(one, indices, np.zeros_like(indices)) for one in self._rows))


class _ValidationPlanes:
    """Reads the validation images as the student's bundle will."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self._images = plan.images
        if self._images is not None and self._images.student is not None:
            self._pixels = stored_pixels(
                home, "validation-pixels", self._images.student, cached=self._images.validation_cached
            )

    def __call__(self, start: int, stop: int) -> Tensor:
        """Return float32 (stop - start, 3, H, W) normalized planes."""
        if self._images is None or self._images.student is None:
            raise InputError("the image tower is kept: the first teacher's rows stand for its images")
        found = torch.from_numpy(self._pixels.take(range(start, stop))).permute(0, 3, 1, 2).float().contiguous()
        return transform.normalize(found, self._images.student)


def _unit(rows: npt.NDArray[np.float32], indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> Tensor:
    """Return float32 (N, D) rows of unit length; those of float16 lack a few parts in ten thousand of it."""
    found = torch.from_numpy(np.asarray(rows[indices, views], np.float32))
    return torch.nn.functional.normalize(found, dim=-1)
