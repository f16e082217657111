"""What targets share whose engine takes the master as it is, and runs in its toolchain: the proof is the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import portable_worker, steps
from edgekit.converters.targets.records import Built

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.converters.targets.records import TowerJob


def build(
    job: TowerJob,
    toolchain: str,
    worker: Path,
    precision: str,
    asked: Mapping[str, Any],
    on_stage: Callable[[str], None],
    *,
    small_tables: bool = False,
) -> Built:
    """Prepare a tower, have a worker convert it and run it with the engine itself.

    Args:
        job: what to compile.
        toolchain: of the engine; its operator table has the same name.
        worker: runs there. It answers ``files`` (names in the work folder, the artifact first), ``facts`` and
            ``versions``, and leaves the engine's rows as `steps.rows` reads them.
        precision: for the record.
        asked: what the worker is told besides the graph and the inputs.
        on_stage: called with the name of each stage as it begins.
        small_tables: see `portable_worker.Request`.

    Returns:
        The files, and what the engine computes on the held-out inputs.

    Raises:
        UnsupportedModelError: an operator is known not to work.
        ConversionError: the tool failed, or a batch is computed otherwise than its rows.
    """
    prepared = prepare(job, toolchain, on_stage, small_tables=small_tables)
    request = {
        "model": portable_worker.GRAPH,
        "tower": job.tower,
        "precision": precision,
        "parts": steps.proof_inputs(job),
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "search": str(job.inputs[SEARCH].absolute()),
        "reference": str(job.reference.absolute()),
        **asked,
    }
    answer = steps.in_toolchain(job, toolchain, worker, request, on_stage)
    facts = {str(name): str(value) for name, value in answer.result["facts"].items()}
    if prepared.fills:
        facts["constants stored"] = f"{prepared.fills}, which the graph made while it ran"
    if prepared.tables:
        facts["tables of words"] = f"{prepared.tables} in 8 bits, with a scale a row"
    facts.update(steps.graph_facts(prepared.unknown))
    free = prepared.shape[0]
    return Built(
        files=tuple(job.folder / name for name in answer.result["files"]),
        input=steps.contract_input(job, prepared.input, prepared.shape),
        output=TensorSpec(prepared.output, "float32", (free, prepared.dimension)),
        rows=steps.proof_rows(job, prepared.dimension),
        precision=precision,
        facts=facts,
        toolchain=steps.versions(answer),
        seconds=answer.seconds,
        peak_bytes=answer.peak_bytes,
    )


def prepare(
    job: TowerJob, table: str, on_stage: Callable[[str], None], *, small_tables: bool = False
) -> portable_worker.Facts:
    """Make the graph that an engine takes, in a child process.

    Args:
        job: whose work folder gets it, as `portable_worker.GRAPH`.
        table: name of the operator table.
        on_stage: called with the name of each stage.
        small_tables: see `portable_worker.Request`.

    Returns:
        What was made.

    Raises:
        UnsupportedModelError: an operator is known not to work.
        ConversionError: the child failed.
    """
    request = portable_worker.Request(str(job.master.absolute()), job.tower, table, small_tables)
    files = (portable_worker.REQUEST, portable_worker.FACTS)
    return steps.in_child(job, "portable_worker", request, files, portable_worker.Facts, on_stage)
