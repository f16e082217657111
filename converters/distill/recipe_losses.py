"""Whether a recipe's losses can work on its data: they are tried on a batch of random rows of the same make-up.

So no list here says what a loss needs: a loss that returns None for every batch that the recipe can give has nothing to
work on, and a tower whose rows get no gradient from any of them would never learn.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from edgekit.converters.distill.losses.records import Inputs, Pair
    from edgekit.converters.distill.recipe import Recipe

_ROWS, _TEXTS, _DIMENSION = 6, 4, 8
_SCALE = 10.0


def problems(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Find losses that do not exist or have nothing to work on, and towers that none of them trains.

    Args:
        recipe: otherwise right.

    Yields:
        The path of a field, and what is wrong with it and what to do.
    """
    from edgekit.converters.distill.losses.table import LOSSES

    unknown = [name for name in recipe.losses if name not in LOSSES]
    for name in unknown:
        near = difflib.get_close_matches(name, LOSSES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LOSSES)}"
        yield f"losses.{name}", f"there is no such loss; {hint}"
    if unknown:
        return
    trained: set[str] = set()
    for name, weight in recipe.losses.items():
        if weight > 0:
            reached = _reached(recipe, name)
            trained |= reached or set()
            if reached is None:
                yield f"losses.{name}", f"has nothing to work on: {_described(recipe)}; {_advice(recipe)}"
    for tower in ("image", "text"):
        if getattr(recipe.student, tower) is not None and tower not in trained:
            yield "losses", f"none trains the {tower} tower: {_described(recipe)}; {_advice(recipe)}"


def _reached(recipe: Recipe, name: str) -> set[str] | None:
    """Return the towers that a loss trains; None where it applies to no batch of the recipe."""
    from edgekit.converters.distill.losses.table import LOSSES

    applies = False
    reached: set[str] = set()
    for given, leaves in _batches(recipe):
        value = LOSSES[name].compute(given)
        if value is None:
            continue
        applies = True
        if value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
        reached |= {tower for tower, leaf in leaves if leaf.grad is not None and bool(leaf.grad.abs().sum() > 0)}
    return reached if applies else None


def _batches(recipe: Recipe) -> Iterator[tuple[Inputs, list[tuple[str, Tensor]]]]:
    """Make a batch of images and one of texts, as far as the recipe has them, with the leaves that may learn."""
    if recipe.data.images:
        yield _image_batch(recipe)
    if recipe.data.texts and recipe.student.text is not None:
        yield _text_batch()


def _image_batch(recipe: Recipe) -> tuple[Inputs, list[tuple[str, Tensor]]]:
    import torch

    labelled = recipe.data.labelled > 0
    new_image, new_text = recipe.student.image is not None, recipe.student.text is not None
    images, bank = _leaf(0, _ROWS, learns=new_image), _leaf(1, _TEXTS, learns=new_text)
    teacher_images, teacher_bank = _leaf(2, _ROWS, learns=False), _leaf(3, _TEXTS, learns=False)
    rows = _unit(images) if new_image else teacher_images
    texts = _unit(bank) if new_text else teacher_bank
    labels = torch.arange(_ROWS) % _TEXTS if labelled else torch.full((_ROWS,), -1)
    given = _inputs(
        image=_pair(rows, teacher_images) if new_image else None,
        images=rows,
        bank=texts if labelled else None,
        teacher_images=teacher_images,
        teacher_bank=teacher_bank if labelled else None,
        labels=labels,
    )
    leaves = [("image", images)] * new_image + [("text", bank)] * new_text
    return given, leaves


def _text_batch() -> tuple[Inputs, list[tuple[str, Tensor]]]:
    texts = _leaf(4, _ROWS, learns=True)
    return _inputs(text=_pair(_unit(texts), _leaf(5, _ROWS, learns=False))), [("text", texts)]


def _inputs(
    image: Pair | None = None,
    text: Pair | None = None,
    images: Tensor | None = None,
    bank: Tensor | None = None,
    teacher_images: Tensor | None = None,
    teacher_bank: Tensor | None = None,
    labels: Tensor | None = None,
) -> Inputs:
    import torch

    from edgekit.converters.distill.losses.records import Inputs

    scale, bias = torch.tensor(_SCALE), torch.tensor(0.0)
    return Inputs(image, text, images, bank, teacher_images, teacher_bank, labels, scale, bias, _SCALE)


def _pair(student: Tensor, teacher: Tensor) -> Pair:
    from edgekit.converters.distill.losses.records import Pair

    return Pair(student, teacher, student)


def _leaf(seed: int, rows: int, *, learns: bool) -> Tensor:
    import torch

    made = torch.randn(rows, _DIMENSION, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_() if learns else _unit(made)


def _unit(rows: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(rows, dim=-1)


def _described(recipe: Recipe) -> str:
    data, student = recipe.data, recipe.student
    new = " and ".join(tower for tower in ("image", "text") if getattr(student, tower) is not None)
    images = (
        f"images with {'texts' if data.labelled > 0 else 'no texts (labelled is 0)'}" if data.images else "no images"
    )
    return f"the recipe has {images} and {'texts' if data.texts else 'no data.texts'}, and trains {new}"


def _advice(recipe: Recipe) -> str:
    missing = [
        "data.texts" if not recipe.data.texts and recipe.student.text is not None else "",
        "data.labelled above 0" if recipe.data.images and recipe.data.labelled == 0 else "",
        "data.images" if not recipe.data.images else "",
    ]
    given = " or ".join(part for part in missing if part)
    return f"give {given}, or other losses" if given else "choose other losses"
