"""Figures of a written student beside its teacher's: scores through the bundle, sizes and parameters of its graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.records import Score, TowerFigures
from edgekit.errors import ConversionError
from edgekit.evaluation.run import evaluate
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.bundle.manifest import TowerRecord, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.training.records import Figure
    from edgekit.evaluation.records import Dataset
    from edgekit.evaluation.report import Metric
    from edgekit.golden import TowerName

# How `edgekit.evaluation` calls what the training calls recall.
_PREFIXES = {"top": "recall@", "image_to_text_recall@": "recall@"}
# Half the width of an interval that covers 95 % of a normal distribution, in standard deviations.
_WIDE = 1.96


def through_bundle(path: Path, dataset: Dataset, on_progress: Callable[[int, int], None]) -> tuple[Score, ...]:
    """Score a bundle on a set, on this machine, each photo decoded and preprocessed as an app does it.

    Args:
        path: of the bundle.
        dataset: with labels.
        on_progress: called with the number of images done, and of all.

    Returns:
        Recall at 1, 5 and 10 of images, as far as there are more texts than that, with 95 % bootstrap intervals.

    Raises:
        ConversionError: the bundle was refused here; the message says why.
    """
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        on_progress(done, len(dataset.items))

    found = evaluate(open_bundle(path), dataset, progress=count)
    if not found.evaluated:
        raise ConversionError(f"the student's bundle was refused here: {found.outcomes[0].refused}")
    return tuple(score for metric in found.evaluated[0].metrics if (score := _score(metric)) is not None)


def of_training(figures: Sequence[Figure]) -> tuple[Score, ...]:
    """Return figures of the training as scores, their intervals from the standard error."""
    return tuple(_from_error(one) for one in figures)


def towers(student: Bundle, teacher: Bundle | None, recipe: Recipe) -> dict[TowerName, TowerFigures]:
    """Return the size and the parameters of each tower, beside the first teacher's.

    Args:
        student: its bundle.
        teacher: the first teacher's bundle, if it is at hand.
        recipe: says which towers were kept.

    Returns:
        The figures by tower.
    """
    found: dict[TowerName, TowerFigures] = {}
    for tower in TOWERS:
        own = student.manifest.variants[0].towers[tower]
        other = _largest(teacher).towers[tower] if teacher is not None else None
        found[tower] = TowerFigures(
            kept=getattr(recipe.student, tower) is None,
            parameters=parameters(student, own),
            size=_size(student, own),
            teacher_parameters=None if teacher is None or other is None else parameters(teacher, other),
            teacher_size=None if teacher is None or other is None else _size(teacher, other),
            fidelity=own.fidelity,
        )
    return found


def parameters(bundle: Bundle, tower: TowerRecord) -> int:
    """Count the numbers in the weights of an ONNX graph; shapes, indices and single constants are none.

    Args:
        bundle: holds it.
        tower: an ONNX tower.

    Returns:
        The count; of a quantized tower, with its scales.
    """
    import onnx

    model = onnx.load_model_from_string(bytes(bundle.read(tower.artifact)))
    whole = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
    total = 0
    for tensor in model.graph.initializer:
        count = 1
        for length in tensor.dims:
            count *= length
        if tensor.data_type not in whole and count > 1:
            total += count
    return total


def _from_error(figure: Figure) -> Score:
    # No share and no cosine lies beyond 1, whatever a normal distribution says.
    low, high = figure.value - _WIDE * figure.error, figure.value + _WIDE * figure.error
    return Score(figure.name, figure.value, max(-1.0 if figure.value < 0 else 0.0, low), min(1.0, high), figure.n)


def _largest(bundle: Bundle) -> VariantRecord:
    """The variant that was not quantized, if it is there."""
    onnx_ones = [variant for variant in bundle.manifest.variants if variant.format == "onnx"]
    floats = [variant for variant in onnx_ones if variant.precision == "fp32"]
    return (floats or onnx_ones or list(bundle.manifest.variants))[0]


def _size(bundle: Bundle, tower: TowerRecord) -> int:
    sizes = {record.path: record.size for record in bundle.manifest.files}
    return sum(sizes[path] for path in (tower.artifact, *tower.sidecars))


def _score(metric: Metric) -> Score | None:
    for prefix, name in _PREFIXES.items():
        rest = metric.name.removeprefix(prefix)
        if rest != metric.name and rest.isdigit():
            found = metric.found
            return Score(f"{name}{rest}", found.value, found.low, found.high, found.n)
    return None
