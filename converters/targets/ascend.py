"""Huawei's Ascend processors: ONNX files for ONNX Runtime's CANN provider, and atc's own files where atc is here."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.converters.targets import atc, onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, Precision, TowerJob

_PRECISIONS: tuple[Precision, ...] = ("fp16",)
# Source: hiascend.com, names of products; the boards and cards are those with one chip that are sold for inference.
_NOTES = {
    "Ascend310B1": "Atlas 200I A2, 20 TOPS",
    "Ascend310B4": "Atlas 200I DK A2, Orange Pi AI Pro, 8 TOPS",
    "Ascend310P3": "Atlas 300I Pro, 140 TOPS",
}


class Ascend:
    """CANN's compiler, on the device through ONNX Runtime's provider, or here as atc: float16 wherever it has one.

    Nothing of CANN's is freely downloadable, so no test runs it: the file's float16 is computed on the processor.
    """

    @property
    def format(self) -> str:
        """``onnx``."""
        return "onnx"

    @property
    def toolchain(self) -> str:
        """None: atc is part of CANN, which the user installs."""
        return ""

    def chips(self) -> tuple[Chip, ...]:
        """Return boards' and cards' chips."""
        return tuple(
            Chip(name.lower(), name, _PRECISIONS, "reference before compilation", f"Huawei, {note}")
            for name, note in _NOTES.items()
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; there is one precision."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Write a tower's static graph, compute its float16, and compile it where atc is; see `Target.build`.

        Args:
            job: what to make.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The ONNX file first, and beside it atc's ``.om`` where atc is on the path; the rows are those of the
            processor, with every result rounded to float16.

        Raises:
            ConversionError: the graph cannot be run, leaves float16's range, or atc fails.
        """
        start, out = time.monotonic(), f"{job.tower}.onnx"
        asked = prepare_worker.Request(
            str(job.master.absolute()), job.shape, job.tower, "ascend", biases=False, out=out
        )
        prepared = steps.prepare(job, asked, on_stage)
        rows = onnx_target.half_rows(job, job.folder / out, prepared, "", on_stage)
        facts = {"reference": "every result rounded to float16, as CANN's precision_mode_v2=fp16 may"}
        found = onnx_target.built(job, job.folder / out, prepared, "fp16", facts, start, on_stage, rows)
        options = atc.AtcOptions(job.chip.tool_name, {prepared.input: tuple(map(int, found.input.shape))})
        compiled = job.folder / f"{job.tower}.om"
        told = " ".join(atc.command(job.folder / out, compiled, options)).replace(f"{job.folder}/", "")
        if not atc.here():
            return replace(found, facts={**found.facts, "atc": f"not on the path; it would be: {told}"})
        on_stage(f"{job.tower} tower: compiling with atc for {job.chip.tool_name}")
        atc.run(job.folder / out, compiled, options)
        facts = {**found.facts, "atc": told}
        return replace(found, files=(*found.files, compiled), facts=facts, seconds=round(time.monotonic() - start, 1))
