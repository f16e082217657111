"""A recipe: everything a distillation depends on, as typed records. `recipe_file` reads it from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Part = Literal["all", "lora", "probe"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Importance = Literal["magnitude", "taylor"]
Space = Literal["new", "teacher"]


@dataclass(frozen=True)
class TeacherSpec:
    """A model whose embeddings the student learns from.

    Attributes:
        model: path or name of a bundle, or any source of ``edgekit convert``; empty where `embeddings` holds all that
            is needed.
        embeddings: folder of embeddings computed before, by this machine or another; empty computes and keeps them.
        weight: of this teacher's losses, above 0.
        tokenizer: local tokenizer of a source, as ``edgekit convert --tokenizer``.
    """

    model: str = ""
    embeddings: str = ""
    weight: float = 1.0
    tokenizer: str = ""


@dataclass(frozen=True)
class Augmentation:
    """How far a view may differ from its image; 0 everywhere leaves it as it is.

    Attributes:
        flip: probability of a mirror image.
        zoom: largest relative change of size, so that 0.3 takes between 1 / 1.3 and 1.3.
        stretch: largest relative change of the aspect ratio, likewise.
        shift: largest move, as a share of the side.
        turn: largest rotation, in degrees.
        brightness: largest relative change of each channel's gain.
        contrast: largest relative change of the contrast.
        grey: probability of losing a random share of the colour.
        erase: probability of a grey rectangle of up to a third of each side.
    """

    flip: float = 0.5
    zoom: float = 0.25
    stretch: float = 0.1
    shift: float = 0.1
    turn: float = 8.0
    brightness: float = 0.2
    contrast: float = 0.2
    grey: float = 0.2
    erase: float = 0.0


@dataclass(frozen=True)
class DataSpec:
    """What the student is trained and judged on.

    Attributes:
        images: sets of images: paths, names of fetched sets, or patterns of shards; relative to the recipe.
        texts: files of texts, one a line, or names of fetched sets of texts, for the text tower.
        labelled: share of the training images whose texts may be used, in 0..1; which ones, a hash of their content
            and `seed` say. The others only have the teacher.
        validation: sets to judge on; empty keeps `held_out` of the training sets for it.
        held_out: share of the training images that is kept for judging where `validation` is empty.
        templates: prompts that a class name is put into; empty takes the teacher's.
        views: augmented views stored of each image; each epoch takes the next one.
        resolution: side of the stored pixels that views are made from; 0 takes the larger of the student's and the
            teachers'.
        augmentation: what a view may change.
        store: folder that teachers' embeddings are kept in; empty is edgekit's cache.
        memory: gigabytes of pixels that may be cached; beyond that images are decoded anew in each epoch.
        seed: of the division and of the views.
    """

    images: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    labelled: float = 1.0
    validation: tuple[str, ...] = ()
    held_out: float = 0.1
    templates: tuple[str, ...] = ()
    views: int = 4
    resolution: int = 0
    augmentation: Augmentation = Augmentation()
    store: str = ""
    memory: float = 8.0
    seed: int = 0


@dataclass(frozen=True)
class ImageStudent:
    """The student's image tower.

    Attributes:
        arch: ``conv``, ``hybrid``, ``vit-tiny``, ``vit-small``; ``timm:NAME``; ``open_clip:NAME`` (a configuration's
            image tower); ``inherit`` for a part of the first teacher's weights; or ``teacher`` for its tower itself,
            to be adapted.
        size: side of its input in pixels; 0 is the first teacher's.
        width: channels (of the first stage of ``conv`` and ``hybrid``, of the tokens else); 0 is the default.
        layers: blocks; 0 is the default.
        heads: attention heads; 0 is the default.
        patch: side of a patch in pixels; 0 is the default.
        weights: file of initial weights for ``timm:`` and ``open_clip:``.
        importance: how ``inherit`` ranks what to keep.
        train: every weight, low-rank additions to them (LoRA), or a linear map behind the frozen tower.
        rank: of LoRA.
    """

    arch: str = "conv"
    size: int = 0
    width: int = 0
    layers: int = 0
    heads: int = 0
    patch: int = 0
    weights: str = ""
    importance: Importance = "magnitude"
    train: Part = "all"
    rank: int = 8


@dataclass(frozen=True)
class TextStudent:
    """The student's text tower.

    Attributes:
        arch: ``static`` (a vector for each token, their weighted mean, a linear map), ``transformer``,
            ``open_clip:NAME``, ``inherit`` or ``teacher``.
        width: of the tokens; 0 is the default.
        layers: blocks; 0 is the default.
        heads: attention heads; 0 is the default.
        context_length: L; 0 is the first teacher's.
        vocabulary: tokens kept, those that the training texts use most; 0 keeps all.
        weights: file of initial weights for ``open_clip:``.
        importance: how ``inherit`` ranks what to keep.
        train: as for images.
        rank: of LoRA.
    """

    arch: str = "static"
    width: int = 0
    layers: int = 0
    heads: int = 0
    context_length: int = 0
    vocabulary: int = 0
    weights: str = ""
    importance: Importance = "magnitude"
    train: Part = "all"
    rank: int = 8


@dataclass(frozen=True)
class StudentSpec:
    """Which towers are new; None keeps the first teacher's.

    Attributes:
        name: of the bundle; empty takes the file's.
        image: the image tower.
        text: the text tower.
        dimension: of the embeddings; 0 is the first teacher's, and must be where a tower is kept.
        space: ``teacher`` keeps the id of the embedding space, so that an index of its photos stays in use; only
            where the image tower is kept.
    """

    name: str = ""
    image: ImageStudent | None = None
    text: TextStudent | None = None
    dimension: int = 0
    space: Space = "new"


@dataclass(frozen=True)
class Training:
    """How long and how.

    Attributes:
        steps: of the optimizer; 0 where `cpu_seconds` bounds the training.
        cpu_seconds: CPU time of the first process, in seconds, for comparisons at equal cost; such a run resumes, but
            not bit by bit, since its schedule follows the clock.
        batch: images, or texts, of one step, over all processes.
        rate: peak learning rate.
        decay: weight decay of AdamW, on matrices only.
        warmup: share of the training in which the rate rises.
        clip: largest norm of the gradient; 0 is no limit.
        precision: ``auto`` is bfloat16 where a GPU has it, float32 else.
        seed: of weights and order.
        evaluate: evaluations over the training, the last one at its end.
        patience: evaluations without a better one, within the standard error, after which training ends; 0 never.
        checkpoint: least seconds between two checkpoints.
        quantize: last share of the training that sees weights and activations rounded to int8; 0 is none.
    """

    steps: int = 0
    cpu_seconds: float = 0.0
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0
    precision: Precision = "auto"
    seed: int = 0
    evaluate: int = 10
    patience: int = 0
    checkpoint: float = 30.0
    quantize: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A distillation.

    Attributes:
        teachers: at least one; the first one gives the embedding space, the tokenizer and a tower that is kept.
        data: what to learn from.
        student: what learns.
        losses: weight of each loss, by name; see `edgekit.converters.distill.losses`.
        training: how long and how.
    """

    teachers: tuple[TeacherSpec, ...]
    data: DataSpec
    student: StudentSpec
    losses: dict[str, float] = field(default_factory=dict)
    training: Training = Training()
