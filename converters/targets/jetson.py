"""NVIDIA's Jetson boards: ONNX files typed for TensorRT, which compiles them on the board itself."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from edgekit.adapting import input_adapter
from edgekit.bundle.manifest import ImageSpec, TensorSpec
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.targets import jetson_chips, jetson_worker, prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.jetson_chips import JetsonChip
    from edgekit.converters.targets.records import Precision, TowerJob

_CHANNELS, _LEVELS = 3, 255.0


class Jetson:
    """A typed graph needs no vendor's compiler: a plan of TensorRT fits one GPU and version, and the board makes it."""

    @property
    def format(self) -> str:
        """``onnx``."""
        return "onnx"

    @property
    def toolchain(self) -> str:
        """None."""
        return ""

    def chips(self) -> tuple[Chip, ...]:
        """Return the families of boards; those without fast int8 are compiled in float16 alone."""
        return tuple(
            Chip(
                name=chip.name,
                tool_name=chip.tool_name,
                precisions=_precisions(chip),
                proof="reference before compilation",
                note=f"{chip.tool_name}, TensorRT {chip.tensorrt} or newer"
                + ("" if chip.int8 else "; its GPU has no int8")
                + (f"; {chip.dla} DLA" if chip.dla else ""),
            )
            for chip in jetson_chips.CHIPS
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in float16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Write a typed graph and run it as a float16 or int8 engine computes; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The graph, and what it computes with every float16 result rounded where it is made; see `rounding`.

        Raises:
            UnsupportedModelError: an operator is not in the table of the chip's TensorRT.
            ConversionError: the graph cannot be made or run.
        """
        start = time.monotonic()
        chip = jetson_chips.find(job.chip.name)
        precision = job.precision or "fp16"
        asked = prepare_worker.Request(
            str(job.master.absolute()),
            job.shape,
            job.tower,
            "tensorrt",
            scaling_outside=not chip.uint8_input,
            biases=False,
        )
        prepared = steps.prepare(job, asked, on_stage)
        given, files = _inputs(job, prepared, chip)
        out = f"{job.tower}.onnx"
        request = jetson_worker.Request(
            chip=chip.name,
            tower=job.tower,
            precision=precision,
            calibration=files[CALIBRATION],
            search=files[SEARCH],
            reference=str(job.reference.absolute()),
            parts={part: files[part] for part in (HELD_OUT, GOLDEN)},
            goal=job.goal,
            out=out,
        )
        named = (jetson_worker.REQUEST, jetson_worker.ANSWER)
        answer = steps.in_child(job, "jetson_worker", request, named, jetson_worker.Answer, on_stage)
        data = job.folder / f"{out}.data"
        return Built(
            files=(job.folder / out, *((data,) if data.exists() else ())),
            input=given,
            output=steps.projection(prepared.dimension),
            rows=steps.proof_rows(job, prepared.dimension),
            precision=precision,
            facts=answer.facts,
            toolchain={name: version(name) for name in ("onnx", "onnxruntime")},
            seconds=round(time.monotonic() - start, 1),
            peak_bytes=answer.peak_bytes,
        )


def _precisions(chip: JetsonChip) -> tuple[Precision, ...]:
    return ("fp16", "w8a8") if chip.int8 else ("fp16",)


def _inputs(job: TowerJob, prepared: prepare_worker.Facts, chip: JetsonChip) -> tuple[TensorSpec, dict[str, str]]:
    """Return the graph's input, and files with the inputs in its form."""
    if job.tower != "image":
        return TensorSpec(prepared.input, "int32", job.shape), _absolute(job)
    if chip.uint8_input:
        return TensorSpec(prepared.input, "uint8", job.shape), _absolute(job)
    _, height, width, channels = job.shape
    spec = TensorSpec(prepared.input, "float32", (1, channels, height, width))
    if len(prepared.mean) != _CHANNELS or len(prepared.std) != _CHANNELS:
        raise ConversionError(f"the image tower scales {len(prepared.mean)} channels, not 3; convert it again")
    mean, std = (_of_one(values) for values in (prepared.mean, prepared.std))
    image = ImageSpec(height, width, "squash", 0, "bicubic", (0, 0, 0), mean, std)
    adapt = input_adapter(spec, image)
    files = {}
    for part, path in job.inputs.items():
        pixels = np.load(path, allow_pickle=False)
        target = job.folder / f"{part}.scaled.npy"
        np.save(target, adapt(pixels) if adapt else pixels, allow_pickle=False)
        files[part] = str(target.absolute())
    return spec, files


def _of_one(levels: tuple[float, ...]) -> tuple[float, float, float]:
    """Return levels of 0..255 as parts of one."""
    red, green, blue = levels
    return red / _LEVELS, green / _LEVELS, blue / _LEVELS


def _absolute(job: TowerJob) -> dict[str, str]:
    return {part: str(path.absolute()) for part, path in job.inputs.items()}
