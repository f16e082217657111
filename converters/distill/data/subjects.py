"""What of a recipe a teacher has to embed: ordered by content, so that a store fits wherever the contents are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.converters.distill.data.parameters import NONE
from edgekit.converters.distill.data.store import data_digest
from edgekit.converters.distill.data.store_records import VERSION, Subject
from edgekit.converters.distill.recipe import Augmentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.distill.data.store_records import TeacherRecord
    from edgekit.converters.distill.recipe import DataSpec


@dataclass(frozen=True)
class ViewPlan:
    """How many views, and of which kind.

    Attributes:
        count: of each image, at least 1.
        seed: of them.
        augmentation: what they may change.
    """

    count: int = 1
    seed: int = 0
    augmentation: Augmentation = NONE

    @property
    def plain(self) -> bool:
        """Whether every view is its image, unchanged."""
        return self.augmentation == NONE


def view_plan(data: DataSpec, *, kept: bool) -> ViewPlan:
    """Return the views of a recipe: one, unchanged, where no image tower learns or nothing may be changed."""
    if kept or data.augmentation == NONE:
        return ViewPlan()
    return ViewPlan(data.views, data.seed, data.augmentation)


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def image_order(digests: Iterable[str]) -> tuple[str, ...]:
    """Return distinct contents in a store's order."""
    return tuple(sorted(set(digests)))


def text_order(texts: Iterable[str]) -> tuple[str, ...]:
    """Return distinct texts in a store's order: those of about one length together, since a batch is padded."""
    return tuple(sorted(set(texts), key=lambda text: (len(text), text_digest(text))))


def of_images(record: TeacherRecord, digests: Sequence[str], pixels: ImageSpec, plan: ViewPlan) -> Subject:
    """Describe the views of images.

    Args:
        record: the teacher.
        digests: of the images, in a store's order.
        pixels: how the pixels that views are made from come from a photo.
        plan: the views.

    Returns:
        The subject. Rows of many views are half as long: float16 moves a cosine by less than a millionth.
    """
    return replace(
        _subject(record, len(digests), data_digest(digests)),
        kind="images",
        views=plan.count,
        seed=plan.seed,
        augmentation=plan.augmentation,
        pixels=replace(pixels, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        dtype="float32" if plan.plain else "float16",
    )


def of_texts(record: TeacherRecord, texts: Sequence[str], dtype: Literal["float16", "float32"]) -> Subject:
    """Describe texts, in a store's order, that are embedded as they are."""
    return replace(_subject(record, len(texts), data_digest([text_digest(text) for text in texts])), dtype=dtype)


def of_labels(record: TeacherRecord, labels: Sequence[str], templates: tuple[str, ...]) -> Subject:
    """Describe labels, in a store's order, each the mean over its prompts."""
    return replace(of_texts(record, labels, "float32"), kind="labels", templates=templates)


def _subject(record: TeacherRecord, count: int, data: str) -> Subject:
    return Subject(
        version=VERSION,
        kind="texts",
        teacher=record.digest,
        space=record.space,
        dimension=record.dimension,
        count=count,
        data=data,
        views=1,
        seed=0,
        augmentation=NONE,
        pixels=None,
        templates=(),
        dtype="float32",
    )
