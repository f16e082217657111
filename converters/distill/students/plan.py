"""What a student's towers are made of: the frozen record that rebuilds them without the teacher."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.bundle.manifest import Cleaning, ImageSpec
from edgekit.converters.distill.recipe import Part

PLAN, TOKENIZER = "student.json", "tokenizer.json"
"""Names of the record and of the student's tokenizer in the student's folder."""

VERSION = 1


@dataclass(frozen=True)
class Sizes:
    """What is left of a transformer that was cut; all counts.

    Attributes:
        width: channels of a token.
        layers: blocks.
        heads: attention heads of a block.
        hidden: neurons of a block's perceptron.
        vocabulary: rows of the token table; 0 for images.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    vocabulary: int = 0


@dataclass(frozen=True)
class ImagePlan:
    """An image tower.

    Attributes:
        kind: name in `image_kinds.KINDS`.
        name: as the recipe gave it, such as ``timm:resnet18``.
        spec: preprocessing.
        dimension: D.
        width: channels; 0 where the kind has no such choice, as for the next three.
        layers: blocks.
        heads: attention heads.
        patch: side of a patch in pixels.
        config: JSON text of an open_clip configuration, or of timm's choices; empty for other kinds.
        cut: sizes of what was inherited; None where nothing was cut.
        train: what of it is trained.
        rank: of LoRA.
    """

    kind: str
    name: str
    spec: ImageSpec
    dimension: int
    width: int
    layers: int
    heads: int
    patch: int
    config: str
    cut: Sizes | None
    train: Part
    rank: int


@dataclass(frozen=True)
class TextPlan:
    """A text tower.

    Attributes:
        kind: name in `text_kinds.KINDS`.
        name: as the recipe gave it, such as ``transformer``.
        dimension: D.
        context_length: L of a padded text.
        pad_id: id of the padding token.
        cleaning: what is done to a text before it is tokenized.
        vocabulary: rows of the token table.
        width: channels of a token; 0 where the kind has no such choice, as for the next three.
        layers: blocks.
        heads: attention heads.
        factor: columns of a factorized token table.
        full_length: whether the tower only takes texts padded to `context_length`, and pads them itself.
        config: JSON text of an open_clip configuration; empty for other kinds.
        cut: sizes of what was inherited; None where nothing was cut.
        train: what of it is trained.
        rank: of LoRA.
    """

    kind: str
    name: str
    dimension: int
    context_length: int
    pad_id: int
    cleaning: Cleaning
    vocabulary: int
    width: int
    layers: int
    heads: int
    factor: int
    full_length: bool
    config: str
    cut: Sizes | None
    train: Part
    rank: int


@dataclass(frozen=True)
class StudentPlan:
    """Both towers; None for one that is kept.

    Attributes:
        version: of this record.
        seed: that the initial weights came from.
        image: the image tower.
        text: the text tower.
        parameters: number of parameters of each new tower as it will be exported, by tower.
        versions: of the packages that made it.
    """

    version: int
    seed: int
    image: ImagePlan | None
    text: TextPlan | None
    parameters: dict[str, int]
    versions: dict[str, str]
