"""Make the untrained student: the record that rebuilds it, its tokenizer and its first weights."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters.distill.students import samples, weights
from edgekit.converters.distill.students.adapt import adapted
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.image_kinds import build_image
from edgekit.converters.distill.students.image_plans import plan_image
from edgekit.converters.distill.students.plan import PLAN, TOKENIZER, VERSION, StudentPlan
from edgekit.converters.distill.students.reference import dimension_of, read_reference
from edgekit.converters.distill.students.text_kinds import build_text
from edgekit.converters.distill.students.text_plans import plan_text
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.students.plan import ImagePlan, TextPlan
    from edgekit.converters.distill.students.reference import Reference

_PACKAGES = ("open-clip-torch", "timm", "tokenizers", "torch")


def create(recipe: Recipe, teacher: Path | None, folder: Path) -> None:
    """Write an untrained student.

    Args:
        recipe: says what it is made of; `recipe.training.seed` decides its random weights.
        teacher: bundle of the first teacher; None where there are only its embeddings.
        folder: where it goes, made where it is missing. ``student.json`` is written last. Nothing else is needed
            afterwards to rebuild the towers.

    Raises:
        InputError: a setting does not fit; the message names the field.
        UnsupportedModelError: the installed libraries cannot build the architecture.
    """
    if recipe.student.image is None and recipe.student.text is None:
        raise InputError("student: names no new tower; give student.image, student.text or both")
    folder.mkdir(parents=True, exist_ok=True)
    reference = read_reference(recipe, teacher)
    dimension = dimension_of(recipe, reference)
    parameters: dict[str, int] = {}
    image = _image(recipe, reference, dimension, folder, parameters)
    text = _text(recipe, reference, dimension, folder, parameters)
    versions = {package: metadata.version(package) for package in _PACKAGES}
    found = StudentPlan(VERSION, recipe.training.seed, image, text, parameters, versions)
    write_bytes(folder / PLAN, schema.dumps(found).encode())


def _image(
    recipe: Recipe, reference: Reference, dimension: int, folder: Path, parameters: dict[str, int]
) -> ImagePlan | None:
    spec = recipe.student.image
    if spec is None:
        return None
    with weights.seeded(recipe.training.seed):
        plan, start = plan_image(
            spec, reference, dimension, folder, lambda image: samples.picture_batches(recipe.data, image)
        )
    with weights.seeded(recipe.training.seed):
        module = _started(build_image(plan, folder), start, plan)
    weights.save(module, weights.initial(folder, "image"))
    parameters["image"] = weights.count(finish(module))
    return plan


def _text(
    recipe: Recipe, reference: Reference, dimension: int, folder: Path, parameters: dict[str, int]
) -> TextPlan | None:
    spec = recipe.student.text
    if spec is None:
        return None
    templates = reference.templates
    with weights.seeded(recipe.training.seed):
        planned = plan_text(spec, reference, dimension, folder, lambda: samples.training_texts(recipe.data, templates))
    # Another seed than the image tower's, so that the two do not share their first numbers.
    with weights.seeded(recipe.training.seed + 1):
        module = _started(build_text(planned.plan, folder), planned.start, planned.plan)
    write_bytes(folder / TOKENIZER, planned.tokenizer_json.encode())
    weights.save(module, weights.initial(folder, "text"))
    parameters["text"] = weights.count(finish(module))
    return planned.plan


def _started(module: nn.Module, start: dict[str, Tensor] | None, plan: ImagePlan | TextPlan) -> nn.Module:
    if start is not None:
        weights.put(module, start, plan.name)
    return adapted(module, plan.train, plan.rank, plan.dimension)
