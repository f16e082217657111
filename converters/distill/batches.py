"""What one step of the training gets. A batch is a pure function of the recipe, its number and the process's rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.bundle.manifest import ImageSpec, TextSpec


@dataclass(frozen=True)
class Teacher:
    """Facts of a teacher whose embeddings are at hand.

    Attributes:
        model: as the recipe names it.
        digest: of its bundle, ``sha256:`` and 64 digits.
        space: id of its embedding space.
        dimension: D_t.
        logit_scale: factor on its cosines.
        logit_bias: added to them.
        weight: of its losses.
        image: preprocessing.
        text: settings of its texts.
    """

    model: str
    digest: str
    space: str
    dimension: int
    logit_scale: float
    logit_bias: float
    weight: float
    image: ImageSpec
    text: TextSpec


@dataclass(frozen=True)
class ImageBatch:
    """Images under one augmentation each.

    Attributes:
        planes: float32 (N, 3, H, W) RGB, normalized with the student's mean and standard deviation; None where the
            image tower is kept, and the first teacher's rows stand for it.
        rows: of each teacher, float32 (N, D_t) unit rows of the same views.
        labels: int64 (N,), an index into `Bank`, -1 where the image's text may not be used.
    """

    planes: Tensor | None
    rows: tuple[Tensor, ...]
    labels: Tensor


@dataclass(frozen=True)
class TextBatch:
    """Texts.

    Attributes:
        token_ids: int64 (N, L) of the student's tokenizer, L the longest of the batch.
        rows: of each teacher, float32 (N, D_t) unit rows.
    """

    token_ids: Tensor
    rows: tuple[Tensor, ...]


@dataclass(frozen=True)
class Bank:
    """Every text that an image can belong to: class names, each through its prompts, or captions.

    Attributes:
        texts: the class names or captions.
        token_ids: int64 (K * P, L) of the student's tokenizer, the P prompts of a text one after the other; None where
            the text tower is kept.
        prompts: P.
        rows: of each teacher, float32 (K, D_t) unit rows: the mean over prompts.
    """

    texts: tuple[str, ...]
    token_ids: Tensor | None
    prompts: int
    rows: tuple[Tensor, ...]


@dataclass(frozen=True)
class Validation:
    """Images with labels that take no part in the training.

    Attributes:
        images: how many.
        targets: for each image, the indices of its right texts in `bank`; empty tuples where there are none, and
            agreement with the first teacher is measured instead.
        bank: the texts to rank.
        rows: of each teacher, float32 (images, D_t) unit rows, without augmentation.
        name: of the data.
        digest: of the data.
    """

    images: int
    targets: tuple[tuple[int, ...], ...]
    bank: Bank
    rows: tuple[Tensor, ...]
    name: str
    digest: str


class Material(Protocol):
    """Everything a training reads."""

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """The teachers, in the recipe's order."""

    @property
    def bank(self) -> Bank:
        """The training images' texts; no texts where nothing is labelled."""

    def images(self, step: int, rank: int, world: int) -> ImageBatch | None:
        """Return this process's part of the images of step `step` (from 0); None where the recipe has no images."""

    def texts(self, step: int, rank: int, world: int) -> TextBatch | None:
        """Return this process's part of the texts of step `step`; None where the recipe has no texts."""

    def validation(self) -> tuple[Validation, Planes] | None:
        """Return what to judge on, and a function of a range of its images; None where the recipe has no images."""


class Planes(Protocol):
    """Reads validation images."""

    def __call__(self, start: int, stop: int) -> Tensor:
        """Return float32 (stop - start, 3, H, W) normalized planes of those images."""
