"""What targets share whose engine takes the master as it is, and runs in its toolchain: the proof is the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.children import run_child
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.targets import portable_worker, steps
from edgekit.converters.targets.records import Built
from edgekit.converters.toolchains import catalog, work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.converters.targets.records import TowerJob

_LIMITS = work.Limits(seconds=7200)


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
        "parts": {part: str(job.inputs[part].absolute()) for part in (HELD_OUT, GOLDEN)},
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "search": str(job.inputs[SEARCH].absolute()),
        "reference": str(job.reference.absolute()),
        **asked,
    }
    named: Callable[[str], None] = lambda stage: on_stage(f"{job.tower} tower: {stage}")  # noqa: E731
    answer = work.run(catalog.find(toolchain), worker, job.folder, request, _LIMITS, named)
    facts = {str(name): str(value) for name, value in answer.result["facts"].items()}
    if prepared.fills:
        facts["constants stored"] = f"{prepared.fills}, which the graph made while it ran"
    if prepared.tables:
        facts["tables of words"] = f"{prepared.tables} in 8 bits, with a scale a row"
    if prepared.unknown:
        facts["operators beyond the table"] = ", ".join(prepared.unknown)
    free = prepared.shape[0]
    return Built(
        files=tuple(job.folder / name for name in answer.result["files"]),
        input=TensorSpec(prepared.input, "uint8" if job.tower == "image" else "int32", prepared.shape),
        output=TensorSpec(prepared.output, "float32", (free, prepared.dimension)),
        rows={part: steps.rows(job, part, prepared.dimension) for part in (HELD_OUT, GOLDEN)},
        precision=precision,
        facts=facts,
        toolchain={str(name): str(version) for name, version in answer.result["versions"].items()},
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
    write_bytes(job.folder / portable_worker.REQUEST, schema.dumps(request).encode())
    run_child("edgekit.converters.targets.portable_worker", job.folder, (), on_stage)
    return schema.loads(portable_worker.Facts, (job.folder / portable_worker.FACTS).read_bytes(), portable_worker.FACTS)
