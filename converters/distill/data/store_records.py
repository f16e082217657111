"""What a store of teachers' embeddings says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.bundle.manifest import FileRecord, ImageSpec, Scores, TextSpec
from edgekit.converters.distill.recipe import Augmentation

VERSION = 1
Kind = Literal["images", "texts", "labels"]


@dataclass(frozen=True)
class Subject:
    """What was embedded, and how: two records that are equal have the same embeddings.

    Attributes:
        version: of the store's format and of the views' formulas.
        kind: images; texts as they are; or labels, each the mean of its prompts.
        teacher: digest of its bundle, ``sha256:`` and 64 digits.
        space: id of its embedding space.
        dimension: D of a row.
        count: number of distinct images or texts.
        data: SHA-256 over them, ordered, each as a line: the hexadecimal digest of an image's file or of a text.
        views: of each image; 1 for texts.
        seed: of the views; 0 where nothing is changed.
        augmentation: what views may change.
        pixels: how the pixels that views are made from come from a photo, its mean 0 and its deviation 1 since they do
            not matter; None for texts.
        templates: that labels are put into; empty else.
        dtype: of the rows.
    """

    version: int
    kind: Kind
    teacher: str
    space: str
    dimension: int
    count: int
    data: str
    views: int
    seed: int
    augmentation: Augmentation
    pixels: ImageSpec | None
    templates: tuple[str, ...]
    dtype: Literal["float16", "float32"]


@dataclass(frozen=True)
class Shard:
    """Some of the rows.

    Attributes:
        start: number of the first image or text.
        count: of images or texts.
        rows: a ``.npy`` (count, views, D).
        views: a ``.npy`` float32 (count, views, columns) of the views' parameters; None where nothing is changed.
        seconds: wall time that it took.
        cpu_seconds: processor time that it took, of all cores.
    """

    start: int
    count: int
    rows: FileRecord
    views: FileRecord | None
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Index:
    """A set of embeddings, complete when its shards hold `Subject.count` images or texts.

    Attributes:
        subject: what was embedded.
        variant: of the teacher's bundle that computed them, its runtime and device.
        columns: names of the views' parameters.
        shards: in order, without a gap.
    """

    subject: Subject
    variant: str
    columns: tuple[str, ...]
    shards: tuple[Shard, ...]

    @property
    def done(self) -> int:
        """Number of images or texts whose rows are there."""
        return sum(shard.count for shard in self.shards)


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher's facts, so that its embeddings can be used without its bundle.

    Attributes:
        version: of the store's format.
        name: of the model.
        license: of its weights.
        digest: of its bundle, ``sha256:`` and 64 digits.
        space: id of its embedding space.
        dimension: D.
        logit_scale: factor on its cosines.
        logit_bias: added to them.
        scores: how its logits become scores.
        image: preprocessing.
        text: settings of its texts.
    """

    version: int
    name: str
    license: str
    digest: str
    space: str
    dimension: int
    logit_scale: float
    logit_bias: float
    scores: Scores
    image: ImageSpec
    text: TextSpec


@dataclass(frozen=True)
class Cost:
    """What a teacher's embeddings cost.

    Attributes:
        items: rows computed: images times views, and texts.
        seconds: wall time.
        cpu_seconds: processor time, of all cores.
        size: on the disk, in bytes.
    """

    items: int
    seconds: float
    cpu_seconds: float
    size: int
