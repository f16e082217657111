"""Train a student: one process, or each of several that `torchrun` or Accelerate started."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from edgekit.bundle.schema import dumps, loads
from edgekit.converters.distill.training import checkpoints, delivery, normalization
from edgekit.converters.distill.training import state as states
from edgekit.converters.distill.training.evaluator import open_evaluator
from edgekit.converters.distill.training.feed import Feed, Texts, on_device
from edgekit.converters.distill.training.inputs import uses
from edgekit.converters.distill.training.interrupts import stop_requests
from edgekit.converters.distill.training.learner import Learner
from edgekit.converters.distill.training.loop import Loop, add_rounding
from edgekit.converters.distill.training.metrics_log import MetricsLog
from edgekit.converters.distill.training.optimizer import make_optimizer
from edgekit.converters.distill.training.processes import Processes
from edgekit.converters.distill.training.records import Outcome
from edgekit.converters.distill.training.reporting import Reporter
from edgekit.converters.distill.training.step import Stepper
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.converters.distill.batches import Bank, Material
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.students.records import Student
    from edgekit.converters.distill.training.feed import Batch
    from edgekit.converters.distill.training.records import Ended, Progress

_CHECKPOINTS = "checkpoints"


def train(
    recipe: Recipe, student: Student, material: Material, folder: Path, on_progress: Callable[[Progress], None]
) -> Outcome:
    """Train a student, or go on where a run in the same folder was ended, however it ended.

    A run bounded by steps alone goes on bit by bit on a CPU with as many processes and threads as before: its weights
    are those of a run that nothing ended. SIGTERM and SIGINT end it after the step, with a checkpoint.

    With several processes each one calls this. They share the batch: losses see the rows of all, and the gradients are
    those of one process with the whole batch, but for batch norms (see `normalization`).

    Args:
        recipe: what to do.
        student: untrained, with `requires_grad` set on what learns; its towers are trained in place.
        material: batches and validation data.
        folder: the work folder. Written there: ``checkpoints/``, ``metrics.jsonl``, ``outcome.json`` and, at the end,
            ``student/trained-image.safetensors`` and ``student/trained-text.safetensors`` of the new towers. Only the
            first process reads and writes.
        on_progress: called about twice a second, in the first process.

    Returns:
        How it ended, the same in all processes; at once where the training was over before.

    Raises:
        InputError: the recipe asks for what cannot be, or the folder holds another training.
        ConversionError: a loss is not a finite number.
    """
    if student.image is None and student.text is None:
        raise InputError("student: neither tower is new; give student.image or student.text")
    processes = Processes(recipe.training.precision)
    if processes.world > recipe.training.batch:
        raise InputError(f"training.batch: {recipe.training.batch} is less than the {processes.world} processes")
    identity = states.identity_of(recipe, material.teachers)
    outcome = _outcome_before(folder, identity, processes)
    if outcome is None:
        with stop_requests() as asked:
            outcome = _trained(recipe, student, material, folder, on_progress, asked, processes, identity)
    processes.end()
    return outcome


def _outcome_before(folder: Path, identity: str, processes: Processes) -> Outcome | None:
    found = delivery.read_outcome(folder) if processes.first else None
    over = found is not None and found.ended != "stopped" and found.identity == identity
    text = processes.from_first(dumps(found).encode() if over else b"")
    return loads(Outcome, text, "outcome.json") if text else None


def _trained(
    recipe: Recipe,
    student: Student,
    material: Material,
    folder: Path,
    on_progress: Callable[[Progress], None],
    asked: Callable[[], bool],
    processes: Processes,
    identity: str,
) -> Outcome:
    training, teachers = recipe.training, material.teachers
    learner = _learner(recipe, student, material).to(processes.device)
    optimizer = make_optimizer(learner, training)
    payload, notices = _payload(folder, processes)
    state = states.State(identity)
    if payload:
        packed = checkpoints.unpack(payload)
        checkpoints.check_identity(packed, identity, folder / _CHECKPOINTS)
        state = states.read(packed)
    if state.rounded:
        add_rounding(learner)
    normalization.set_training(learner)
    pad_id = student.text.pad_id if student.text else None
    bank = on_device(material.bank, processes.device)
    # A recipe without images has no validation data of its own.
    texts = Texts(pad_id, some_held_out=material.validation() is None)
    feed = Feed(material, processes, training.steps or None, texts)
    try:
        unused = processes.world > 1 and _some_unused(learner, feed.get(state.step), bank)
        wrapped = processes.wrap(learner, some_unused=unused)
        prepared = processes.accelerator.prepare_optimizer(optimizer)
        if payload:
            states.restore(packed, learner, optimizer, processes.accelerator.scaler, processes)
        evaluator = open_evaluator(material, learner, pad_id, processes)
        state.history = replace(state.history, notices=(*state.history.notices, *notices))
        if evaluator is not None and not state.history.teacher:
            state.history = replace(state.history, teacher=evaluator.teacher().figures)
        loop = Loop(
            recipe=recipe,
            state=state,
            learner=learner,
            optimizer=optimizer,
            stepper=Stepper(recipe, learner, wrapped, prepared, bank, teachers, pad_id, processes),
            evaluator=evaluator,
            feed=feed,
            processes=processes,
            log=MetricsLog(folder / "metrics.jsonl", state.step, writes=processes.first),
            folder=folder / _CHECKPOINTS,
            reporter=Reporter(training, on_progress if processes.first else None),
            asked=asked,
        )
        ended = loop.run()
    finally:
        feed.close()
    return _delivered(loop, folder, ended)


def _learner(recipe: Recipe, student: Student, material: Material) -> Learner:
    teachers = material.teachers
    dimension = recipe.student.dimension or teachers[0].dimension
    scale, bias = uses(recipe, dimension, teachers, labelled=bool(material.bank.texts))
    return Learner(student, dimension, teachers, recipe.training.seed, scale_learns=scale, bias_learns=bias)


def _payload(folder: Path, processes: Processes) -> tuple[bytes, tuple[str, ...]]:
    # Read once and sent, so that all processes go on from the same one, on machines that share no folder too.
    found = checkpoints.newest(folder / _CHECKPOINTS) if processes.first else None
    return processes.from_first(found.payload if found else b""), found.notices if found else ()


def _some_unused(learner: Learner, batch: Batch, bank: Bank) -> bool:
    """Say whether parameters that should learn have no part in the embedding, which data parallel must be told."""
    # One row: no batch norm's averages move, since everything is at inference meanwhile.
    learner.eval()
    ids = None if learner.text is None or bank.token_ids is None else bank.token_ids[:1]
    planes = None if batch.images is None or batch.images.planes is None else batch.images.planes[:1]
    rows = learner(planes, ids, 1, None if batch.texts is None else batch.texts.token_ids[:1])
    learning = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    used = torch.autograd.grad(sum(value.sum() for value in rows.values()), learning, allow_unused=True)
    normalization.set_training(learner)
    return any(gradient is None for gradient in used)


def _delivered(loop: Loop, folder: Path, ended: Ended) -> Outcome:
    state, processes = loop.state, loop.processes
    with normalization.as_delivered(loop.learner, processes):
        last = delivery.snapshot(loop.learner, state.step) if processes.first else None
    text = b""
    if last is not None:
        which, reason, found = delivery.chosen(state, last)
        if ended == "stopped":
            which, reason = "none", "the training was asked to stop; the same call goes on from here"
        else:
            delivery.write_towers(folder, found)
        outcome = Outcome(
            identity=state.identity,
            steps=state.step,
            wall_seconds=state.wall_seconds,
            cpu_seconds=state.cpu_seconds,
            images_per_second=state.samples / state.wall_seconds if state.wall_seconds else 0.0,
            ended=ended,
            delivered=which,
            delivered_step=found["step"],
            reason=reason,
            evaluations=state.history.evaluations,
            teacher=state.history.teacher,
            logit_scale=found["scale"],
            logit_bias=found["bias"],
            processes=processes.world,
            precision=processes.precision,
            device=processes.device.type,
            notices=state.history.notices,
        )
        delivery.write_outcome(folder, outcome)
        text = dumps(outcome).encode()
    return loads(Outcome, processes.from_first(text), "outcome.json")
