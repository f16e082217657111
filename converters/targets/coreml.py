"""Apple's Core ML: a program converted by coremltools, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters.quantize.data import SEARCH
from edgekit.converters.targets import onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip
from edgekit.converters.toolchains import work

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Precision, TowerJob

_WORKER = Path(__file__).with_name("coreml_worker.py")
_LIMITS = work.Limits(seconds=3600)
_PRECISIONS: tuple[Precision, ...] = ("fp16", "w8", "fp32")
DEPLOYMENT = "iOS16"
"""The oldest system that reads the file: iOS 16 and macOS 13 are the first with weights in 8 bits."""


class Coreml:
    """coremltools 9.0, from ONNX by way of a torch module: fp16, w8 (weights in 8 bits, computed in float16), fp32.

    Conversion works on Linux, prediction on macOS alone. So the rows are those of the torch module, in the type of the
    program and with the weights that were read back from it.
    """

    @property
    def format(self) -> str:
        """``mlpackage``: the files of a ``.mlpackage`` folder in one zip without compression."""
        return "mlpackage"

    @property
    def toolchain(self) -> str:
        """``coreml``."""
        return "coreml"

    def chips(self) -> tuple[Chip, ...]:
        """Return one entry: the system chooses among CPU, GPU and Neural Engine when it loads the file."""
        note = "Apple, macOS 13 and iOS 16 on; converted and read back here, run by nobody yet"
        return (Chip("coreml", DEPLOYMENT, _PRECISIONS, "reference before compilation", note),)

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is converted in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Convert a tower; see `Target.build`.

        Args:
            job: what to convert.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what the torch module computes that was converted.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the tool failed, or its module differs from the graph.
        """
        precision = job.precision or "fp16"
        asked = prepare_worker.Request(str(job.master.absolute()), job.shape, job.tower, "coreml", biases=False)
        prepared = steps.prepare(job, asked, on_stage)
        given = onnx_target.input_spec(job, prepared)
        artifact = job.folder / f"{job.tower}.mlpackage.zip"
        request = {
            "model": prepare_worker.GRAPH,
            "precision": precision,
            "deployment": job.chip.tool_name,
            "input": prepared.input,
            "shape": list(given.shape),
            "mean": list(prepared.mean),
            "std": list(prepared.std),
            "search": str(job.inputs[SEARCH].absolute()),
            "reference": str(job.reference.absolute()),
            "parts": steps.proof_inputs(job),
            "out": artifact.name,
        }
        answer = steps.in_toolchain(job, self.toolchain, _WORKER, request, on_stage, _LIMITS)
        return Built(
            files=(artifact,),
            input=given,
            output=steps.projection(prepared.dimension),
            rows=steps.proof_rows(job, prepared.dimension),
            precision=precision,
            facts=_facts(answer.result, prepared),
            toolchain=steps.versions(answer),
            seconds=answer.seconds,
            peak_bytes=answer.peak_bytes,
        )


def _facts(result: dict[str, Any], prepared: prepare_worker.Facts) -> dict[str, str]:
    facts = {
        "torch against ONNX Runtime": f"largest difference {result['difference']:.1e}",
        "operators of the program": ", ".join(f"{count} {name}" for name, count in result["operators"].items()),
    }
    if result["eight_bits"]:
        facts["tensors in 8 bits"] = str(result["eight_bits"])
    return {**facts, **steps.graph_facts(prepared.unknown, masks=prepared.masks)}
