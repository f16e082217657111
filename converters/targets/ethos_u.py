"""Arm's Ethos-U NPUs, by Vela: an int8 LiteRT file, proven on LiteRT, then compiled."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.adapting import PROJECTION, unit_rows
from edgekit.converters.litert import work as litert_work
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.targets import ethos_input, inputs, prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip
from edgekit.converters.toolchains import catalog, work
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.litert.compile import Compiled
    from edgekit.converters.targets.records import TowerJob

_WORKER = Path(__file__).with_name("vela_worker.py")
_LIMITS = work.Limits(seconds=3600)
# Names of Vela's configurations, with the number of multiply-accumulates a cycle in each.
_SIZES = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}
_FACTS = (
    ("cycles_total", "cycles", 1.0, ""),
    ("inference_time", "estimated time", 1e3, " ms"),
    ("sram_memory_used", "SRAM", 1.0, " KiB"),
    ("off_chip_flash_memory_used", "flash", 1.0, " KiB"),
    ("nn_macs", "multiply-accumulates", 1.0, ""),
)


@dataclass(frozen=True)
class _Compiled:
    """What Vela said: the columns of its summary, and the operators of the file that it wrote."""

    summary: dict[str, str]
    operators: dict[str, int]
    npu: str

    @property
    def on_cpu(self) -> dict[str, int]:
        """Operators that the NPU does not take."""
        return {name: count for name, count in self.operators.items() if name != self.npu}


class EthosU:
    """Vela 5.2.0. The image tower is compiled; the text tower stays a LiteRT file for the processor beside the NPU."""

    @property
    def format(self) -> str:
        """``tflite``."""
        return "tflite"

    @property
    def toolchain(self) -> str:
        """``vela``."""
        return "vela"

    def chips(self) -> tuple[Chip, ...]:
        """Return Vela's configurations."""
        return tuple(
            Chip(
                name=f"ethos-{kind}-{size}",
                tool_name=f"ethos-{kind}-{size}",
                precisions=("w8a8",),
                proof="reference before compilation",
                note=f"Arm NPU, {size} multiply-accumulates a cycle",
            )
            for kind, sizes in _SIZES.items()
            for size in sizes
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return the image tower: texts are embedded once, on any processor."""
        return ("image",)

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Make an int8 file, run it on LiteRT, and compile it; see `Target.build`.

        Args:
            job: what to compile; without a precision, a float file for the processor is made.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The file. The rows are those of the int8 file before Vela, which has no simulator: Vela's arithmetic is that
            of LiteRT's int8 reference kernels, and what it changed is told as operators and their places.

        Raises:
            UnsupportedModelError: an operator has no LiteRT form.
            ConversionError: a tool failed, or the int8 file does not run.
        """
        start = time.monotonic()
        plain = job.folder / f"{job.tower}.tflite"
        master = job.master if job.precision is None else _prepared(job, on_stage)
        made = _litert(job, master, plain, on_stage)
        joined = job.precision is not None and job.tower == "image" and ethos_input.take_pixels(plain)
        rows = {}
        for part in (HELD_OUT, GOLDEN):
            found: Any = np.load(inputs.embed("litert", plain, job.inputs[part], on_stage))
            if not np.isfinite(found).all():
                raise ConversionError(f"the {job.tower} tower's int8 file returns NaN or infinity on {part} inputs")
            rows[part] = unit_rows(found)
        toolchain, facts, peak = dict(made.toolchain), {}, made.peak_bytes
        if job.precision is not None:
            compiled, answer = _vela(job, plain, on_stage)
            facts = _facts(compiled)
            facts["pixels"] = "uint8, requantized" if joined else "converted by way of float32"
            toolchain["ethos-u-vela"] = str(answer.result["version"])
            peak = max(peak, answer.peak_bytes)
        else:
            facts["runs on"] = "the processor beside the NPU, in float32"
        return Built(
            files=(plain,),
            input=made.input,
            output=made.output if job.precision is None else replace(made.output, name=PROJECTION),
            rows=rows,
            precision=job.precision or "fp32",
            facts=facts,
            toolchain=toolchain,
            seconds=round(time.monotonic() - start, 1),
            peak_bytes=peak,
        )


def _prepared(job: TowerJob, on_stage: Callable[[str], None]) -> Path:
    """Make a graph without what the NPU leaves to the processor: lengths of rows, and averages with channels first."""
    asked = prepare_worker.Request(
        str(job.master.absolute()),
        job.shape,
        job.tower,
        "ethos_u",
        scaling_outside=False,
        biases=False,
        averages=False,
    )
    steps.prepare(job, asked, on_stage)
    return job.folder / prepare_worker.GRAPH


def _litert(job: TowerJob, master: Path, out: Path, on_stage: Callable[[str], None]) -> Compiled:
    from edgekit.converters.litert.compile import TowerShape, compile_tower

    decision = TowerDecision({litert_work.EVERY_GROUP: litert_work.FULL_INTEGER}) if job.precision else None
    samples = np.load(job.inputs[CALIBRATION])
    told = steps.of_tower(job, on_stage)
    return compile_tower(master, out, job.tower, TowerShape(job.shape[1:]), decision, [samples], told)


def _vela(job: TowerJob, plain: Path, on_stage: Callable[[str], None]) -> tuple[_Compiled, work.Answer]:
    """Compile the file in place: what is proven and what is packed differ by Vela alone."""
    request = {"source": str(plain.absolute()), "accelerator": job.chip.tool_name, "out": "compiled.tflite"}
    folder = job.folder / "tool"
    folder.mkdir()
    answer = work.run(catalog.find("vela"), _WORKER, folder, request, _LIMITS, on_stage)
    found = answer.result
    compiled = _Compiled(found["summary"], found["operators"], found["npu"])
    if not compiled.operators.get(compiled.npu):
        raise ConversionError(
            f"the {job.tower} tower: Vela gave {job.chip.name} no operator at all ({_counted(compiled.on_cpu)} stay on "
            "the processor); no bundle was written"
        )
    (folder / "compiled.tflite").replace(plain)
    return compiled, answer


def _facts(compiled: _Compiled) -> dict[str, str]:
    facts = {
        "operators on the NPU": f"in {compiled.operators[compiled.npu]} blocks",
        "operators on the processor": _counted(compiled.on_cpu) or "none",
    }
    for column, name, factor, unit in _FACTS:
        if float(compiled.summary.get(column) or 0):
            facts[name] = f"{float(compiled.summary[column]) * factor:.6g}{unit}"
    facts["estimated by"] = "Vela's model of the NPU; no hardware was measured"
    return facts


def _counted(operators: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(operators.items()))
