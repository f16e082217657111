"""The child that runs ai-edge-quantizer on a float LiteRT file; calibration runs the file, and can abort."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.litert import limits, work
from edgekit.converters.litert.convert_worker import INSTALL
from edgekit.errors import ConversionError, InputError, MissingDependencyError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.converters.litert.recipe import Recipe

_SIGNATURE = "serving_default"


def main(folder: Path) -> None:
    """Do what ``request.json`` in `folder` asks for; leave the file and ``facts.json``."""
    request = work.read_request(folder)
    limits.die_after(request.seconds)
    children.stage("quantizing the LiteRT file")
    recipe = recipe_of(Path(request.master), Path(request.source), request.methods)
    quantize(Path(request.source), Path(request.out), recipe, folder)
    from edgekit.converters.litert.files import count_operators

    tools = {"ai-edge-quantizer": version("ai-edge-quantizer")}
    facts = work.Facts(count_operators(Path(request.out)), recipe.skipped, tools, limits.peak_bytes())
    write_bytes(folder / work.FACTS, schema.dumps(facts).encode())


def recipe_of(master: Path, source: Path, methods: dict[str, str]) -> Recipe:
    """Return the recipe of a decision for a float file.

    Args:
        master: the ONNX graph the file was made of.
        source: the file.
        methods: group name to method name; `work.EVERY_GROUP` alone stands for all that its method is for.

    Returns:
        The recipe; see `recipe.make_recipe`.

    Raises:
        InputError: a group or a method does not exist.
    """
    import onnx

    from edgekit.converters.litert.files import weighted_operators
    from edgekit.converters.litert.names import scopes
    from edgekit.converters.litert.recipe import full_integer_recipe, make_recipe
    from edgekit.converters.quantize.methods.apply import choices
    from edgekit.converters.quantize.methods.groups import find_groups
    from edgekit.converters.quantize.methods.records import TowerDecision
    from edgekit.converters.quantize.methods.table import METHODS

    every = methods.get(work.EVERY_GROUP, "")
    if every == work.FULL_INTEGER:
        return full_integer_recipe()
    groups = find_groups(onnx.load(str(master), load_external_data=False))
    if every in METHODS:
        methods = {group.name: every for group in groups if group.kind in METHODS[every].kinds}
    return make_recipe(choices(groups, TowerDecision(methods)), scopes(groups), weighted_operators(source))


def quantize(source: Path, out: Path, recipe: Recipe, folder: Path) -> None:
    """Apply a recipe.

    Args:
        source: the float file.
        out: the file to write.
        recipe: what to quantize; nothing copies the file.
        folder: the work folder, with samples where the recipe needs ranges.

    Raises:
        InputError: the recipe needs samples, and there are none.
        MissingDependencyError: ai-edge-quantizer is not installed.
        ConversionError: it failed.
    """
    from edgekit.converters.export import first_line

    try:
        from ai_edge_quantizer import quantizer
    except Exception as error:
        raise MissingDependencyError(f"ai-edge-quantizer cannot be imported ({error}); {INSTALL}") from error
    samples = work.read_samples(folder)
    if recipe.needs_samples and not len(samples):
        raise InputError("a static method needs samples to measure the ranges of activations on; give some")
    try:
        tool = quantizer.Quantizer(str(source), recipe.rules)
        ranges = tool.calibrate(_data(source, samples), num_threads=1) if recipe.needs_samples else None
        result = tool.quantize(ranges, enable_progress_report=False)
    except Exception as error:
        text = f"{source.name}: ai-edge-quantizer failed: {type(error).__name__}: {first_line(error)}"
        raise ConversionError(text) from error
    write_bytes(out, bytes(result.quantized_model))


def _data(source: Path, samples: npt.NDArray[np.generic]) -> dict[str, list[dict[str, Any]]]:
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(str(source)).get_signature_runner(_SIGNATURE).get_input_details()
    ((name, detail),) = details.items()
    batch = int(detail["shape"][0])
    whole = len(samples) - len(samples) % batch or batch
    rows = np.resize(samples, (whole, *samples.shape[1:])) if len(samples) < batch else samples[:whole]
    return {_SIGNATURE: [{name: np.ascontiguousarray(rows[i : i + batch])} for i in range(0, whole, batch)]}


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
