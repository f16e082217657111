"""Steps that targets share: a static graph made in a child, and the simulator's rows read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.adapting import unit_rows
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters.children import run_child
from edgekit.converters.targets import prepare_worker
from edgekit.errors import ConversionError
from edgekit.runtimes import tensor_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import TensorSpec
    from edgekit.converters.targets.records import TowerJob


def prepare(job: TowerJob, request: prepare_worker.Request, on_stage: Callable[[str], None]) -> prepare_worker.Facts:
    """Make the graph that a compiler takes, in a child process.

    Args:
        job: whose work folder gets it, as `prepare_worker.GRAPH`.
        request: what to make.
        on_stage: called with the name of each stage.

    Returns:
        What was made.

    Raises:
        UnsupportedModelError: an operator is known not to work.
        ConversionError: the child failed.
    """
    write_bytes(job.folder / prepare_worker.REQUEST, schema.dumps(request).encode())
    run_child("edgekit.converters.targets.prepare_worker", job.folder, (), on_stage)
    text = (job.folder / prepare_worker.FACTS).read_bytes()
    return schema.loads(prepare_worker.Facts, text, prepare_worker.FACTS)


def rows(job: TowerJob, part: str, dimension: int) -> npt.NDArray[np.float32]:
    """Read what a worker's simulator computed.

    Args:
        job: whose work folder has it.
        part: of the inputs.
        dimension: D.

    Returns:
        (n, D) float32, unit rows.

    Raises:
        ConversionError: the rows have another shape, or hold NaN or infinity.
    """
    found = np.load(job.folder / f"{part}.rows.npy", allow_pickle=False)
    if found.ndim != 2 or found.shape[1] != dimension or not np.isfinite(found).all():
        raise ConversionError(
            f"the {job.tower} tower on {job.chip.name}: the simulator returns {found.shape}, or NaN, on {part} inputs"
        )
    return unit_rows(found)


def sidecar(artifact: Path, chip: str, given: TensorSpec, taken: TensorSpec) -> Path:
    """Write the file that says a compiled model's tensors, for boards' libraries that do not tell them as they were.

    Args:
        artifact: the compiled model; the sidecar goes beside it.
        chip: that it was compiled for.
        given: its input.
        taken: its output.

    Returns:
        The sidecar, see `edgekit.runtimes.tensor_sidecar`.
    """
    path = artifact.with_name(f"{artifact.name}{tensor_sidecar.SUFFIX}")
    specs = {"chip": chip, "inputs": [_plain(given)], "outputs": [_plain(taken)]}
    write_bytes(path, schema.dumps(specs).encode())
    return path


def _plain(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
