"""One step of learning, on all processes."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import torch

from edgekit.converters.distill.losses.table import total
from edgekit.converters.distill.training.choice import choose
from edgekit.converters.distill.training.inputs import make_inputs, touch
from edgekit.converters.distill.training.optimizer import set_rate
from edgekit.converters.distill.training.processes import bounds, share_gradient, sizes
from edgekit.errors import ConversionError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from edgekit.converters.distill.batches import Bank, Teacher
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.training.choice import Choice
    from edgekit.converters.distill.training.feed import Batch
    from edgekit.converters.distill.training.learner import Learner
    from edgekit.converters.distill.training.processes import Agreed, Processes

_LOGITS = ("scale", "bias")


class Stepper:
    """Learns from a batch.

    Losses see the rows of all processes, with a gradient for this one's own; data parallel then averages gradients over
    processes. So the loss is multiplied by their number, and what each process computes on the whole batch (the logits'
    scale and bias) gets a gradient divided by it: the average is what one process would have got.

    Args:
        recipe: losses and training.
        learner: what learns.
        wrapped: `learner` as `Processes.wrap` gave it.
        optimizer: as Accelerate prepared it.
        bank: of the training images, on the device.
        teachers: the teachers.
        pad_id: of the text tower that learns; None where it is kept.
        processes: this one and the others.
    """

    def __init__(
        self,
        recipe: Recipe,
        learner: Learner,
        wrapped: nn.Module,
        optimizer: torch.optim.Optimizer,
        bank: Bank,
        teachers: Sequence[Teacher],
        pad_id: int | None,
        processes: Processes,
    ) -> None:
        self._recipe, self._learner, self._wrapped, self._optimizer = recipe, learner, wrapped, optimizer
        self._bank, self._teachers, self._pad_id, self._processes = bank, teachers, pad_id, processes
        self._learning = [parameter for parameter in learner.parameters() if parameter.requires_grad]

    def wrap_again(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note that the learner's layers were changed.

        Args:
            optimizer: PyTorch's own.
        """
        if self._processes.world > 1:
            self._wrapped, self._optimizer = self._processes.wrap_again(self._wrapped, optimizer)

    def learn(self, batch: Batch, agreed: Agreed, step: int, rate: float) -> dict[str, float]:
        """Make a step; all processes call it together.

        Args:
            batch: this process's part.
            agreed: on this step.
            step: its number, from 0.
            rate: of learning.

        Returns:
            Each loss before its weight, and ``total``; the same in all processes. Nothing where no loss applied, as to
            a batch in which no image has a label.

        Raises:
            ConversionError: a loss is not a finite number.
        """
        torch.manual_seed(seed_of(self._recipe.training.seed, step, self._processes.rank))
        loss, values, rows = self._losses(batch, agreed, step)
        found = dict(zip(values, torch.stack([*values.values()]).tolist(), strict=True)) if values else {}
        if not all(math.isfinite(value) for value in found.values()):
            raise ConversionError(_not_finite(found, step, self._recipe.training.rate))
        world = self._processes.world
        self._processes.accelerator.backward(touch(loss, rows, self._learner) * world)
        self._update(rate)
        return found

    def _losses(self, batch: Batch, agreed: Agreed, step: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        images, texts, bank = batch.images, batch.texts, self._bank
        counts = [agreed.images] * (len(images.rows) + 1 if images else 0) + [agreed.texts] * len(
            texts.rows if texts else ()
        )
        parts = [
            *(images.rows if images else ()),
            *((images.labels,) if images else ()),
            *(texts.rows if texts else ()),
        ]
        shared = self._processes.gather(parts, counts)
        many = len(self._teachers)
        teacher_images, labels, teacher_texts = (
            (shared[:many], shared[many], shared[many + 1 :]) if images else ([], None, shared)
        )
        choice = None if labels is None else choose(bank, labels, step, self._pad_id)
        rows = self._embed(batch, choice, step)
        every = self._gather(rows, agreed, choice)
        given = make_inputs(every, teacher_images, teacher_texts, bank, choice, self._teachers)
        try:
            loss, values = total(given, self._recipe.losses)
        except InputError:
            # That some loss applies to the recipe was tried before; this batch may still have nothing for any.
            return every["scale"].detach() * 0, {}, rows
        return loss, {**values, "total": loss.detach()}, rows

    def _embed(self, batch: Batch, choice: Choice | None, step: int) -> dict[str, Tensor]:
        planes = batch.images.planes if batch.images else None
        ids = None if choice is None else choice.token_ids
        prompts, kept = 1, 0
        if ids is not None:
            first, last = bounds(len(ids), self._processes.rank, self._processes.world)
            prompts, kept = ids.shape[1], last - first
            # A process whose share is empty embeds a text all the same: every gradient has to be there.
            ids = ids[first : max(last, first + 1)] if kept else ids[:1]
            ids = ids.flatten(0, 1)
        rows: dict[str, Tensor] = self._wrapped(planes, ids, prompts, batch.texts.token_ids if batch.texts else None)
        return {**rows, "bank": rows["bank"][:kept]} if "bank" in rows else rows

    def _gather(self, rows: dict[str, Tensor], agreed: Agreed, choice: Choice | None) -> dict[str, Tensor]:
        world = self._processes.world
        shares = {"image": agreed.images, "text": agreed.texts}
        if choice is not None and choice.token_ids is not None:
            shares["bank"] = tuple(sizes(len(choice.token_ids), world))
        names = [name for name in rows if name not in _LOGITS]
        every = self._processes.gather(
            [rows[name] for name in names], [shares[name.partition("_")[0]] for name in names]
        )
        logits = {name: share_gradient(rows[name], world) for name in _LOGITS}
        return {**dict(zip(names, every, strict=True)), **logits}

    def _update(self, rate: float) -> None:
        accelerator, clip = self._processes.accelerator, self._recipe.training.clip
        set_rate(self._optimizer, rate)
        if clip:
            accelerator.unscale_gradients(self._optimizer)
            # One kernel for all parameters; on a CPU it has to be asked for.
            torch.nn.utils.clip_grad_norm_(self._learning, clip, foreach=True)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._learner.bound()


def seed_of(seed: int, step: int, rank: int) -> int:
    """Return the seed of everything random in a step of a process."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()[:8], "little") >> 1


def _not_finite(found: dict[str, float], step: int, rate: float) -> str:
    listed = ", ".join(f"{name} {value:g}" for name, value in found.items())
    return (
        f"step {step + 1}: a loss is not a finite number ({listed}); lower training.rate (it is {rate:g}), or lengthen"
        " training.warmup; the last checkpoint is kept, but a changed recipe begins anew"
    )
