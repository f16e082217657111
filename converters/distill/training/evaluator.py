"""Embeds what is held out with the student as it stands, and judges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgekit.converters.distill.training import judge
from edgekit.converters.distill.training.choice import trimmed
from edgekit.converters.distill.training.held_out import held_out
from edgekit.converters.distill.training.learner import mean_of_prompts
from edgekit.converters.distill.training.processes import bounds, sizes
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from edgekit.converters.distill.batches import Material, Planes, Validation
    from edgekit.converters.distill.training.judge import Rows, Scores
    from edgekit.converters.distill.training.learner import Learner
    from edgekit.converters.distill.training.processes import Processes

_AT_ONCE = 256


@dataclass(frozen=True)
class Evaluator:
    """Judges a student: by labels where there are any, else by agreement with the first teacher.

    Agreement is that of the images where their tower is new, else of the texts. The towers run in float32.

    Attributes:
        data: what to judge on.
        planes: its images.
        learner: its towers are judged.
        pad_id: of the text tower that learns; None where it is kept.
        processes: which share the work.
    """

    data: Validation
    planes: Planes
    learner: Learner
    pad_id: int | None
    processes: Processes

    def student(self) -> Scores | None:
        """Judge the student; all processes call it together, with the learner at inference.

        Returns:
            None in all but the first process.
        """
        with torch.no_grad():
            images, texts = self._images(), self._texts()
        return self._scores(images, texts) if self.processes.first else None

    def teacher(self) -> Scores:
        """Judge the first teacher's rows by the same code."""
        return self._scores(_array(self.data.rows[0]), _array(self.data.bank.rows[0]))

    def _scores(self, images: Rows, texts: Rows) -> Scores:
        if any(self.data.targets):
            return judge.by_labels(images, texts, self.data.targets)
        if self.learner.image is not None and self.data.images:
            return judge.by_teacher(images, _array(self.data.rows[0]))
        return judge.by_teacher(texts, _array(self.data.bank.rows[0]))

    def _images(self) -> Rows:
        tower = self.learner.image
        if tower is None or not self.data.images:
            return _array(self.data.rows[0])

        def embed(start: int, stop: int) -> Tensor:
            rows: Tensor = tower(self.planes(start, stop).to(self.processes.device))
            return functional.normalize(rows.float(), dim=-1)

        return self._embedded(self.data.images, embed)

    def _texts(self) -> Rows:
        bank, tower, pad_id = self.data.bank, self.learner.text, self.pad_id
        ids = bank.token_ids
        if tower is None or ids is None or pad_id is None or not bank.texts:
            return _array(bank.rows[0])

        def embed(start: int, stop: int) -> Tensor:
            own = trimmed(ids[start * bank.prompts : stop * bank.prompts], pad_id)
            return mean_of_prompts(tower(own.to(self.processes.device)).float(), bank.prompts)

        return self._embedded(len(bank.texts), embed)

    def _embedded(self, count: int, embed: Callable[[int, int], Tensor]) -> Rows:
        first, last = bounds(count, self.processes.rank, self.processes.world)
        chunks = [embed(start, min(start + _AT_ONCE, last)) for start in range(first, last, _AT_ONCE)]
        # A process without a share still has to know the width of a row.
        own = torch.cat(chunks) if chunks else embed(0, 1)[:0]
        rows = _array(self.processes.gather([own], [sizes(count, self.processes.world)])[0])
        if not np.isfinite(rows).all():
            raise ConversionError(
                "the student's embeddings of the validation data are not finite; lower training.rate, or lengthen"
                " training.warmup; the last checkpoint is kept, but a changed recipe begins anew"
            )
        return rows


def open_evaluator(material: Material, learner: Learner, pad_id: int | None, processes: Processes) -> Evaluator | None:
    """Open the material's validation data.

    Args:
        material: what to judge on.
        learner: its towers are judged.
        pad_id: of the text tower that learns; None where it is kept.
        processes: which share the work.

    Returns:
        Without images, one for the texts that `held_out` keeps; None where there is nothing to judge on.
    """
    found = material.validation()
    if found is None:
        data = None if pad_id is None else held_out(material, pad_id)
        return None if data is None else Evaluator(data, _no_planes, learner, pad_id, processes)
    data, planes = found
    rows = data.images if learner.image is not None else len(data.bank.texts)
    if not any(data.targets) and rows < 2:
        return None
    return Evaluator(data, planes, learner, pad_id, processes)


def _no_planes(start: int, stop: int) -> Tensor:
    raise IndexError(f"there are no images {start} to {stop}")


def _array(rows: Tensor) -> Rows:
    found: Rows = rows.float().cpu().numpy()
    return found
