"""Core ML by way of ONNX Runtime's provider: ONNX files of the operators and shapes that the provider takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgekit.converters.targets import onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, Precision, TowerJob

_PRECISIONS: tuple[Precision, ...] = ("fp16", "fp32")


class CoremlProvider:
    """ONNX Runtime's Core ML provider, which makes an ML Program on the device: static shapes, float16 or float32.

    The Neural Engine computes float16 only. Pixels are scaled outside, for Core ML's arrays have no uint8.
    """

    @property
    def format(self) -> str:
        """``onnx``."""
        return "onnx"

    @property
    def toolchain(self) -> str:
        """None."""
        return ""

    def chips(self) -> tuple[Chip, ...]:
        """Return one entry: the system chooses among CPU, GPU and Neural Engine."""
        note = "Apple, onnxruntime's device coreml; run by nobody on a Mac yet"
        return (Chip("coreml-provider", "coreml", _PRECISIONS, "reference before compilation", note),)

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is made in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Write a tower's graph, and run it on the processor; see `Target.build`.

        Args:
            job: what to make.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file, and what ONNX Runtime computes with it; in fp16 with every result rounded where it is made.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the graph cannot be run, or leaves float16's range.
        """
        start, precision, out = time.monotonic(), job.precision or "fp16", f"{job.tower}.onnx"
        whole = out if precision == "fp32" else prepare_worker.GRAPH
        asked = prepare_worker.Request(
            str(job.master.absolute()), job.shape, job.tower, "coreml-provider", biases=False, out=whole
        )
        prepared = steps.prepare(job, asked, on_stage)
        half = precision != "fp32"
        rows = onnx_target.half_rows(job, job.folder / whole, prepared, out, on_stage) if half else None
        facts = {"reference": "every result rounded to float16" if half else "float32 on the processor"}
        return onnx_target.built(job, job.folder / out, prepared, precision, facts, start, on_stage, rows)
