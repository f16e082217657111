"""Sophgo's processors, by tpu-mlir and its simulators: the BM family in servers and boxes, the CV family in cameras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.adapting import PROJECTION
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT
from edgekit.converters.targets import onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip
from edgekit.converters.toolchains import catalog, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Precision, TowerJob

TOOLCHAIN = "sophgo"

_WORKER = Path(__file__).with_name("sophgo_worker.py")
_LIMITS = work.Limits(seconds=7200)
_BM = {"bm1684x": "32 TOPS, SE7 and SM7", "bm1688": "16 TOPS, two cores, SE9"}
_CV = {"cv181x": "0.5 TOPS, RISC-V: Milk-V Duo 256M, LicheeRV Nano", "cv183x": "0.5 TOPS, ARM64"}
# The CV family's ids are 16 bits wide, and none of its layers takes ArgMax but as the last.
_LARGEST_ID = 65535


class Sophgo:
    """tpu-mlir 1.30.2 for the BM family: ``.bmodel`` files."""

    @property
    def format(self) -> str:
        """``bmodel``."""
        return "bmodel"

    @property
    def toolchain(self) -> str:
        """``sophgo``."""
        return TOOLCHAIN

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips whose simulator edgekit's tests run."""
        return _chips(_BM, ("fp16", "w8a8", "hybrid"))

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Compile a tower and simulate it; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what the simulator computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the tool failed.
        """
        return build(job, job.precision or "fp16", self.format, on_stage)


class SophgoCv:
    """tpu-mlir 1.30.2 for the CV family: ``.cvimodel`` files.

    Sophgo's library for these boards has a C interface only, so that no runtime of edgekit opens the files yet.
    """

    @property
    def format(self) -> str:
        """``cvimodel``."""
        return "cvimodel"

    @property
    def toolchain(self) -> str:
        """``sophgo``."""
        return TOOLCHAIN

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips whose simulator edgekit's tests run."""
        return _chips(_CV, ("bf16", "w8a8"))

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in bf16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Compile a tower and simulate it; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what the simulator computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the tool failed.
        """
        return build(job, job.precision or "bf16", self.format, on_stage)


def build(job: TowerJob, precision: Precision, suffix: str, on_stage: Callable[[str], None]) -> Built:
    """Compile a tower for a chip of either family, and simulate it.

    Args:
        job: what to compile.
        precision: one of the chip's.
        suffix: of the artifact: ``bmodel`` or ``cvimodel``.
        on_stage: called with the name of each stage as it begins.

    Returns:
        The file and the one that says its tensors, and what the simulator computes.

    Raises:
        UnsupportedModelError: an operator is known not to work.
        ConversionError: the tool failed.
    """
    table = "sophgo" if suffix == "bmodel" else "sophgo-cv"
    asked = prepare_worker.Request(
        str(job.master.absolute()), job.shape, job.tower, table, biases=False, argmax=suffix == "bmodel"
    )
    prepared = steps.prepare(job, asked, on_stage)
    given = onnx_target.input_spec(job, prepared)
    taken = TensorSpec(PROJECTION, "float32", (1, prepared.dimension))
    artifact = job.folder / f"{job.tower}.{suffix}"
    named: Callable[[str], None] = lambda stage: on_stage(f"{job.tower} tower: {stage}")  # noqa: E731
    request = _request(job, precision, prepared, given, artifact.name)
    answer = work.run(catalog.find(TOOLCHAIN), _WORKER, job.folder, request, _LIMITS, named)
    return Built(
        files=(artifact, steps.sidecar(artifact, job.chip.name, given, taken)),
        input=given,
        output=taken,
        rows={part: steps.rows(job, part, prepared.dimension) for part in (HELD_OUT, GOLDEN)},
        precision=precision,
        facts=_facts(answer.result, prepared, precision),
        toolchain={"tpu-mlir": str(answer.result["version"])},
        seconds=answer.seconds,
        peak_bytes=answer.peak_bytes,
    )


def _chips(notes: dict[str, str], precisions: tuple[Precision, ...]) -> tuple[Chip, ...]:
    return tuple(Chip(name, name, precisions, "vendor simulator", f"Sophgo, {note}") for name, note in notes.items())


def _request(
    job: TowerJob, precision: Precision, prepared: prepare_worker.Facts, given: TensorSpec, out: str
) -> dict[str, Any]:
    return {
        "model": prepare_worker.GRAPH,
        "chip": job.chip.tool_name,
        "precision": precision,
        "input": prepared.input,
        "shape": list(given.shape),
        "mean": list(prepared.mean),
        "std": list(prepared.std),
        "cosine": job.goal,
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "parts": {part: str(job.inputs[part].absolute()) for part in (HELD_OUT, GOLDEN)},
        "out": out,
    }


def _facts(result: dict[str, Any], prepared: prepare_worker.Facts, precision: Precision) -> dict[str, str]:
    facts = {"ranges from": "the calibration inputs"} if precision in ("w8a8", "hybrid") else {"ranges from": "none"}
    if precision == "hybrid":
        facts["layers in float16"] = ", ".join(result["floats"]) or "none"
    if prepared.masks:
        facts["attention masks"] = f"{prepared.masks} raised to -30"
    if prepared.unknown:
        facts["operators beyond the table"] = ", ".join(prepared.unknown)
    return facts
