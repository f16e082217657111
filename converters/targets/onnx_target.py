"""What targets share whose artifact is an ONNX file for one of ONNX Runtime's providers: the reference before a chip.

The provider compiles the file on the device. Here the same file runs on the processor: that proves all but the device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from edgekit.adapting import unit_rows
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.targets import half_worker, inputs, static, steps
from edgekit.converters.targets.records import Built
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.targets.prepare_worker import Facts
    from edgekit.converters.targets.records import TowerJob


@dataclass(frozen=True)
class Computed:
    """Unit rows (n, D) of the parts ``held-out`` and ``golden``, and the bytes of memory that took; 0 if unmeasured."""

    rows: dict[str, npt.NDArray[np.float32]]
    peak_bytes: int


def built(
    job: TowerJob,
    model: Path,
    prepared: Facts,
    precision: str,
    facts: dict[str, str],
    start: float,
    on_stage: Callable[[str], None],
    computed: Computed | None = None,
) -> Built:
    """Run a finished ONNX file on the processor, and say what it is.

    Args:
        job: it was made for.
        model: the file in the job's work folder, its weights inside or beside it as ``NAME.data``.
        prepared: how its static graph was made.
        precision: what it computes in.
        facts: for the card: name and figure.
        start: `time.monotonic` when the work began.
        on_stage: called with the name of each stage.
        computed: the rows, where they were computed already, as by `half_rows`.

    Returns:
        The files, and what ONNX Runtime's CPU provider computes with them.

    Raises:
        ConversionError: ONNX Runtime crashed, or the rows hold NaN, infinity, or the wrong dimension.
        ExecutionError: it refused the file.
    """
    given = input_spec(job, prepared)
    if computed is None:
        rows = {part: reference(job, model, prepared, part, on_stage) for part in steps.PROOF}
        computed = Computed(rows, 0)
    weights = model.with_name(f"{model.name}.data")
    return Built(
        files=(model, weights) if weights.exists() else (model,),
        input=given,
        output=steps.projection(prepared.dimension),
        rows=computed.rows,
        precision=precision,
        facts={**facts, **steps.graph_facts(prepared.unknown)},
        toolchain={"onnxruntime": version("onnxruntime"), "onnx": version("onnx")},
        seconds=round(time.monotonic() - start, 1),
        peak_bytes=computed.peak_bytes,
    )


def input_spec(job: TowerJob, prepared: Facts) -> TensorSpec:
    """Return a tower's input: the contract's, or scaled pixels (1, 3, H, W) where the scaling was moved outside."""
    if prepared.mean:
        batch, height, width, channels = job.shape
        return TensorSpec(prepared.input, "float32", (batch, channels, height, width))
    return steps.contract_input(job, prepared.input)


def reference(
    job: TowerJob, model: Path, prepared: Facts, part: str, on_stage: Callable[[str], None]
) -> npt.NDArray[np.float32]:
    """Embed a part of the job's inputs with a file, on ONNX Runtime's CPU provider in a child.

    Args:
        job: whose inputs are run.
        model: the file.
        prepared: how its static graph was made.
        part: of the inputs.
        on_stage: called with the name of each stage.

    Returns:
        (n, D) float32, unit rows.

    Raises:
        ConversionError: ONNX Runtime crashed, or the rows hold NaN, infinity, or the wrong dimension.
        ExecutionError: it refused the file.
    """
    given = job.folder / f"{part}.{model.stem}.npy"
    np.save(given, _given(job, part, prepared), allow_pickle=False)
    told = steps.of_tower(job, on_stage)
    named: Callable[[str], None] = lambda stage: told(f"{stage}, {part} inputs")  # noqa: E731
    found = np.load(inputs.embed("onnxruntime", model, given, named), allow_pickle=False)
    if found.shape[1:] != (prepared.dimension,) or not np.isfinite(found).all():
        raise ConversionError(
            f"the {job.tower} tower for {job.chip.name}: ONNX Runtime returns {found.shape}, or NaN, on {part} inputs; "
            "choose another precision"
        )
    return unit_rows(found)


def half_rows(job: TowerJob, model: Path, prepared: Facts, out: str, on_stage: Callable[[str], None]) -> Computed:
    """Embed the job's inputs with every result of a float32 graph rounded to float16, in a child; see `rounding`.

    Args:
        job: whose inputs are run.
        model: the float32 graph in its work folder.
        prepared: how it was made.
        out: name of the file for the graph typed so; empty where none is wanted.
        on_stage: called with the name of each stage.

    Returns:
        The rows.

    Raises:
        ConversionError: the child failed, or a row holds NaN or infinity: the tower leaves float16's range.
    """
    files = {}
    for part in steps.PROOF:
        files[part] = str(job.folder / f"{part}.half.npy")
        np.save(files[part], _given(job, part, prepared), allow_pickle=False)
    request = half_worker.Request(model.name, out, files)
    named = (half_worker.REQUEST, half_worker.ANSWER)
    told = steps.of_tower(job, on_stage)
    answer = steps.in_child(job, "half_worker", request, named, half_worker.Answer, told)
    return Computed({part: steps.rows(job, part, prepared.dimension) for part in files}, answer.peak_bytes)


def _given(job: TowerJob, part: str, prepared: Facts) -> npt.NDArray[np.generic]:
    return static.scaled(np.load(job.inputs[part], allow_pickle=False), prepared.mean, prepared.std)
