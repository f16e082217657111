"""The same decision as LiteRT files, held to the same promise on LiteRT itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit import golden
from edgekit.bundle.manifest import TowerRecord, VariantRecord
from edgekit.converters import verdict
from edgekit.converters.children import run_child
from edgekit.converters.quantize import work
from edgekit.converters.quantize.candidates import judged, tower_decision
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT
from edgekit.errors import ConversionError, EdgekitError
from edgekit.fidelity import agreement
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.litert.compile import Compiled
    from edgekit.converters.quantize.packing import Job
    from edgekit.golden import TowerName

_RUNNER = "edgekit.converters.litert.run_worker"


@dataclass(frozen=True)
class Lite:
    """LiteRT files that keep the promise.

    Attributes:
        variant: their record.
        files: where each of its artifacts lies now.
    """

    variant: VariantRecord
    files: dict[str, Path]


def make(job: Job, name: str, member: str, on_stage: Callable[[str], None]) -> Lite | str:
    """Make both towers' LiteRT files and prove them on the held-out data, on LiteRT, in children.

    Args:
        job: with a winner.
        name: id of the ONNX variant of the same decision.
        member: path of the `Quantization` that describes it.
        on_stage: called with the name of each stage.

    Returns:
        The variant, or why there is none: a tool is missing or failed, or a figure is below what was promised.
    """
    try:
        return _make(job, name, member, on_stage)
    except EdgekitError as error:
        return " ".join(str(error).split())


def _make(job: Job, name: str, member: str, on_stage: Callable[[str], None]) -> Lite:
    winner = job.outcome.winner
    if winner is None:
        raise ConversionError("nothing passed on ONNX Runtime, so there is no decision to compile")
    home = f"variants/litert-{name}"
    made: dict[TowerName, Compiled] = {}
    rows: dict[TowerName, dict[str, npt.NDArray[np.float32]]] = {}
    files: dict[str, Path] = {}
    for tower in TOWERS:
        path = job.folder / "litert" / f"{tower}.tflite"
        path.parent.mkdir(exist_ok=True)
        made[tower] = _compile(job, tower, path, on_stage)
        rows[tower] = _run(job, tower, path, on_stage)
        files[f"{home}/{path.name}"] = path
    seen = judged(job.folder, job.material, job.settings, HELD_OUT, rows["image"][HELD_OUT], rows["text"][HELD_OUT])
    if seen.failures:
        raise ConversionError("; ".join(seen.failures))
    towers = {
        tower: _record(job, tower, f"{home}/{tower}.tflite", made[tower], rows[tower][GOLDEN]) for tower in TOWERS
    }
    toolchain = {tool: version for one in made.values() for tool, version in one.toolchain.items()}
    variant = VariantRecord(
        id=f"litert-{name}",
        format="tflite",
        target="litert",
        precision=name,
        image=towers["image"],
        text=towers["text"],
        toolchain=toolchain,
        quantization=member,
        fidelity=seen.fidelity,
    )
    return Lite(variant, files)


def _compile(job: Job, tower: TowerName, path: Path, on_stage: Callable[[str], None]) -> Compiled:
    from edgekit.converters.litert.compile import TowerShape, compile_tower

    if job.outcome.winner is None:
        raise ConversionError("nothing passed on ONNX Runtime, so there is no decision to compile")
    spec = job.bundle.manifest.image
    sizes = (spec.height, spec.width, 3) if tower == "image" else (job.bundle.text.context_length,)
    decision = tower_decision(job.outcome.winner.decision, tower)
    samples = _whole(job, tower, CALIBRATION)
    named: Callable[[str], None] = lambda stage: on_stage(f"LiteRT, {tower} tower: {stage}")  # noqa: E731
    return compile_tower(work.master(job.folder, tower), path, tower, TowerShape(sizes), decision, [samples], named)


def _run(job: Job, tower: TowerName, path: Path, on_stage: Callable[[str], None]) -> dict[str, npt.NDArray[np.float32]]:
    """Embed the held-out and the golden inputs on LiteRT, in a child: a file may abort the process."""
    from edgekit.converters.litert.work import SAMPLES

    found = {}
    for part in (HELD_OUT, GOLDEN):
        np.save(path.parent / SAMPLES, _whole(job, tower, part), allow_pickle=False)
        out = f"{tower}.{part}.npy"
        run_child(_RUNNER, path.parent, ("litert", str(path.absolute()), out), lambda stage: on_stage(stage))
        found[part] = np.load(path.parent / out)
        if not np.isfinite(found[part]).all():
            raise ConversionError(f"{path.name}: returns NaN or infinity on the {part} inputs")
    return found


def _whole(job: Job, tower: TowerName, part: str) -> npt.NDArray[np.generic]:
    """Return a part's inputs at the full length that a LiteRT file takes."""
    array: npt.NDArray[np.generic] = np.load(work.inputs(job.folder, tower, part))
    if tower == "image":
        return array
    spec = job.bundle.text
    missing = spec.context_length - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=spec.pad_id)


def _record(job: Job, tower: TowerName, artifact: str, made: Compiled, rows: npt.NDArray[np.float32]) -> TowerRecord:
    measured = agreement(rows, golden.reference(job.bundle, tower))
    return TowerRecord(artifact, (), made.input, made.output, measured, verdict.tolerance(measured))
