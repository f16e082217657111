"""Which towers a pipeline uses, and the record of what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.results.records import Subject
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice


def towers_of(pipeline: Pipeline, bundle: Bundle) -> tuple[TowerName, ...]:
    """Return the towers to open: only those that the pipeline uses, for memory is measured too.

    Args:
        pipeline: of the run.
        bundle: opened.

    Returns:
        The image tower, the text tower, or both; a photo's labels need the text tower unless they are frozen.

    Raises:
        InputError: the text tower is needed, and the bundle has none.
    """
    if pipeline == "image":
        return TOWERS[:1]
    if pipeline == "text":
        _ = bundle.text  # raises where there is none
        return TOWERS[1:]
    return TOWERS if bundle.manifest.text is not None else TOWERS[:1]


def describe(bundle: Bundle, choice: Choice, placement: dict[str, dict[str, int]]) -> Subject:
    """Return the record of what is measured.

    Args:
        bundle: opened.
        choice: variant, runtime and device.
        placement: per tower, nodes of the graph on each device.

    Returns:
        The record.
    """
    manifest, variant = bundle.manifest, choice.variant
    return Subject(
        bundle=manifest.name,
        version=manifest.version,
        digest=bundle.digest,
        space=manifest.embedding.space,
        size=size_of(bundle, variant),
        variant=variant.id,
        precision=variant.precision,
        format=variant.format,
        runtime=choice.runtime.name,
        runtime_version=choice.version,
        device=choice.device,
        placement=placement,
    )


def size_of(bundle: Bundle, variant: VariantRecord) -> int:
    """Return the bytes of all files of a variant's towers."""
    wanted = {path for tower in variant.towers.values() for path in (tower.artifact, *tower.sidecars)}
    return sum(record.size for record in bundle.manifest.files if record.path in wanted)


def is_float(variant: VariantRecord) -> bool:
    """Say whether a variant is the float model itself: neither quantized by edgekit nor compiled to whole numbers."""
    return not variant.quantization and variant.precision.startswith(("fp", "bf"))
