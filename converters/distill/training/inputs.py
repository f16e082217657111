"""From what the towers gave to what the losses are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.distill.losses.records import Inputs, Pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.converters.distill.batches import Bank, Teacher
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.training.choice import Choice
    from edgekit.converters.distill.training.learner import Learner


def make_inputs(
    rows: Mapping[str, Tensor],
    teacher_images: Sequence[Tensor],
    teacher_texts: Sequence[Tensor],
    bank: Bank,
    choice: Choice | None,
    teachers: Sequence[Teacher],
) -> list[tuple[float, Inputs]]:
    """Lay out the global batch for each teacher.

    Args:
        rows: of `Learner.forward`, of all processes.
        teacher_images: of each teacher, float32 (N, D_t); empty in a step without images.
        teacher_texts: of each teacher, float32 (M, D_t); empty in a step without texts.
        bank: of the training images, on the device of the rows.
        choice: texts of this step.
        teachers: the teachers.

    Returns:
        Each teacher's weight and its inputs.
    """
    images = rows.get("image", teacher_images[0] if teacher_images else None)
    chosen = [of if choice is None or choice.texts is None else of[choice.texts] for of in bank.rows]
    with_bank = choice is not None and images is not None
    given = []
    for index, teacher in enumerate(teachers):
        inputs = Inputs(
            image=_pair(rows, "image", index, teacher_images),
            text=_pair(rows, "text", index, teacher_texts),
            images=images,
            bank=rows.get("bank", chosen[0]) if with_bank else None,
            teacher_images=teacher_images[index] if teacher_images else None,
            teacher_bank=chosen[index] if with_bank else None,
            labels=choice.labels if choice is not None and with_bank else None,
            scale=rows["scale"],
            bias=rows["bias"],
            teacher_scale=teacher.logit_scale,
        )
        given.append((teacher.weight, inputs))
    return given


def _pair(rows: Mapping[str, Tensor], tower: str, index: int, teachers: Sequence[Tensor]) -> Pair | None:
    if tower not in rows or not teachers:
        return None
    student = rows[tower]
    return Pair(student, teachers[index], rows.get(f"{tower}_map_{index}", student))


def uses(recipe: Recipe, dimension: int, teachers: Sequence[Teacher], *, labelled: bool) -> tuple[bool, bool]:
    """Find out whether the recipe's losses depend on the logits' scale and bias, by trying them on random rows.

    Args:
        recipe: whose losses they are.
        dimension: D of the student.
        teachers: the teachers.
        labelled: whether some images have texts.

    Returns:
        Whether the scale, and whether the bias, gets a gradient.

    Raises:
        InputError: no loss applies to what the recipe gives.
    """
    from edgekit.converters.distill.losses.table import total

    generator = torch.Generator().manual_seed(0)

    def random(of: int) -> Tensor:
        return functional.normalize(torch.randn(_ROWS, of, generator=generator), dim=-1)

    scale, bias = (torch.tensor(value, requires_grad=True) for value in (10.0, 0.0))
    has_images, student = bool(recipe.data.images), recipe.student
    images, texts, bank = (random(dimension).requires_grad_() for _ in range(3))
    given = []
    for teacher in teachers:
        pairs = [Pair(own, random(teacher.dimension), random(teacher.dimension)) for own in (images, texts)]
        inputs = Inputs(
            image=pairs[0] if has_images and student.image else None,
            text=pairs[1] if recipe.data.texts and student.text else None,
            images=images if has_images else None,
            bank=bank if has_images and labelled else None,
            teacher_images=pairs[0].teacher if has_images else None,
            teacher_bank=random(teacher.dimension) if has_images and labelled else None,
            labels=torch.arange(_ROWS) if has_images and labelled else None,
            scale=scale,
            bias=bias,
            teacher_scale=teacher.logit_scale,
        )
        given.append((teacher.weight, inputs))
    loss, _ = total(given, recipe.losses)
    if not loss.requires_grad:
        return False, False
    found = torch.autograd.grad(loss, (scale, bias), allow_unused=True)
    return found[0] is not None, found[1] is not None


_ROWS = 6


def touch(loss: Tensor, rows: Mapping[str, Tensor], learner: Learner) -> Tensor:
    """Give every output a gradient, of 0 where no loss used it, so that all processes exchange the same gradients.

    Args:
        loss: 0-dimensional.
        rows: of `Learner.forward`, of this process.
        learner: which made them.

    Returns:
        The same value.
    """
    learning = {"scale": learner.log_scale.requires_grad, "bias": learner.bias.requires_grad}
    outputs = [value.sum() for name, value in rows.items() if value.requires_grad and learning.get(name, True)]
    return loss + 0.0 * torch.stack(outputs).sum() if outputs else loss
