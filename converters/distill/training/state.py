"""What a training remembers from step to step, in memory and in a checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from edgekit.bundle.schema import dumps, loads
from edgekit.converters.distill.training import normalization, plateau
from edgekit.converters.distill.training.records import Evaluation, Figure
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from edgekit.converters.distill.batches import Teacher
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.training.processes import Processes


@dataclass(frozen=True)
class History:
    """What was measured and noticed.

    Attributes:
        evaluations: in order.
        teacher: the teacher's figures; empty before they were computed.
        notices: what was mended.
    """

    evaluations: tuple[Evaluation, ...] = ()
    teacher: tuple[Figure, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass
class State:
    """Where a training is, besides weights and optimizer.

    Attributes:
        identity: of the recipe and the teachers.
        step: steps made.
        cpu_seconds: CPU time of the first process in them.
        wall_seconds: they took, by the clock.
        samples: images, or texts where there are no images, that all processes saw.
        rounded: whether the towers round to int8.
        evaluated: evaluations that are over, of those the recipe asks for.
        logged: lines of losses that are over.
        tally: sum and number of each loss's values since the last line.
        track: of the evaluations.
        best: weights of the best evaluation, as they would be delivered.
        ended: whether a plateau ended the training.
        history: for the outcome.
    """

    identity: str
    step: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    samples: int = 0
    rounded: bool = False
    evaluated: int = 0
    logged: int = 0
    tally: dict[str, list[float]] = field(default_factory=dict)
    track: plateau.Track = field(default_factory=plateau.Track)
    best: dict[str, Any] | None = None
    ended: bool = False
    history: History = field(default_factory=History)


_PLAIN = (
    "identity",
    "step",
    "cpu_seconds",
    "wall_seconds",
    "samples",
    "rounded",
    "evaluated",
    "logged",
    "tally",
    "best",
)


def identity_of(recipe: Recipe, teachers: Sequence[Teacher]) -> str:
    """Return the SHA-256, hexadecimal, of everything that the training's result depends on.

    Args:
        recipe: of the training.
        teachers: whose digests count.

    Returns:
        The same where only the store, the memory or the time between checkpoints differ.
    """
    training = replace(recipe.training, checkpoint=0.0)
    plain = replace(recipe, data=replace(recipe.data, store="", memory=0.0), training=training)
    text = dumps(plain) + "".join(teacher.digest for teacher in teachers)
    return hashlib.sha256(text.encode()).hexdigest()


def pack(state: State, learner: nn.Module, optimizer: Any, scaler: Any, processes: Processes) -> dict[str, Any]:
    """Return what a checkpoint holds; all processes call it together.

    Args:
        state: of this process.
        learner: its frozen parameters are left out: the student's folder has them.
        optimizer: of PyTorch.
        scaler: of the gradients under float16; None else.
        processes: each one's running averages are kept.

    Returns:
        Tensors, numbers, strings, lists and dictionaries.
    """
    frozen = _frozen(learner)
    weights = {name: value for name, value in learner.state_dict().items() if name not in frozen}
    return {
        **{name: getattr(state, name) for name in _PLAIN},
        "track": state.track.state(),
        "ended": state.ended,
        "history": dumps(state.history),
        "learner": weights,
        "averages": normalization.of_all_processes(learner, processes),
        "optimizer": optimizer.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }


def read(packed: dict[str, Any]) -> State:
    """Return the state that a checkpoint holds."""
    return State(
        **{name: packed[name] for name in _PLAIN},
        track=plateau.restore(packed["track"]),
        ended=packed["ended"],
        history=loads(History, packed["history"], "checkpoint"),
    )


def restore(packed: dict[str, Any], learner: nn.Module, optimizer: Any, scaler: Any, processes: Processes) -> None:
    """Put a checkpoint's weights and the optimizer's state in place.

    Args:
        packed: of `pack`.
        learner: made as at the start, rounding added where the checkpoint had it.
        optimizer: made as at the start.
        scaler: of the gradients under float16; None else.
        processes: as many as before go on bit by bit; of another number each takes the mean of the running averages.

    Raises:
        InputError: the student is not the one that was trained.
    """
    given, own_state = packed["learner"], learner.state_dict()
    other = {name for name, value in given.items() if name in own_state and own_state[name].shape != value.shape}
    wrong = sorted((own_state.keys() - given.keys() - _frozen(learner)) | (given.keys() - own_state.keys()) | other)
    if wrong:
        raise InputError(f"checkpoint: does not fit the student: {wrong[0]}; remove the folder to begin anew")
    learner.load_state_dict(given, strict=False)
    every: torch.Tensor = packed["averages"]
    with torch.no_grad():
        own = every[processes.rank] if len(every) == processes.world else every.mean(0)
        normalization.put(learner, own.to(processes.device))
    optimizer.load_state_dict(packed["optimizer"])
    if scaler is not None and packed["scaler"] is not None:
        scaler.load_state_dict(packed["scaler"])


def _frozen(learner: nn.Module) -> set[str]:
    return {name for name, parameter in learner.named_parameters() if not parameter.requires_grad}
