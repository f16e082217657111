"""Sophgo's processors, by tpu-mlir and its simulators: the BM family in servers and boxes, the CV family in cameras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.mixing import Mix
    from edgekit.converters.targets.records import Precision, TowerJob

TOOLCHAIN = "sophgo"

_WORKER = Path(__file__).with_name("sophgo_worker.py")
_BM = {"bm1684x": "32 TOPS, SE7 and SM7", "bm1688": "16 TOPS, two cores, SE9"}
_CV = {"cv181x": "0.5 TOPS, RISC-V: Milk-V Duo 256M, LicheeRV Nano", "cv183x": "0.5 TOPS, ARM64"}
_WIDE = {"bmodel": "F16", "cvimodel": "BF16"}
_NAMED = 8
"""Parts of a tower that a card names."""


class Sophgo:
    """tpu-mlir 1.30.2 for the BM family: ``.bmodel`` files.

    ``hybrid`` computes in 8 bits but for what has to stay in the family's 16. That is measured without the tool, on an
    emulated chip (see `mixing`): as few steps as reach the goal there, then safer choices. The first that reaches it as
    the vendor's interpreter computes it, on inputs that take no part in the proof, is compiled and simulated.
    """

    _format = "bmodel"
    _chips = _BM
    _precisions: tuple[Precision, ...] = ("fp16", "w8a8", "hybrid")

    @property
    def format(self) -> str:
        """``bmodel``, or ``cvimodel`` for the CV family."""
        return self._format

    @property
    def toolchain(self) -> str:
        """``sophgo``."""
        return TOOLCHAIN

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips whose simulator edgekit's tests run."""
        return tuple(
            Chip(name, name, self._precisions, "vendor simulator", f"Sophgo, {note}")
            for name, note in self._chips.items()
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in the family's 16 bits."""
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
        return build(job, job.precision or self._precisions[0], self.format, on_stage)


class SophgoCv(Sophgo):
    """tpu-mlir 1.30.2 for the CV family: ``.cvimodel`` files.

    Sophgo's library for these boards has a C interface only, so that no runtime of edgekit opens the files yet.
    """

    _format = "cvimodel"
    _chips = _CV
    _precisions = ("bf16", "w8a8", "hybrid")


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
    # No layer of the CV family takes ArgMax but as the last.
    asked = prepare_worker.Request(
        str(job.master.absolute()), job.shape, job.tower, table, biases=False, argmax=suffix == "bmodel"
    )
    prepared = steps.prepare(job, asked, on_stage)
    given = onnx_target.input_spec(job, prepared)
    taken = steps.projection(prepared.dimension)
    artifact = job.folder / f"{job.tower}.{suffix}"
    mixes: tuple[Mix, ...] = ()
    if precision == "hybrid":
        mixes = steps.mixes(job, prepared, on_stage, symmetric=True).mixes
    request = {
        **_request(job, precision, prepared, given, artifact.name),
        "wide": _WIDE[suffix],
        "choices": [list(mix.nodes) for mix in mixes],
    }
    answer = steps.in_toolchain(job, TOOLCHAIN, _WORKER, request, on_stage)
    return Built(
        files=(artifact, steps.sidecar(artifact, job.chip.name, given, taken)),
        input=given,
        output=taken,
        rows=steps.proof_rows(job, prepared.dimension),
        precision=precision,
        facts=_facts(answer.result, prepared, precision, mixes),
        toolchain={"tpu-mlir": str(answer.result["version"])},
        seconds=answer.seconds,
        peak_bytes=answer.peak_bytes,
    )


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
        "goal": job.goal,
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "search": str(job.inputs[SEARCH].absolute()),
        "reference": str(job.reference.absolute()),
        "parts": steps.proof_inputs(job),
        "out": out,
    }


def _facts(
    result: dict[str, Any], prepared: prepare_worker.Facts, precision: Precision, mixes: tuple[Mix, ...]
) -> dict[str, str]:
    facts = {"ranges from": "the calibration inputs"} if precision in ("w8a8", "hybrid") else {"ranges from": "none"}
    if precision == "hybrid":
        facts |= _mixture(result, mixes)
    return {**facts, **steps.graph_facts(prepared.unknown, masks=prepared.masks)}


def _mixture(result: dict[str, Any], mixes: tuple[Mix, ...]) -> dict[str, str]:
    tried, taken = result["attempts"], result["attempts"][result["chosen"]]
    mix = mixes[result["chosen"]]
    facts = {
        "attempts": "; ".join(_told(one) for one in tried),
        "layers in 16 bits": f"{taken['layers']} of {taken['of']}",
        "nodes": steps.mapped(taken),
        "chosen by": f"centred cosine {mix.reached:.4f} on an emulated chip",
    }
    if mix.steps:
        facts["parts in 16 bits, the most sensitive for their size first"] = steps.few(mix.steps, _NAMED)
    return facts


def _told(attempt: dict[str, Any]) -> str:
    same = "" if attempt["same"] is None else f", the simulator agrees with it to {attempt['same']:.4f}"
    return f"{attempt['layers']} layers: centred cosine {attempt['reached']:.4f} by the vendor's interpreter{same}"
