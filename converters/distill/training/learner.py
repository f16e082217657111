"""Everything that learns, as one module with one forward pass, so that data parallel sees each gradient once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edgekit.converters.distill.batches import Teacher
    from edgekit.converters.distill.students.records import Student

# CLIP's bound (Radford et al. 2021, arXiv 2103.00020, section 2.5).
LARGEST_SCALE = 100.0


class Learner(nn.Module):
    """The student's new towers, a linear map to each teacher of another dimension, and the logits' scale and bias.

    Args:
        student: at least one tower is new.
        dimension: D of the student's embeddings.
        teachers: at least one; the first one's scale and bias are where the student's begin.
        seed: of the maps' first weights.
        scale_learns: whether the scale is trained.
        bias_learns: whether the bias is trained.
    """

    def __init__(
        self,
        student: Student,
        dimension: int,
        teachers: Sequence[Teacher],
        seed: int,
        *,
        scale_learns: bool,
        bias_learns: bool,
    ) -> None:
        super().__init__()
        self.image = student.image.module if student.image else None
        self.text = student.text.module if student.text else None
        self.maps = _maps(self, dimension, [teacher.dimension for teacher in teachers], seed)
        first = teachers[0]
        self.log_scale = nn.Parameter(torch.tensor(math.log(first.logit_scale)), requires_grad=scale_learns)
        self.bias = nn.Parameter(torch.tensor(float(first.logit_bias)), requires_grad=bias_learns)
        self._largest = math.log(max(LARGEST_SCALE, first.logit_scale))

    def forward(
        self, planes: Tensor | None, bank: Tensor | None, prompts: int, texts: Tensor | None
    ) -> dict[str, Tensor]:
        """Embed this process's part of a batch.

        Args:
            planes: float32 (n, 3, H, W), or None.
            bank: int64 (k * prompts, L) ids of texts that images belong to, or None.
            prompts: of each text of the bank.
            texts: int64 (m, L) ids, or None.

        Returns:
            ``image``, ``bank`` and ``text``: float32 (n, D), (k, D) and (m, D) unit rows; ``image_map_T`` and
            ``text_map_T``: (n, D_t) and (m, D_t) for each teacher T of another dimension; ``scale`` and ``bias``.
        """
        found = {"scale": self.log_scale.exp(), "bias": self.bias + 0.0}
        if planes is not None and self.image is not None:
            found["image"] = functional.normalize(self.image(planes).float(), dim=-1)
        if bank is not None and self.text is not None:
            found["bank"] = mean_of_prompts(self.text(bank).float(), prompts)
        if texts is not None and self.text is not None:
            found["text"] = functional.normalize(self.text(texts).float(), dim=-1)
        for name, linear in self.maps.items():
            tower = name.partition("_")[0]
            if tower in found:
                found[name] = linear(found[tower])
        return found

    def bound(self) -> None:
        """Keep the scale within CLIP's bound, or the teacher's where that is larger."""
        if self.log_scale.requires_grad:
            with torch.no_grad():
                self.log_scale.clamp_(max=self._largest)


def mean_of_prompts(rows: Tensor, prompts: int) -> Tensor:
    """Return float32 (K, D) unit rows: of each text the mean over its prompts' unit rows.

    Args:
        rows: float32 (K * prompts, D).
        prompts: of each text.

    Returns:
        As the SDK embeds a label.
    """
    rows = functional.normalize(rows, dim=-1)
    if prompts == 1:
        return rows
    return functional.normalize(rows.reshape(-1, prompts, rows.shape[-1]).mean(1), dim=-1)


def _maps(learner: Learner, dimension: int, teachers: Sequence[int], seed: int) -> nn.ModuleDict:
    wanted = [
        (f"{name}_map_{index}", of)
        for index, of in enumerate(teachers)
        for name, tower in (("image", learner.image), ("text", learner.text))
        if tower is not None and of != dimension
    ]
    # The global generator is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.ModuleDict({name: nn.Linear(dimension, of) for name, of in wanted})
