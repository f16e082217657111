"""The loop: agree, write down, judge, save, learn; again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgekit.bundle.schema import to_plain
from edgekit.converters.distill.training import checkpoints, delivery, normalization
from edgekit.converters.distill.training import state as states
from edgekit.converters.distill.training.plateau import Track
from edgekit.converters.distill.training.records import Evaluation
from edgekit.converters.distill.training.reporting import Reporter
from edgekit.converters.distill.training.schedule import marks_passed, rate_at, share_done

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.training.evaluator import Evaluator
    from edgekit.converters.distill.training.feed import Batch, Feed
    from edgekit.converters.distill.training.learner import Learner
    from edgekit.converters.distill.training.metrics_log import MetricsLog
    from edgekit.converters.distill.training.processes import Agreed, Processes
    from edgekit.converters.distill.training.records import Ended
    from edgekit.converters.distill.training.state import State
    from edgekit.converters.distill.training.step import Stepper

# Of the losses, in metrics.jsonl: enough for a curve.
_LINES = 500


@dataclass
class Loop:
    """A training, between its set-up and its delivery.

    Attributes:
        recipe: what to do.
        state: changed as it goes on.
        learner: what learns.
        optimizer: PyTorch's own.
        stepper: learns.
        evaluator: None where there is nothing to judge on.
        feed: gives batches.
        processes: this one and the others.
        log: gets a line now and then.
        folder: of the checkpoints.
        reporter: tells the caller.
        asked: says whether a stop was asked for.
    """

    recipe: Recipe
    state: State
    learner: Learner
    optimizer: Any
    stepper: Stepper
    evaluator: Evaluator | None
    feed: Feed
    processes: Processes
    log: MetricsLog
    folder: Path
    reporter: Reporter
    asked: Callable[[], bool]

    def run(self) -> Ended:
        """Train until the schedule's end, a plateau, or a request to stop.

        Returns:
            How it ended.

        Raises:
            ConversionError: a loss is not a finite number.
        """
        training, state = self.recipe.training, self.state
        saved = time.monotonic()
        while True:
            begun, spent = time.monotonic(), time.process_time()
            batch = self._batch()
            agreed = self._agree(batch, save=time.monotonic() - saved >= training.checkpoint)
            waited, used = time.monotonic() - begun, time.process_time() - spent
            share = share_done(training, state.step, agreed.cpu_seconds)
            self._write_losses(share)
            if self._evaluate(share) or agreed.save or agreed.stop:
                self._save()
                saved = time.monotonic()
            if state.ended:
                return "plateau"
            if share >= 1 or batch is None:
                return "finished"
            if agreed.stop:
                return "stopped"
            self._round(share)
            begun, spent = time.monotonic() - waited, time.process_time() - used
            rate = rate_at(share, training.rate, training.warmup)
            losses = self.stepper.learn(batch, agreed, state.step, rate)
            self._count(losses, sum(agreed.images) or sum(agreed.texts), begun, spent)
            self.reporter.step(state, share, losses, rate)

    def _batch(self) -> Batch | None:
        training = self.recipe.training
        if training.steps and self.state.step >= training.steps:
            return None
        return self.feed.get(self.state.step)

    def _agree(self, batch: Batch | None, *, save: bool) -> Agreed:
        images = 0 if batch is None or batch.images is None else len(batch.images.labels)
        texts = 0 if batch is None or batch.texts is None else len(batch.texts.token_ids)
        return self.processes.agree(images, texts, self.asked(), save, self.state.cpu_seconds)

    def _count(self, losses: dict[str, float], samples: int, begun: float, spent: float) -> None:
        state = self.state
        state.step += 1
        state.samples += samples
        state.cpu_seconds += time.process_time() - spent
        state.wall_seconds += time.monotonic() - begun
        for name, value in losses.items():
            entry = state.tally.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1

    def _write_losses(self, share: float) -> None:
        state, training = self.state, self.recipe.training
        passed = marks_passed(share, _LINES)
        if passed <= state.logged or not state.tally:
            return
        self.log.add(
            {
                "step": state.step,
                "share": share,
                "losses": {name: value / count for name, (value, count) in state.tally.items()},
                "rate": rate_at(share, training.rate, training.warmup),
                "images_per_second": state.samples / state.wall_seconds if state.wall_seconds else 0.0,
                "cpu_seconds": state.cpu_seconds,
            }
        )
        state.logged, state.tally = passed, {}

    def _evaluate(self, share: float) -> bool:
        state = self.state
        due = marks_passed(share, self.recipe.training.evaluate)
        if self.evaluator is None or due <= state.evaluated:
            return False
        state.evaluated = due
        with normalization.as_delivered(self.learner, self.processes):
            scores = self.evaluator.student()
            if scores is not None:
                found = Evaluation(state.step, state.cpu_seconds, state.rounded, scores.figures)
                state.history = replace(state.history, evaluations=(*state.history.evaluations, found))
                if state.track.add(scores.cases):
                    state.best = delivery.snapshot(self.learner, state.step)
                self.log.add({"step": state.step, "cpu_seconds": state.cpu_seconds, "evaluation": to_plain(found)})
        state.ended = self.processes.from_first(b"1" if self._plateau() else b"0") == b"1"
        return True

    def _plateau(self) -> bool:
        training, state = self.recipe.training, self.state
        # The last stage is worth its while whatever came before.
        waits = training.quantize > 0 and not state.rounded
        return bool(training.patience) and not waits and state.track.waited >= training.patience

    def _round(self, share: float) -> None:
        quantize = self.recipe.training.quantize
        if quantize > 0 and not self.state.rounded and share >= 1 - quantize:
            add_rounding(self.learner)
            self.stepper.wrap_again(self.optimizer)
            self.state.rounded = True
            # What the float towers reached is no measure for the rounded ones.
            self.state.track, self.state.best = Track(), None

    def _save(self) -> None:
        packed = states.pack(
            self.state, self.learner, self.optimizer, self.processes.accelerator.scaler, self.processes
        )
        if self.processes.first:
            self.log.sync()
            checkpoints.save(self.folder, self.state.step, packed)


def add_rounding(learner: Learner) -> None:
    """Let the new towers round weights and activations to int8."""
    from edgekit.converters.distill.students import rounding

    for tower in (learner.image, learner.text):
        if tower is not None:
            rounding.add_rounding(tower)
