"""Qualcomm's Hexagon tensor processors: ONNX files quantized for the QNN provider, proven in the vendor's simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import prepare_worker, qnn_context, steps
from edgekit.converters.targets.records import Built, Chip
from edgekit.runtimes import qnn_chips

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Precision, TowerJob

_WORKER = Path(__file__).with_name("qnn_worker.py")
_PRECISIONS: tuple[Precision, ...] = ("a16w8", "hybrid", "w8a8")
_NAMED = 5


class Qnn:
    """The QNN provider of ONNX Runtime: 8-bit weights with a scale for each channel, activations in 16 bits or 8.

    ``hybrid`` computes in 8 bits but for the nodes that need 16: as few as reach the goal on data that takes no part in
    the proof, see `qnn_mixed`.

    Float towers are not offered: processors before version 69 have no float16, and later ones were seen to compute a
    float tower with uint8 pixels wrongly, without an error, in the simulator.
    """

    @property
    def format(self) -> str:
        """``onnx``."""
        return "onnx"

    @property
    def toolchain(self) -> str:
        """``qnn``."""
        return "qnn"

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips whose processor the simulator knows."""
        return tuple(
            Chip(
                name=chip.names[0].lower(),
                tool_name=chip.names[0],
                precisions=_PRECISIONS,
                proof="vendor simulator",
                note=f"Qualcomm Hexagon v{chip.htp_arch}; also {', '.join(chip.names[1:])}",
                in_advance=True,
            )
            for chip in qnn_chips.CHIPS
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled with 16-bit activations."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Quantize a tower and simulate it; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what the simulator computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the tool failed, or the processor does not take every node.
        """
        precision = job.precision or "a16w8"
        asked = prepare_worker.Request(
            str(job.master.absolute()),
            job.shape,
            job.tower,
            "qnn",
            scaling_outside=False,
            biases=False,
            lengths=False,
            choices=False,
        )
        prepared = steps.prepare(job, asked, on_stage)
        chip, out = qnn_chips.find(job.chip.tool_name), f"{job.tower}.onnx"
        request = {
            "model": prepare_worker.GRAPH,
            "precision": precision,
            "soc_model": chip.soc_model,
            "htp_arch": chip.htp_arch,
            "calibration": str(job.inputs[CALIBRATION].absolute()),
            "search": str(job.inputs[SEARCH].absolute()),
            "reference": str(job.reference.absolute()),
            "goal": job.goal,
            "parts": steps.proof_inputs(job),
            "out": out,
        }
        answer = steps.in_toolchain(job, self.toolchain, _WORKER, request, on_stage)
        built = Built(
            files=tuple(job.folder / name for name in answer.result["files"]),
            input=steps.contract_input(job, prepared.input),
            output=steps.projection(prepared.dimension),
            rows=steps.proof_rows(job, prepared.dimension),
            precision=precision,
            facts=_facts(answer.result),
            toolchain=steps.versions(answer),
            seconds=answer.seconds,
            peak_bytes=answer.peak_bytes,
        )
        return qnn_context.added(job, built, self.toolchain, on_stage) if job.in_advance else built


def _facts(result: dict[str, Any]) -> dict[str, str]:
    facts = {"nodes": ", ".join(f"{count} on {name}" for name, count in result["nodes"].items())}
    if found := result["chosen"]:
        facts["nodes in 16 bits"] = f"{found['nodes']} of {found['of']}"
        facts["chosen by"] = (
            f"centred cosine {found['eight']:.4f} in 8 bits alone, {found['reached']:.4f} so, "
            f"{found['built']:.4f} as built"
        )
        facts["parts in 16 bits, the most sensitive first"] = steps.few(found["parts"], _NAMED)
    return facts
