"""Steps that targets share: workers in children and toolchains, the simulator's rows read back, records of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edgekit.adapting import PROJECTION, unit_rows
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.children import run_child
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.targets import mixing_worker, prepare_worker
from edgekit.converters.toolchains import catalog, work
from edgekit.errors import ConversionError
from edgekit.runtimes import tensor_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.targets.records import TowerJob

T = TypeVar("T")

LIMITS = work.Limits(seconds=7200)
"""What a compiler may use: a full-size tower takes minutes to compile, and its simulation many more."""
PROOF = (HELD_OUT, GOLDEN)
"""The parts of the inputs that a target runs what it compiled on."""


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
    files = (prepare_worker.REQUEST, prepare_worker.FACTS)
    return in_child(job, "prepare_worker", request, files, prepare_worker.Facts, on_stage)


def mixes(
    job: TowerJob, prepared: prepare_worker.Facts, on_stage: Callable[[str], None], *, symmetric: bool
) -> mixing_worker.Answer:
    """Measure, in a child process, what each step of a prepared graph loses in 8 bits, and choose what has to stay.

    Args:
        job: whose work folder has the graph.
        prepared: what `prepare` said of it.
        on_stage: called with the name of each stage.
        symmetric: whether the chip's activations have no zero point.

    Returns:
        Sensitivities, and mixes from cheap to safe.

    Raises:
        ConversionError: the child failed.
    """
    request = mixing_worker.Request(
        tower=job.tower,
        mean=prepared.mean,
        std=prepared.std,
        calibration=str(job.inputs[CALIBRATION].absolute()),
        search=str(job.inputs[SEARCH].absolute()),
        reference=str(job.reference.absolute()),
        goal=job.goal,
        symmetric=symmetric,
    )
    files = (mixing_worker.REQUEST, mixing_worker.ANSWER)
    return in_child(job, "mixing_worker", request, files, mixing_worker.Answer, on_stage)


def in_child(
    job: TowerJob,
    worker: str,
    request: object,
    files: tuple[str, str],
    kind: type[T],
    on_stage: Callable[[str], None],
) -> T:
    """Run one of edgekit's own workers in a child process.

    Args:
        job: whose work folder it works in.
        worker: module of this package.
        request: a frozen dataclass.
        files: names of the request's and of the answer's file.
        kind: of the answer.
        on_stage: called with the name of each stage.

    Returns:
        The answer.

    Raises:
        EdgekitError: the worker refused; of the kind it named.
        ConversionError: the child failed.
    """
    asked, answered = files
    write_bytes(job.folder / asked, schema.dumps(request).encode())
    run_child(f"edgekit.converters.targets.{worker}", job.folder, (), on_stage)
    return schema.loads(kind, (job.folder / answered).read_bytes(), answered)


def in_toolchain(
    job: TowerJob,
    toolchain: str,
    worker: Path,
    request: Mapping[str, Any],
    on_stage: Callable[[str], None],
    limits: work.Limits = LIMITS,
) -> work.Answer:
    """Run a worker in a toolchain; its stages are told with the tower's name.

    Args:
        job: whose work folder it works in.
        toolchain: name of the toolchain.
        worker: the file that runs there.
        request: plain values.
        on_stage: called with the name of each stage.
        limits: of time and memory.

    Returns:
        What the worker returned.

    Raises:
        MissingDependencyError: the toolchain is not installed.
        EdgekitError: the worker refused; of the kind it named.
        ConversionError: it crashed, or ran out of time or memory.
    """
    return work.run(catalog.find(toolchain), worker, job.folder, request, limits, of_tower(job, on_stage))


def of_tower(job: TowerJob, on_stage: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells a stage with the name of the job's tower."""
    return lambda stage: on_stage(f"{job.tower} tower: {stage}")


def proof_inputs(job: TowerJob) -> dict[str, str]:
    """Return, per part that is proven on, the absolute path of its inputs."""
    return {part: str(job.inputs[part].absolute()) for part in PROOF}


def proof_rows(job: TowerJob, dimension: int) -> dict[str, npt.NDArray[np.float32]]:
    """Read what a worker's simulator computed of the parts that are proven on; see `rows`."""
    return {part: rows(job, part, dimension) for part in PROOF}


def contract_input(job: TowerJob, name: str, shape: tuple[int | str, ...] | None = None) -> TensorSpec:
    """Return the contract's input under a name, in the job's shape or another."""
    return TensorSpec(name, "uint8" if job.tower == "image" else "int32", job.shape if shape is None else shape)


def projection(dimension: int) -> TensorSpec:
    """Return the output of one row whose length the SDK brings to one."""
    return TensorSpec(PROJECTION, "float32", (1, dimension))


def versions(answer: work.Answer) -> dict[str, str]:
    """Return the versions that a worker tells."""
    return {str(name): str(version) for name, version in answer.result["versions"].items()}


def graph_facts(unknown: tuple[str, ...], *, masks: int = 0, biases: int = 0) -> dict[str, str]:
    """Return what a card says of how a graph was made.

    Args:
        unknown: operators that the target's table does not know.
        masks: constants of attention masks that were raised.
        biases: biases that were given.

    Returns:
        Facts by name; none where there is nothing to say.
    """
    facts = {}
    if masks:
        facts["attention masks"] = f"{masks} raised to -30"
    if biases:
        facts["biases given"] = str(biases)
    if unknown:
        facts["operators beyond the table"] = ", ".join(unknown)
    return facts


def few(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are.

    Args:
        names: in order.
        most: how many to name.

    Returns:
        One text.
    """
    more = len(names) - most
    return "; ".join(names[:most]) + (f"; and {more} more" if more > 0 else "")


def mapped(counts: Mapping[str, Any]) -> str:
    """Say how the nodes of a graph are found among a tool's layers.

    Args:
        counts: ``own``, ``merged`` and ``none``, as a worker tells them.

    Returns:
        One text.
    """
    return f"{counts['own']} have a layer, {counts['merged']} were merged into one, {counts['none']} have none"


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
