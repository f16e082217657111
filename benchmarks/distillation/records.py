"""What the study runs and what it finds, as typed records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.converters.distill.recipe import Augmentation

Question = Literal["all labels", "few labels", "losses"]
Budget = Literal["steps", "cpu"]

# Emoji that are mirrored, such as arrows, mean something else.
VIEWS = Augmentation(flip=0.0, zoom=0.15, stretch=0.07, shift=0.04, turn=6.0, brightness=0.15, contrast=0.0, grey=0.3)


@dataclass(frozen=True)
class Setting:
    """What all runs share.

    Attributes:
        teacher: bundle.
        train: sets to learn from.
        held_out: set to judge on.
        arch: of the student's image tower; the text tower is the teacher's.
        width: of it.
        size: side of its input in pixels; 0 is the teacher's.
        steps: of the optimizer, for each student where all images have a label.
        few_steps: likewise, where few have one.
        loss_steps: likewise, where losses are compared.
        batch: images of a step.
        rate: peak learning rate.
        views: stored of each image.
        few: share of the labels in the second question.
        seeds: each is a division of the labels, views, first weights and order.
        loss_seeds: likewise, where losses are compared.
        losses: the distilled student's where few images have a label.
        full_losses: likewise, where all have one.
        augmentation: of the views.
    """

    teacher: str
    train: tuple[str, ...]
    held_out: str
    arch: str = "conv"
    width: int = 16
    size: int = 0
    steps: int = 7000
    few_steps: int = 2400
    loss_steps: int = 700
    batch: int = 64
    rate: float = 2e-2
    views: int = 16
    few: float = 0.1
    seeds: tuple[int, ...] = (0, 1, 2)
    loss_seeds: tuple[int, ...] = (0,)
    losses: tuple[tuple[str, float], ...] = (("bank", 1.0), ("feature", 5.0))
    full_losses: tuple[tuple[str, float], ...] = (("labels", 1.0), ("bank", 1.0), ("feature", 5.0))
    augmentation: Augmentation = VIEWS


@dataclass(frozen=True)
class Arm:
    """One student of a comparison.

    Attributes:
        question: that it helps to answer.
        name: of the row in a table.
        losses: weights by name.
        labelled: share of the images whose labels may be used.
        alone: whether it learns from the labelled images only.
        budget: ``steps`` as the setting says; ``cpu``: as much CPU time as the distilled students of the question took
            on average, the teacher's embeddings included.
        steps: of the optimizer where they are the budget.
    """

    question: Question
    name: str
    losses: tuple[tuple[str, float], ...]
    labelled: float
    alone: bool
    budget: Budget
    steps: int


@dataclass(frozen=True)
class Point:
    """An evaluation: steps made, CPU seconds of them, share of the held-out images whose own label is the nearest."""

    step: int
    cpu_seconds: float
    recall_at_1: float


@dataclass(frozen=True)
class Run:
    """One student that was trained.

    Attributes:
        arm: what was asked.
        seed: of everything.
        steps: made.
        cpu_seconds: of the training.
        wall_seconds: of the training.
        images_per_second: by the clock.
        images: learnt from.
        labelled: of them, with a label.
        parameters: of the image tower as it is exported.
        curve: evaluations; the last one, at the end of the schedule, is the result.
        error: standard error of the result over the held-out images.
        n: held-out images.
        teacher: R@1 of the teacher on them, by the same code.
        embedding_cpu: CPU seconds that the teacher's embeddings of images and labels cost, once for all runs of a seed.
        weights: SHA-256 of the trained weights.
    """

    arm: Arm
    seed: int
    steps: int
    cpu_seconds: float
    wall_seconds: float
    images_per_second: float
    images: int
    labelled: int
    parameters: int
    curve: tuple[Point, ...]
    error: float
    n: int
    teacher: float
    embedding_cpu: float
    weights: str

    @property
    def recall_at_1(self) -> float:
        """At the end, in 0..1."""
        return self.curve[-1].recall_at_1


@dataclass(frozen=True)
class Resumed:
    """A training that was ended by SIGKILL and went on.

    Attributes:
        killed_at: step of the checkpoint it went on from.
        steps: in all.
        same: whether the weights are those of an uninterrupted run, bit by bit.
        recall_at_1: at the end.
        uninterrupted: R@1 of the other run.
    """

    killed_at: int
    steps: int
    same: bool
    recall_at_1: float
    uninterrupted: float


@dataclass(frozen=True)
class Shared:
    """One process beside two, on the same batches.

    Attributes:
        processes: of the second run.
        one: images per second.
        many: likewise, of all processes together.
        recall_one: R@1.
        recall_many: R@1.
        cores: that this machine has.
    """

    processes: int
    one: float
    many: float
    recall_one: float
    recall_many: float
    cores: int


@dataclass(frozen=True)
class Bundled:
    """One distilled student, packed by `edgekit distill`, and judged through its bundle."""

    bundle: str
    size: int
    recall_at_1: float
    parameters: int
    teacher_parameters: int | None


@dataclass(frozen=True)
class Study:
    """Everything that was found; `processor` and `seconds` are this machine's and this command's."""

    setting: Setting
    runs: tuple[Run, ...]
    resumed: Resumed | None
    shared: Shared | None
    bundled: Bundled | None
    processor: str
    threads: int
    versions: dict[str, str]
    seconds: float
