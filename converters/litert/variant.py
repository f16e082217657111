"""The LiteRT variant of a conversion: both towers at batch one, proven against the source's own embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import TowerRecord, VariantRecord
from edgekit.converters import exchange, verdict
from edgekit.converters.litert.compile import TowerShape, compile_tower
from edgekit.converters.litert.work import EVERY_GROUP
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.golden import TowerName

FOLDER = "litert"
METHODS = {"float16": "float16_weights", "int8": "int8_weights"}
"""How the storages of `edgekit convert` are called as methods of quantization."""


def make_variant(
    folder: Path, precision: str, storage: Mapping[TowerName, str], on_stage: Callable[[str], None]
) -> VariantRecord:
    """Make both towers' files in the work folder of a conversion, under ``litert``.

    Args:
        folder: the work folder, with float masters, check inputs and references.
        precision: of the portable variant.
        storage: per tower, how its weights are stored; a key of `verdict.LIMITS`.
        on_stage: called with the name of each stage as it begins.

    Returns:
        The variant; its files are still to be moved to where it says they are.

    Raises:
        ConversionError: a tower has no LiteRT form, a tool crashed, or a file leaves the limit of its storage.
        MissingDependencyError: a tool is not installed.
    """
    (folder / FOLDER).mkdir()
    home, toolchain = f"variants/litert-{precision}", dict[str, str]()
    towers: dict[TowerName, TowerRecord] = {}
    for tower in TOWERS:
        towers[tower], tools = _tower(folder, tower, storage[tower], f"{home}/{tower}.tflite", on_stage)
        toolchain |= tools
    return VariantRecord(
        id=f"litert-{precision}",
        format="tflite",
        target="litert",
        precision=precision,
        image=towers["image"],
        text=towers["text"],
        toolchain=toolchain,
    )


def _tower(
    folder: Path, tower: TowerName, kind: str, artifact: str, on_stage: Callable[[str], None]
) -> tuple[TowerRecord, dict[str, str]]:
    facts = exchange.read_facts(folder)
    sizes = (facts.image.height, facts.image.width, 3) if tower == "image" else (facts.context_length,)
    inputs = np.load(exchange.array(folder, "pixels" if tower == "image" else "reference_token_ids"))
    decision = TowerDecision({EVERY_GROUP: METHODS[kind]} if kind in METHODS else {})
    out = folder / FOLDER / f"{tower}.tflite"
    named: Callable[[str], None] = lambda stage: on_stage(f"{tower} tower: {stage}")  # noqa: E731
    made = compile_tower(
        exchange.master(folder, tower), out, tower, TowerShape(sizes), decision, tuple(inputs[:, None]), named
    )
    reference = np.load(exchange.array(folder, f"reference_{tower}"))[: len(made.embeddings)]
    found = agreement(made.embeddings, reference)
    if not verdict.within(found, verdict.LIMITS[kind]):
        limit = verdict.LIMITS[kind]
        raise ConversionError(
            f"the {tower} tower as a LiteRT file stored as {kind} disagrees with its source: cosine "
            f"{found.cosine_min:.5f}, centred cosine {found.centred_min:.5f} (limits {limit.cosine_min}, "
            f"{limit.centred_min}); no bundle was written. Convert without --target, or with --weights float16"
        )
    record = TowerRecord(artifact, (), made.input, made.output, found, verdict.tolerance(found))
    return record, made.toolchain
