"""What a work folder's data is made of, so that it is made once and refused where it is another's."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.data.store_records import Cost, TeacherRecord
from edgekit.converters.distill.recipe import Augmentation

VERSION = 1


@dataclass(frozen=True)
class Images:
    """The images of a work folder.

    Attributes:
        count: to learn from.
        digest: of the training set.
        labelled: how many of them have texts that may be used.
        classes: whether texts are class names.
        validation: name of the validation set.
        validation_count: its images.
        validation_digest: of that set.
        validation_classes: whether its texts are class names.
        templates: that class names are put into.
        pixels: stored pixels that views are made from; None where the image tower is kept.
        student: preprocessing of the student; None where the image tower is kept.
        cached: whether the training pixels are on the disk, and not decoded each time.
        validation_cached: whether those of the validation set are.
        views: of each image.
        seed: of them.
        augmentation: what they may change.
    """

    count: int
    digest: str
    labelled: int
    classes: bool
    validation: str
    validation_count: int
    validation_digest: str
    validation_classes: bool
    templates: tuple[str, ...]
    pixels: ImageSpec | None
    student: ImageSpec | None
    cached: bool
    validation_cached: bool
    views: int
    seed: int
    augmentation: Augmentation


@dataclass(frozen=True)
class Texts:
    """The texts of a work folder.

    Attributes:
        count: to learn from.
        digest: SHA-256 over them, in order.
        tokenizer: SHA-256 of the student's, and how it is used; empty where the text tower is kept.
        pad_id: of the student's tokenizer.
    """

    count: int
    digest: str
    tokenizer: str
    pad_id: int


@dataclass(frozen=True)
class Plan:
    """Everything that a work folder's data follows from.

    Attributes:
        version: of this format.
        labelled: share of the training images whose texts may be used.
        seed: of the division.
        teachers: in the recipe's order.
        images: None where the recipe has none.
        texts: of the recipe.
    """

    version: int
    labelled: float
    seed: int
    teachers: tuple[TeacherRecord, ...]
    images: Images | None
    texts: Texts


@dataclass(frozen=True)
class Made:
    """A work folder's data, complete.

    Attributes:
        plan: what it is made of.
        repeated: training images left out because they were there before.
        withheld: training images left out because they are in the validation set as well.
        costs: of each teacher's embeddings.
    """

    plan: Plan
    repeated: int
    withheld: int
    costs: tuple[Cost, ...]


@dataclass(frozen=True)
class TextList:
    """Texts of a bank."""

    texts: tuple[str, ...]
