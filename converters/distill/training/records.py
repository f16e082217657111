"""What a training tells: how far it is, what it measured, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ended = Literal["finished", "plateau", "stopped"]
Delivered = Literal["last", "best", "none"]


@dataclass(frozen=True)
class Figure:
    """A mean over cases.

    Attributes:
        name: ``recall@1``, ``recall@5``, ``recall@10`` (images that have a right text among their k best),
            ``centred_cosine`` (to the first teacher, after subtracting its mean row from both), ``agreement@1`` (rows
            whose nearest other row is the first teacher's).
        value: the mean.
        error: its standard error.
        n: cases.
    """

    name: str
    value: float
    error: float
    n: int


@dataclass(frozen=True)
class Evaluation:
    """The student in the middle of its training, or at its end.

    Attributes:
        step: steps made before.
        cpu_seconds: CPU time of the first process's steps so far.
        rounded: whether weights and activations were rounded to int8.
        figures: the first one decides which weights are the best.
    """

    step: int
    cpu_seconds: float
    rounded: bool
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        step: steps made.
        of: steps in all; estimated where CPU seconds bound the training.
        share: of the training that is done, in 0..1.
        losses: means since the last report, by name, before their weights; ``total`` is the weighted sum.
        rate: learning rate of the last step.
        images_per_second: of all processes, by the clock; texts where there are no images.
        seconds_left: estimated.
        evaluation: the latest.
    """

    step: int
    of: int
    share: float
    losses: dict[str, float]
    rate: float
    images_per_second: float
    seconds_left: float
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        identity: SHA-256 of the recipe and of the teachers' digests, hexadecimal.
        steps: made.
        wall_seconds: of the steps, by the clock, over all runs that it took; without evaluations and checkpoints.
        cpu_seconds: CPU time of the first process in the same steps.
        images_per_second: of all processes; texts where there are no images.
        ended: ``finished`` its schedule, ``plateau``, or ``stopped`` on request (the same call goes on from there).
        delivered: which weights were saved: those of the ``last`` step, or of the ``best`` evaluation.
        delivered_step: steps they had seen.
        reason: why these.
        evaluations: in order.
        teacher: the first teacher's own figures, by the same code on its rows.
        logit_scale: factor on the delivered student's cosines.
        logit_bias: added to them.
        processes: of the last run.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        device: kind of device, such as ``cpu``.
        notices: what went wrong on the way and was mended.
    """

    identity: str
    steps: int
    wall_seconds: float
    cpu_seconds: float
    images_per_second: float
    ended: Ended
    delivered: Delivered
    delivered_step: int
    reason: str
    evaluations: tuple[Evaluation, ...]
    teacher: tuple[Figure, ...]
    logit_scale: float
    logit_bias: float
    processes: int
    precision: str
    device: str
    notices: tuple[str, ...] = ()
